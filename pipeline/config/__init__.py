"""Configuration: every value of a run, typed and checked, and where its files are.

Imports `components.errors`. Every package may import it.
"""
