"""Playground: a static page to try a model, and the small server between the page and the model server.

Imports `serving.access`, `serving.client`, `serving.graph.generation_config`, `components` and the serving
configuration.
"""
