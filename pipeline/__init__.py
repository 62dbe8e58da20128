"""The pipeline: its configuration and presets, `create_pipeline`, the local run and its report.

Imports every package but `kubeflow`. All packages may import `pipeline.config`; only runners and `kubeflow` import the
rest of it.
"""
