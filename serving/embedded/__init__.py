"""Embedded: a small model server with TF Serving's REST API, for development, tests and small deployments.

Packages import downward: `rest`, `models`, `codec`; all may import `statuses` and `metrics`.
Imports `serving.tf_serving`, `serving.rollout`, `serving.graph`, `components` and the serving configuration.
"""
