"""Ingest: find a corpus, clean its texts, and write them as examples.

Imports `components.command_line`, `components.errors` and `components.files`. Only `corpus_example_gen` imports TFX and
Beam; `bucket` imports TensorFlow when it is used.
"""
