"""Training of the recurrent language model: `run.run_fn` for the TFX Trainer, `tuning.tuner_fn` for the TFX Tuner.

Imports `transform`, `serving.graph`, `components`, and `pipeline.config`: it trains the cells that are served.
"""
