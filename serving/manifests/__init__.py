"""Manifests: Docker Compose, and Kubernetes with kustomize or KServe, as dictionaries.

Imports `pipeline.config`, `serving.tf_serving` and `components.dns_label`.
"""
