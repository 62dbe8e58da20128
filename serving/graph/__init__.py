"""The exported OneStep SavedModel: cells, network, sampling, signatures, limits; and the same model from a checkpoint.

Imports `transform`, `components.errors`, and `components.shell_command`; `trainer` trains these cells.
"""
