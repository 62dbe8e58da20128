"""Models: the versions that the embedded server loads, and the batches in which they answer.

Imports `components`, `pipeline.config`, `serving.client.status`, `serving.embedded.codec`, `serving.embedded.metrics`,
`serving.embedded.statuses`, `serving.graph`, `serving.rollout` and `serving.tf_serving`.
"""
