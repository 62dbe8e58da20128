"""Configuration: every value of a run, typed and checked, and where its files are.

Imports `components.errors` only; every package may import it.
"""
