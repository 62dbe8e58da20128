"""Embedded: a small model server with TF Serving's REST API, for development, tests and small deployments.

Packages import downward: `rest`, `models`, `codec`; all may import `statuses`, `metrics` and `request_log`.
Imports `serving.tf_serving`, `serving.access`, `serving.rollout`, `serving.graph`, `components` and the serving
configuration.
"""
