"""Evaluation: TFMA metrics, the Evaluator with its reference model, and the baseline to compare with.

Imports `components.command_line`, `components.files` and `components.models`.
"""
