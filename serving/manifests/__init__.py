"""Manifests: Docker Compose and Kubernetes files of a TF Serving deployment, as dictionaries.

Imports `pipeline.config.serving`, `serving.tf_serving` and `components.dns_label`.
"""
