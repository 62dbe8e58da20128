"""Manifests: Docker Compose and Kubernetes files of a TF Serving deployment, as dictionaries.

Imports `pipeline.config.serving` and `serving.tf_serving`.
"""
