"""One version of a model in memory: a SavedModel in a TensorFlow 1 session, as in TF Serving."""

import ctypes
import gc
import math
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import config_pb2

from serving.embedded.codec.signature import Signature, TensorInfo, Tensors
from serving.embedded.statuses import RequestError, internal, invalid
from serving.graph import generation_config, warmup

_MAX_WARMUP_RECORDS = 1000  # TF Serving rejects a model with more
_SMALL_MATRIX = 2**20  # elements: 512 x 1536 of a GRU with 512 units are fewer, 640 x 1920 are more


class LoadedModel:
    """A SavedModel that is ready to answer requests.

    Example: `test_outputs_equal_those_of_the_saved_model` in tests/serving/embedded/models/test_loaded.py.

    Attributes:
      signatures: signatures by name.
      threads: that share one operation. TensorFlow has one pool of threads in a process: the first version that is
        loaded decides.
      limits: limits of generation that the export states; None if it states none.
      warm_up_seconds: duration of the warm-up requests; None if there are none.
    """

    threads: ClassVar[int] = 0

    def __init__(self, directory: str) -> None:
        """Load the SavedModel and replay its warm-up requests.

        Raises:
          RequestError: the SavedModel cannot be loaded, or a warm-up request fails.
        """
        LoadedModel.threads = LoadedModel.threads or _threads_per_operation(directory)
        options = tf.compat.v1.ConfigProto(intra_op_parallelism_threads=self.threads)
        # Grappler rewrites the step into kernels that are slower for small batches: on two cores a 512-unit model
        # generated one row a third slower and four rows two thirds slower; no case was faster.
        options.graph_options.rewrite_options.disable_meta_optimizer = True
        options.gpu_options.allow_growth = True  # share the GPU with a training process
        self._session = tf.compat.v1.Session(graph=tf.Graph(), config=options)
        self._callables: dict[str, Callable[..., Any]] = {}
        try:
            with self._session.graph.as_default():
                meta = tf.compat.v1.saved_model.loader.load(self._session, ["serve"], directory)
            self.signatures = {name: _signature(proto) for name, proto in meta.signature_def.items()}
            self.limits = generation_config.read(directory)
            self.warm_up_seconds = self._warm_up(directory)
        except RequestError:
            self.close()
            raise
        except Exception as error:
            self.close()
            raise _request_error(error) from error

    def signature(self, name: str) -> Signature:
        """Return a signature by name.

        Raises:
          RequestError: the model does not have it.
        """
        if name not in self.signatures:
            raise invalid(f'Serving signature name: "{name}" not found in signature def')
        return self.signatures[name]

    def run(self, name: str, inputs: Tensors) -> dict[str, np.ndarray]:
        """Run a signature; the graph decides which shapes it takes, as in TF Serving.

        Args:
          name: of the signature.
          inputs: an array for each input of the signature; texts are `bytes` in arrays of objects.

        Raises:
          RequestError: the graph rejects the inputs.
        """
        signature = self.signature(name)
        if inputs.keys() != signature.inputs.keys():
            raise _wrong_inputs(set(inputs), set(signature.inputs))
        if name not in self._callables:
            # Not `make_callable`, which compares the shapes with the signature.
            options = config_pb2.CallableOptions(
                feed=[info.tensor for info in signature.inputs.values()],
                fetch=[info.tensor for info in signature.outputs.values()],
            )
            self._callables[name] = self._session._make_callable_from_options(options)
        try:
            outputs = self._callables[name](*(inputs[feed] for feed in signature.inputs))
        except Exception as error:
            raise _request_error(error) from error
        return {output: np.asarray(value) for output, value in zip(signature.outputs, outputs)}

    def close(self) -> None:
        """Free the weights and return their memory to the system."""
        self._callables.clear()
        self._session.close()
        del self._session
        gc.collect()  # a graph is a reference cycle: its weights would stay until the next collection
        _return_free_memory()

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """The signatures in the form of TF Serving's metadata route."""
        return {name: _signature_metadata(signature) for name, signature in sorted(self.signatures.items())}

    def _warm_up(self, directory: str) -> float | None:
        if not os.path.exists(os.path.join(directory, warmup.PLACE)):
            return None
        started = time.perf_counter()
        requests = warmup.read(directory)
        if len(requests) > _MAX_WARMUP_RECORDS:
            raise invalid(f"Number of warmup records exceeds the maximum ({_MAX_WARMUP_RECORDS}) supported")
        by_signature: dict[str, list[Tensors]] = {}
        for name, inputs in requests:
            by_signature.setdefault(name or "serving_default", []).append(inputs)
        # TensorFlow prepares a signature at its first run, in one thread.
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(self._run_all, by_signature, by_signature.values()))
        return time.perf_counter() - started

    def _run_all(self, name: str, requests: list[Tensors]) -> None:
        for inputs in requests:
            self.run(name, inputs)


def _threads_per_operation(directory: str) -> int:
    """Return how many threads share one operation: one for a small model on two cores, otherwise all cores.

    On two cores a small model's products of few rows take less time than waking the other thread: with one thread a
    512-unit GRU generates 1 to 4 rows in half the time. A 768-unit GRU would take half as long again for 16 rows.
    """
    cores = os.cpu_count() or 1
    variables = os.path.join(directory, "variables", "variables")
    if cores > 2 or not os.path.exists(f"{variables}.index"):
        return cores
    largest = max((math.prod(shape) for _, shape in tf.train.list_variables(variables)), default=0)
    return 1 if largest <= _SMALL_MATRIX else cores


def _return_free_memory() -> None:
    """Return freed pages to the system: glibc keeps them in the arenas of its threads, and each load fills others."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # other C libraries do not have it
    if trim is not None:
        trim(0)


def _signature(proto: Any) -> Signature:
    return Signature(_infos(proto.inputs), _infos(proto.outputs), proto.method_name)


def _infos(protos: Mapping[str, Any]) -> dict[str, TensorInfo]:
    infos = {}
    for name in sorted(protos):
        proto = protos[name]
        shape = None if proto.tensor_shape.unknown_rank else tuple(dim.size for dim in proto.tensor_shape.dim)
        enum = types_pb2.DataType.Name(proto.dtype)
        infos[name] = TensorInfo(enum.removeprefix("DT_").lower(), enum, proto.name, shape)
    return infos


def _signature_metadata(signature: Signature) -> dict[str, Any]:
    return {
        "inputs": {name: _tensor_metadata(info) for name, info in signature.inputs.items()},
        "outputs": {name: _tensor_metadata(info) for name, info in signature.outputs.items()},
        "method_name": signature.method,
        "defaults": {},
    }


def _tensor_metadata(info: TensorInfo) -> dict[str, Any]:
    dims = [{"size": str(size), "name": ""} for size in info.shape or ()]
    return {
        "dtype": info.enum,
        "tensor_shape": {"dim": dims, "unknown_rank": info.shape is None},
        "name": info.tensor,
    }


def _wrong_inputs(sent: set[str], needed: set[str]) -> RequestError:
    def names(some: set[str]) -> str:
        return "{" + ",".join(sorted(some)) + "}"

    return invalid(
        f"input size does not match signature: {len(sent)}!={len(needed)} len({names(sent)}) != len({names(needed)}). "
        f"Sent extra: {names(sent - needed)}. Missing but required: {names(needed - sent)}."
    )


def _request_error(error: Exception) -> RequestError:
    if isinstance(error, UnicodeDecodeError):  # of a message that quotes bytes of the request
        return invalid(error.object.decode("utf-8", "surrogateescape"))
    if isinstance(error, tf.errors.OpError):
        code = next(name for name, number in vars(tf.errors).items() if number == error.error_code and name.isupper())
        message = error.message.removeprefix("Graph execution error:\n\n")
        return RequestError(code, message.split("\n\nOriginal stack trace", 1)[0])
    if isinstance(error, OSError):
        return RequestError("NOT_FOUND", str(error))
    if isinstance(error, (ValueError, TypeError)):
        return invalid(str(error))
    return internal(error)
