"""What several commands share: the options that choose a model and its source, reading texts, changing labels.

Imports `components`, `pipeline.config`, `serving.access`, `serving.client`, `serving.graph`, `serving.rollout` and
`serving.tf_serving`.
"""
