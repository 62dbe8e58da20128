"""Embedded: a small model server with TF Serving's REST API. Its packages import downward: `rest`, `models`, `codec`.

Imports `components`, `pipeline.config`, `serving.access`, `serving.client.status`, `serving.graph`, `serving.rollout`
and `serving.tf_serving`.
"""
