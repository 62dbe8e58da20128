"""Ingest: find a corpus, clean its texts, and write them as examples.

Imports `components.errors` and `shell_command` only; TFX and Beam only in `corpus_example_gen` and what it runs.
"""
