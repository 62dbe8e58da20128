"""TF Serving: its file formats and flags.

Imports `components` and `pipeline.config`.
"""
