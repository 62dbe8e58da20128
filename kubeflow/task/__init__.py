"""Code that runs inside a container of the compiled pipeline.

Imports `components` and `pipeline.config`.
"""
