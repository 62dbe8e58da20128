"""Data: examples become documents of ids, windows and the trigram reference.

Imports `transform`.
"""
