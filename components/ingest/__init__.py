"""Ingest: find a corpus, clean its texts, and write them as examples; only `corpus_example_gen` imports TFX at once.

Imports `components.command_line`, `components.errors`, `components.files`, `components.lean_imports`,
`components.startup`.
"""
