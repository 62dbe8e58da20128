"""The exported OneStep SavedModel: cells, network, sampling, signatures, limits; and the same model from a checkpoint.

Imports `components.errors`, `components.shell_command` and `transform`; `trainer` trains these cells.
"""
