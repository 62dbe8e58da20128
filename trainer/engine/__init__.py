"""Engine: one recurrent layer over a window, forward and backward, as one operation.

Imports `serving.graph.cells` only; `recurrent` is its only entry point.
"""
