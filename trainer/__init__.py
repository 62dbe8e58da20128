"""Training of the recurrent language model, started by the TFX Trainer through `trainer.run.run_fn`."""
