"""Models: the versions that the embedded server loads, and the batches in which they answer.

Imports `serving.embedded.codec.signature`, `metrics`, `statuses`, `serving.graph`, `serving.rollout`,
`serving.tf_serving`, `components` and the serving configuration.
"""
