"""The pipeline on Kubeflow Pipelines and on Vertex AI Pipelines: compiled, rehearsed, deployed and scheduled.

Imports `components`, `pipeline`, `serving.graph.generation_config` and `trainer.cluster`.
"""
