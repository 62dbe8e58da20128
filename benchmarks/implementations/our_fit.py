"""A complete training by this project's `trainer.fitting.fit`, and the loss of the model.

The job: `corpus`, a path, optionally `documents` as in the configuration and `held_out`, see `benchmarks.corpus.load`,
and `threads`. The request: `seed`, `model` and `training` of a configuration and a `directory`: empty, or that of
an interrupted training, which resumes. The answer: CPU and wall seconds of `fit`, tracing and checkpoints included,
evaluations excluded; the loss of each evaluation; and the final nats per character by kind of context. The seconds of
an interrupted training count up to its last checkpoint: they are stored with every checkpoint, in `totals.json`.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks import corpus
from benchmarks.implementations.ours import set_threads
from benchmarks.implementations.protocol import Answer, Stopwatch, progress, serve
from components.ingest.documents import FILE
from pipeline.config.parameters import FitParameters
from trainer import fitting, hardware
from trainer.checkpoint import Checkpoints
from trainer.data import windows
from trainer.loop import Loop
from trainer.model import LanguageModel

TOTALS = "totals.json"
_ROWS = 64  # windows per batch
_LENGTH = 500  # characters per window with carried state


def start(job: dict[str, Any]) -> tuple[dict[str, Any], Answer]:
    """Read the corpus."""
    set_threads(job["threads"])
    text = corpus.load(job["corpus"], documents=job.get("documents", FILE), held_out=job.get("held_out", 0))

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        parameters = FitParameters.model_validate({name: request[name] for name in FitParameters.model_fields})
        training = parameters.training
        machine = hardware.choose(training.strategy, training.precision, training.logical_cpus)
        totals = Path(request["directory"], TOTALS)
        known = json.loads(totals.read_text()) if totals.exists() else {"taken": {}, "curve": []}
        watch, curve = Stopwatch(known["taken"]), known["curve"]
        # `fit` creates them by these names.
        fitting.Loop = _recording(watch, curve)  # type: ignore[attr-defined]
        fitting.Checkpoints = _keeping(watch, curve, totals)  # type: ignore[attr-defined]
        model, position, *_ = fitting.fit(parameters, machine, text, request["directory"], True)
        taken = watch.read()
        ids, end = text.evaluation.ids, text.vocabulary.end_of_document
        return {
            **taken,
            "steps": position.step,
            "parameters": sum(int(np.prod(weight.shape)) for weight in model.weights_to_train),
            "curve": curve,
            "nats": {
                "carried": carried(model, ids, _LENGTH, end),
                "windows of 100": in_windows(model, ids, 100, end),
                "windows of 256": in_windows(model, ids, 256, end),
            },
        }

    return {"characters": text.train.targets, "eval_characters": text.evaluation.targets}, answer


def _recording(watch: Stopwatch, curve: list[dict[str, float]]) -> type[Loop]:
    class Recording(Loop):
        def evaluate(self) -> float:
            with watch.paused():
                loss = super().evaluate()
            curve.append({**watch.read(), "loss": loss})
            progress(curve)
            return loss

    return Recording


def _keeping(watch: Stopwatch, curve: list[dict[str, float]], totals: Path) -> type[Checkpoints]:
    class Keeping(Checkpoints):
        def save(self, *arguments: Any) -> None:
            super().save(*arguments)
            totals.write_text(json.dumps({"taken": watch.read(), "curve": curve}))

    return Keeping


def carried(model: LanguageModel, ids: Any, length: int, end: int | None = None) -> float:
    """Return nats per character with the state carried through the entire text, or through each short document.

    Args:
      end: id of the end-of-document symbol, if the text has one.
    """
    return _nats(model, ids, length, end, rows=1, carries=True)


def in_windows(model: LanguageModel, ids: Any, size: int, end: int | None = None) -> float:
    """Return nats per character in adjacent windows within documents, each from the zero state."""
    return _nats(model, ids, size, end, rows=_ROWS, carries=False)


def _nats(model: LanguageModel, ids: Any, size: int, end: int | None, rows: int, carries: bool) -> float:
    text = windows.contiguous(ids, np.array([len(ids)], np.int64), size, end)
    step_of, zeros, total = _step(model), model.zero_state(rows), 0.0
    state = zeros
    for batch in windows.contiguous_batches(text, rows):
        kept = tuple(part * batch.carry_mask for part in state) if carries else zeros
        loss, state = step_of(tf.constant(batch.inputs), tf.constant(batch.targets), tf.constant(batch.mask), kept)
        total += float(loss)
    return total / text.targets


def _step(model: LanguageModel) -> Any:
    def step(inputs: Any, targets: Any, counts: Any, state: Any) -> tuple[Any, Any]:
        logits, state = model(inputs, state)
        nats = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
        return tf.reduce_sum(nats * counts), state

    return tf.function(step, autograph=False)


if __name__ == "__main__":
    serve(start)
