"""Rollout: which versions are in the serving directory, which are served, and under which labels.

Imports `pipeline.config`, `serving.tf_serving` and `serving.client.status`.
"""
