"""Training of the recurrent language model: `run.run_fn` for the TFX Trainer, `tuning.tuner_fn` for the TFX Tuner.

Imports `components`, `pipeline.config`, `serving.graph` and `transform`: it trains the cells that are served.
"""
