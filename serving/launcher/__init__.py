"""Launcher: start a model server and the playground as child processes, and restart them if they end.

Imports `components`, `pipeline.config`, `serving.client`, `serving.rollout` and `serving.tf_serving`.
"""
