"""Manifests: Docker Compose, and Kubernetes with kustomize or KServe, as dictionaries.

Imports `components`, `pipeline.config`, `serving.access` and `serving.tf_serving`.
"""
