"""The page about a run: one HTML file that loads nothing, for a run on this machine and for the task Report.

Imports `components`, `pipeline.config.places`, `pipeline.failure`, `pipeline.launch` and `pipeline.learning_curve`.
"""
