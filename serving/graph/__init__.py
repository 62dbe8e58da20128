"""Graph: everything that is exported in the OneStep SavedModel.

Imports `transform` only; `trainer` trains these cells.
"""
