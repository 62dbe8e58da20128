"""Evaluate: TFMA metrics, the Evaluator and the baseline it compares with.

Imports `components.models` and `components.errors`.
"""
