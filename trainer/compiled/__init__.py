"""Compiled: training and evaluation steps as graphs that take many steps in one call.

Imports `trainer.data`, `trainer.model`.
"""
