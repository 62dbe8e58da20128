"""Rollout: which versions exist, which of them are served, and which label points to which version.

Imports `components`, `pipeline.config`, `serving.access`, `serving.client` and `serving.tf_serving`.
"""
