"""Ingest: raw text files become examples.

Imports `components.errors` and `shell_command` only; TFX and Beam only in `corpus_example_gen` and what it runs.
"""
