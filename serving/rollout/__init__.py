"""Rollout: which versions exist, which of them are served, and which label points to which version.

Imports `pipeline.config`, `components`, `serving.tf_serving`, `serving.access` and `serving.client.status`.
"""
