"""The pipeline: one configuration, one `create_pipeline(config)`, used by every runner."""
