"""Requests to one loaded version: generation is batched across requests, other signatures run one by one."""

import asyncio
import os
import secrets
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.embedded.codec.signature import Signature, Tensors
from serving.embedded.models.generation import Generator
from serving.embedded.models.loaded import LoadedModel
from serving.embedded.statuses import invalid
from serving.graph.generation_config import Limits

_MAX_PADDED_CHARACTERS = 500_000  # in one request that is not batched
_DIVIDED_ROWS = 12  # on one core each, two calls of 8 rows take 75 % of the time of one call of 16
_GENERATE = {"prompt", "num_chars", "temperature", "top_k", "seed"}
_SAMPLE = _GENERATE | {"top_p", "repetition_penalty", "stop"}
# Signatures of the OneStep model by the one that continues a text from a state and answers them all, with their inputs
# and outputs; older exports lack the second. Signatures that differ run without batching.
_BATCHED: dict[str, dict[str, tuple[set[str], set[str]]]] = {
    "generate_from_state": {
        "serving_default": ({"prompt"}, {"text"}),
        "generate": (_GENERATE, {"text"}),
        "generate_from_state": (_GENERATE | {"state"}, {"text", "state"}),
    },
    "sample_from_state": {
        "sample": (_SAMPLE, {"text", "stopped"}),
        "sample_from_state": (_SAMPLE | {"state"}, {"text", "state", "stopped"}),
    },
}


class Predictor:
    """Answers requests to one version.

    Example: `test_other_signatures_run_in_the_graph` in tests/serving/embedded/models/test_batching.py.
    """

    def __init__(
        self,
        model: LoadedModel,
        executor: Executor,
        max_rows: int,
        max_waiting: int,
        record_runtime: Callable[[float], None] | None = None,
    ) -> None:
        """Start the generators' threads.

        Args:
          model: is closed by `close`.
          executor: runs the requests that are not batched.
          max_rows: size of a batch of generation.
          max_waiting: rows that may queue for a place in the batch.
          record_runtime: is called with the seconds that each request took, queueing included.
        """
        self.model = model
        self._record_runtime = record_runtime
        self._executor = executor
        self._generators: dict[str, Generator] = {}  # by the signature that they answer
        if model.limits is None:
            return
        for continuing, signatures in _BATCHED.items():
            if all(_matches(model.signatures.get(name), *signatures[name]) for name in signatures):
                size = (model.signatures[continuing].inputs["state"].shape or (0,))[-1]
                divided = _DIVIDED_ROWS if model.threads < (os.cpu_count() or 1) else None
                generator = Generator(model.run, continuing, size, model.limits, max_rows, max_waiting, divided)
                self._generators |= dict.fromkeys(signatures, generator)

    @property
    def batched(self) -> bool:
        """Whether generation is batched across requests; False for a model without stated limits of generation."""
        return bool(self._generators)

    async def run(self, name: str, inputs: Tensors) -> dict[str, NDArray[Any]]:
        """Return the outputs of a signature by name.

        Raises:
          RequestError: the graph rejects the inputs, they are too large, or the queue is full.
        """
        started = time.perf_counter()
        outputs = await self._run(name, inputs)
        if self._record_runtime is not None:
            self._record_runtime(time.perf_counter() - started)
        return outputs

    async def _run(self, name: str, inputs: Tensors) -> dict[str, NDArray[Any]]:
        generator, limits = self._generators.get(name), self.model.limits
        if generator is not None and limits is not None:
            complete = _with_defaults(inputs, limits) if name == "serving_default" else inputs
            if generator.accepts(complete):
                outputs = await _result(generator.submit(complete))
                return {output: outputs[output] for output in self.model.signature(name).outputs}
        if limits is None or not (limits.max_score_chars if name == "score" else limits.max_batch_chars):
            _check_size(inputs)  # the graph bounds texts itself, in exports that state so
        return await _result(self._executor.submit(self.model.run, name, inputs))

    def close(self) -> None:
        """Finish the queued requests, then free the weights."""
        for generator in set(self._generators.values()):
            generator.stop()
        self.model.close()


async def _result(future: "Future[Any]") -> Any:
    # Cancelling the caller cancels the future, so that no text is generated for a client that disconnected.
    return await asyncio.wrap_future(future)


def _check_size(inputs: Tensors) -> None:
    """Reject texts that need too much memory: the graph pads all rows to the longest, kilobytes per character."""
    for array in inputs.values():
        if array.dtype == object and array.size:
            longest = max(map(len, array.flat))
            if longest * array.size > _MAX_PADDED_CHARACTERS:
                raise invalid(  # not RESOURCE_EXHAUSTED: a retry would be as large
                    f"{array.size} rows, padded to {longest} characters, need too much memory: at most "
                    f"{_MAX_PADDED_CHARACTERS} characters in all. Send shorter or fewer texts."
                )


def _matches(signature: Signature | None, inputs: set[str], outputs: set[str]) -> bool:
    return signature is not None and set(signature.inputs) == inputs and set(signature.outputs) == outputs


def _with_defaults(inputs: Tensors, limits: Limits) -> dict[str, NDArray[Any]]:
    shape = inputs["prompt"].shape
    seeds = [secrets.randbits(63) for _ in range(inputs["prompt"].size)]
    return {
        "prompt": inputs["prompt"],
        "num_chars": np.full(shape, limits.num_chars, np.int32),
        "temperature": np.full(shape, limits.temperature, np.float32),
        "top_k": np.full(shape, limits.top_k, np.int32),
        "seed": np.array(seeds, np.int64).reshape(shape),
    }
