"""TFX components of the pipeline: ingest, gate, baseline, evaluation, infra check and push."""
