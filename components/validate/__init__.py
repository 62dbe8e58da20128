"""Validate: check the examples against `schema/` and stop the run on an anomaly.

Imports `components.errors`.
"""
