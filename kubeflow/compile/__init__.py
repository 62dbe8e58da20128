"""Compile: the pipeline as the file that Kubeflow Pipelines or Vertex AI Pipelines runs.

Imports `pipeline`, `components.errors`.
"""
