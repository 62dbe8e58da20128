"""Measure how far the exported model generalizes, for the Evaluator: see `components.evaluate.generalization`.

Imports `trainer.data`, `transform`, `components.evaluate` and `serving.graph.generation_config`.
"""
