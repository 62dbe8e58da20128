"""Validate: examples are checked against `schema/` and anomalies stop the run.

Imports `components.errors`.
"""
