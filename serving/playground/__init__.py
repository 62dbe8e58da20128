"""Playground: a static page to try a model, and the small server between the page and the model server.

Imports `components`, `pipeline.config`, `serving.access`, `serving.client` and `serving.graph.generation_config`.
"""
