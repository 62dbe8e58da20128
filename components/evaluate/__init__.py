"""Evaluation: TFMA metrics, the Evaluator with its reference model, and the baseline to compare with.

Imports `components.models` and `components.command_line`.
"""
