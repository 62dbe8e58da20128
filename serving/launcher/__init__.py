"""Launcher: start a model server and the playground as child processes, and restart them if they end.

Imports `pipeline.config`, `components.errors`, `components.startup`, `serving.tf_serving`, `serving.access`,
`serving.rollout` and `serving.client.status`.
"""
