"""The pipeline on Kubeflow Pipelines and on Vertex AI Pipelines: compiled, rehearsed, deployed and scheduled.

Imports `components`, `pipeline` and `trainer.cluster`.
"""
