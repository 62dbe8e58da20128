"""Compilation of the pipeline to the file that Kubeflow Pipelines or Vertex AI Pipelines runs.

Imports `pipeline`, `components` and `kubeflow.task`; nothing else of `kubeflow`.
"""
