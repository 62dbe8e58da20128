"""This project's trainer, step by step: its model, its optimizer, and its loop's step function.

The job: `seed`, `model` and `training` of a configuration, `arrays` (see `benchmarks.implementations.job`),
`vocabulary_size`, `total_steps`, `threads`, and optionally `precision`, instead of that of `training`. A request
`{"steps": n}` is answered with wall and CPU seconds and the mean loss of the next n batches, and `{"evaluate": true}`
with the seconds, the loss, and the number of characters of an evaluation.
"""

from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks.implementations import job as jobs
from benchmarks.implementations.protocol import Answer, Stopwatch, serve
from pipeline.config.training import TrainingConfig
from trainer import hardware, optimizer
from trainer.data import windows
from trainer.loop import Loop
from trainer.model import LanguageModel


def start(job: dict[str, Any]) -> tuple[dict[str, Any], Answer]:
    """Create the model and its loop."""
    set_threads(job["threads"])
    training = TrainingConfig(**job["training"])
    if training.logical_cpus > 1:
        hardware.split_cpu(training.logical_cpus)
    machine = hardware.choose(training.strategy, job.get("precision", training.precision), training.logical_cpus)
    arrays = jobs.read(job["arrays"])
    cut = windows.contiguous if training.data_order == "contiguous" else windows.independent
    text = cut(arrays.ids, np.array([len(arrays.ids)], np.int64), int(training.sequence_length))
    _, loop = build(job, machine, job["vocabulary_size"], text, text, job["total_steps"])
    rows = arrays.inputs.shape[1]
    state: Any = loop.zero_state(rows)
    done = 0

    def batch(step: int) -> windows.Batch:
        ids = np.concatenate([arrays.inputs[step], arrays.targets[step, :, -1:]], 1)
        return windows.Batch(ids, arrays.mask[step].sum(1), arrays.keep[step])

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        nonlocal state, done
        if request.get("evaluate"):
            watch = Stopwatch()
            loss = loop.evaluate()
            return {**watch.read(), "characters": text.targets, "loss": loss}
        watch = Stopwatch()
        losses, state, _ = loop.train_steps(done, [batch(step) for step in range(done, done + request["steps"])], state)
        done += request["steps"]
        return {**watch.read(), "steps": request["steps"], "loss": float(np.mean(losses))}

    return {"precision": machine.precision, "description": machine.description}, answer


def build(
    job: dict[str, Any],
    machine: hardware.Hardware,
    vocabulary_size: int,
    train: windows.Windows,
    evaluation: windows.Windows,
    total_steps: int,
) -> tuple[LanguageModel, Loop]:
    """Create model and loop as `trainer.fitting.fit` does, from `seed`, `model`, and `training` of a configuration."""
    seed, training = job["seed"], TrainingConfig(**job["training"])
    with machine.strategy.scope():
        tf.random.set_seed(seed)
        model = LanguageModel(
            vocabulary_size,
            **job["model"],
            seed=seed,
            precision=machine.precision,
            stock_layer=machine.stock_layer,
        )
        built_optimizer = optimizer.create(
            training, total_steps, machine.strategy.num_replicas_in_sync, machine.precision
        )
        built_optimizer.build(model.weights_to_train)
        return model, Loop(training, seed, machine.strategy, model, built_optimizer, train, evaluation)


def set_threads(count: int) -> None:
    """Set the number of TensorFlow's threads; call it before any computation."""
    tf.config.threading.set_intra_op_parallelism_threads(count)
    tf.config.threading.set_inter_op_parallelism_threads(count)


if __name__ == "__main__":
    serve(start)
