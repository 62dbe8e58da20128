"""Compilation of the pipeline to the file that Kubeflow Pipelines or Vertex AI Pipelines runs.

Imports `pipeline` and `components`; nothing else of `kubeflow`.
"""
