"""The same network as a stock Keras 3 model, trained with `fit`.

The job is that of `benchmarks.implementations.ours`, with `policy`, a Keras dtype policy. Time is
measured from the start of the first batch to the end of the last one, without the work of `fit` once per epoch.
"""

from typing import Any

import keras
import tensorflow as tf

from benchmarks.implementations import job as jobs
from benchmarks.implementations.ours import set_threads
from benchmarks.implementations.protocol import Answer, Stopwatch, serve
from pipeline.config.training import TrainingConfig
from trainer import optimizer

_LAYERS = {"rnn": keras.layers.SimpleRNN, "gru": keras.layers.GRU, "lstm": keras.layers.LSTM}


class BatchTimer(keras.callbacks.Callback):
    """Measure the time of the batches of one `fit`."""

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        if batch == 0:
            self._watch = Stopwatch()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        self.taken = self._watch.read()


def start(job: dict[str, Any]) -> tuple[dict[str, Any], Answer]:
    """Build and compile the model."""
    set_threads(job["threads"])
    training = job["training"]
    arrays = jobs.read(job["arrays"])
    carries = training["data_order"] == "contiguous"
    keras.utils.set_random_seed(job["seed"])
    model, layers = build(job, arrays.inputs.shape[1:], carries)
    model.compile(
        optimizer=optimizer.create(TrainingConfig(**training), job["total_steps"], 1, "float32"),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    done = 0

    def fit(first: int, last: int) -> tuple[dict[str, float], float]:
        timer = BatchTimer()
        # The usual input of `fit`: a dataset whose elements are batches.
        batches = tf.data.Dataset.from_tensor_slices((arrays.inputs[first:last], arrays.targets[first:last]))
        history = model.fit(batches, verbose=0, callbacks=[timer])
        return timer.taken, history.history["loss"][0] * (last - first)

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        nonlocal done
        wall, cpu, loss, end = 0.0, 0.0, 0.0, done + request["steps"]
        while done < end:
            if carries and not arrays.keep[done].any():
                for layer in layers:
                    layer.reset_state()
            forgets = [at for at in range(done + 1, end) if carries and not arrays.keep[at].any()]
            last = min([end, *forgets])
            taken, total = fit(done, last)
            wall, cpu, loss, done = wall + taken["wall"], cpu + taken["cpu"], loss + total, last
        return {"wall": wall, "cpu": cpu, "steps": request["steps"], "loss": loss / request["steps"]}

    precision = "float32" if job["policy"] == "float32" else "bfloat16"
    return {"precision": precision, "jit_compile": bool(model.jit_compile)}, answer


def build(job: dict[str, Any], shape: tuple[int, int], carries: bool) -> tuple[keras.Model, list[Any]]:
    """Return the model for batches of a shape, and its recurrent layers, which are stateful if `carries`."""
    shown, policy = job["model"], job["policy"]
    before_each = [shown["input_dropout"], *[shown["layer_dropout"]] * (shown["layers"] - 1)]
    layers = [
        _LAYERS[shown["cell"]](shown["units"], return_sequences=True, stateful=carries, dtype=policy)
        for _ in range(shown["layers"])
    ]
    spread = keras.initializers.RandomUniform(-shown["initial_embedding"], shown["initial_embedding"], seed=job["seed"])
    stack: list[Any] = [
        keras.layers.Embedding(job["vocabulary_size"], shown["embedding"], embeddings_initializer=spread, dtype=policy)
    ]
    for rate, layer in zip(before_each, layers, strict=True):
        stack += [keras.layers.Dropout(rate, dtype=policy), layer]  # the identity at a rate of zero
    stack.append(keras.layers.Dropout(shown["output_dropout"], dtype=policy))
    stack.append(keras.layers.Dense(job["vocabulary_size"], dtype=policy))
    # The loss needs float32: see Keras' guide to mixed precision.
    stack.append(keras.layers.Activation("linear", dtype="float32"))
    ids = keras.Input(batch_shape=shape, dtype="int32")
    x = ids
    for one in stack:
        x = one(x)
    return keras.Model(ids, x), layers


if __name__ == "__main__":
    serve(start)
