"""The pipeline on Kubeflow Pipelines and on Vertex AI Pipelines: compiled, rehearsed, deployed and scheduled.

Imports `pipeline`, `components` and, in the entrypoint, `trainer`.
"""
