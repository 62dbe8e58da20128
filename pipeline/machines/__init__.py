"""Training on several machines without a scheduler: `local_runner.py` on each, with `TF_CONFIG` and a shared root.

The chief runs the pipeline. The workers connect to its address in `TF_CONFIG`, wait for its Trainer, and train with it.
Every machine trains in a separate process: TensorFlow must be set up for several workers before it computes anything,
and Transform has used it before the Trainer runs.
"""
