"""Models: the versions that the embedded server loads, batches and answers with.

Imports `serving.embedded.codec.signature`, `metrics`, `statuses`, `serving.tf_serving` and `serving.graph`.
"""
