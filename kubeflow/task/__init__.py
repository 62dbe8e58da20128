"""Code that runs inside a container of the compiled pipeline.

Imports `components`, `pipeline.beam` and `pipeline.config`.
"""
