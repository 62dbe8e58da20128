"""Playground: a static page to try a model, and the small server between the page and the model server.

Imports `components`, the serving configuration, `serving.graph.generation_config` and starlette; no TensorFlow.
"""
