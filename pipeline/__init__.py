"""The pipeline: its configuration and presets, `create_pipeline`, the local run and its report, the list of runs.

Imports `components`, `serving`, `trainer` and `transform`. All packages may import `pipeline.config`; only
`kubeflow` and `local_runner.py` import the rest.
"""
