"""Code that runs inside a container of the compiled pipeline.

Imports `components`, `pipeline.config` and `pipeline.beam`; nothing else of `kubeflow`.
"""
