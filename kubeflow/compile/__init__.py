"""Compilation of the pipeline to the file that Kubeflow Pipelines or Vertex AI Pipelines runs.

Imports `components`, `pipeline` and `kubeflow.task`.
"""
