"""Manifests: Docker Compose, and Kubernetes with kustomize or KServe, as dictionaries.

Imports `components`, `pipeline.config` and `serving.tf_serving`.
"""
