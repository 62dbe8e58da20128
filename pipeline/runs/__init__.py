"""The runs of a root: their history in ML Metadata, their decisions, and which files no kept run needs.

Imports `components`, `pipeline.config`, `pipeline.failure` and `pipeline.metadata_store`.
"""
