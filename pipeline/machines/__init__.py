"""Training on several machines that share a root: the chief runs the pipeline, and the workers train with it.

Imports `components`, `trainer` and, of `pipeline`, `pipeline.cache_keys`, `pipeline.config`, `pipeline.console` and
`pipeline.failure`.
"""
