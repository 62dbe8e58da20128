"""A loaded version at work: which requests write together, and which run alone."""

import asyncio
import secrets
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.embedded.codec.signature import Signature, Tensors
from serving.embedded.models.generation import SIGNATURE, Generator
from serving.embedded.models.loaded import Loaded
from serving.embedded.statuses import invalid
from serving.graph.generation_config import Limits

_MOST_CHARACTERS = 500_000  # read at once by a signature that is not batched
_CONTROLS = {"prompt", "num_chars", "temperature", "top_k", "seed"}
# What the signatures of the OneStep model take and give; a model of another kind runs without batching.
_GENERATING = {
    "serving_default": ({"prompt"}, {"text"}),
    "generate": (_CONTROLS, {"text"}),
    SIGNATURE: (_CONTROLS | {"state"}, {"text", "state"}),
}


class Answering:
    """Answers requests to one version."""

    def __init__(
        self,
        loaded: Loaded,
        alone: Executor,
        max_rows: int,
        max_waiting: int,
        ran: Callable[[float], None] | None = None,
    ) -> None:
        """Start generating.

        Args:
          alone: runs the requests that are not batched.
          max_rows: rows that write together.
          max_waiting: rows that may wait for a place.
          ran: is told how many seconds each request waited for the graph and used it.
        """
        self.loaded = loaded
        self._ran = ran
        self._alone = alone
        self._generator = None
        if loaded.limits is not None and all(
            _is(loaded.signatures.get(name), *_GENERATING[name]) for name in _GENERATING
        ):
            self._generator = Generator(loaded.run, loaded.limits, max_rows, max_waiting)

    @property
    def batched(self) -> bool:
        """Whether rows of several requests write together; not for a model that does not say how it generates."""
        return self._generator is not None

    async def run(self, name: str, inputs: Tensors) -> dict[str, NDArray[Any]]:
        """Outputs of a signature by name.

        Raises:
          Refusal: the graph refuses the inputs, they are too large, or too much is waiting.
        """
        started = time.perf_counter()
        outputs = await self._run(name, inputs)
        if self._ran is not None:
            self._ran(time.perf_counter() - started)
        return outputs

    async def _run(self, name: str, inputs: Tensors) -> dict[str, NDArray[Any]]:
        generator, limits = self._generator, self.loaded.limits
        if generator is not None and limits is not None and name in _GENERATING:
            full = _with_defaults(inputs, limits) if name == "serving_default" else inputs
            if generator.takes(full):
                texts, states = await _outcome(generator.submit(full))
                outputs = {"text": texts, "state": states}
                return {one: outputs[one] for one in self.loaded.signature(name).outputs}
        _check_size(inputs)
        return await _outcome(self._alone.submit(self.loaded.run, name, inputs))

    def close(self) -> None:
        """Finish what is queued, then free the weights."""
        if self._generator is not None:
            self._generator.stop()
        self.loaded.close()


async def _outcome(future: "Future[Any]") -> Any:
    # Whoever stops waiting for it takes it back, so that nobody writes for a client that is gone.
    return await asyncio.wrap_future(future)


def _check_size(inputs: Tensors) -> None:
    """The graph holds some kilobytes for every character of the longest text, in every row."""
    for array in inputs.values():
        if array.dtype == object and array.size:
            longest = max(map(len, array.flat))
            if longest * array.size > _MOST_CHARACTERS:
                raise invalid(  # not RESOURCE_EXHAUSTED: sent again, it would be as large
                    f"{longest} characters in {array.size} rows need too much memory at once: at most "
                    f"{_MOST_CHARACTERS} in all, rows filled up to the longest; send shorter texts, or fewer"
                )


def _is(signature: Signature | None, inputs: set[str], outputs: set[str]) -> bool:
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
