"""Matrix products only: the peak speed of the machine in TensorFlow or PyTorch.

The job: `library` and `threads`. A request `{"shape": [rows, inner, columns], "dtype": ..., "seconds": s}` is answered
with floating-point operations per second of wall time and of CPU time.
"""

from collections.abc import Callable
from typing import Any

from benchmarks.implementations.protocol import Answer, Stopwatch, serve

_AT_A_TIME = 8  # products between two readings of the clock


def start(job: dict[str, Any]) -> tuple[dict[str, Any], Answer]:
    """Select the library."""
    make = {"tensorflow": _tensorflow, "torch": _torch}[job["library"]](job["threads"])

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        rows, inner, columns = request["shape"]
        run = make(rows, inner, columns, request["dtype"])
        run()
        count, watch = 0, Stopwatch()
        while watch.read()["wall"] < request["seconds"]:
            run()
            count += _AT_A_TIME
        taken, done = watch.read(), 2.0 * rows * inner * columns * count
        return {"per_second": done / taken["wall"], "per_cpu_second": done / taken["cpu"]}

    return {}, answer


def _tensorflow(threads: int) -> Callable[..., Callable[[], Any]]:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)

    def make(rows: int, inner: int, columns: int, dtype: str) -> Callable[[], Any]:
        left = tf.cast(tf.random.normal((rows, inner)), dtype)
        right = tf.cast(tf.random.normal((inner, columns)), dtype)

        def run() -> None:
            for _ in range(_AT_A_TIME):
                product = tf.matmul(left, right)
            product[0, 0].numpy()

        return run

    return make


def _torch(threads: int) -> Callable[..., Callable[[], Any]]:
    import torch

    torch.set_num_threads(threads)

    def make(rows: int, inner: int, columns: int, dtype: str) -> Callable[[], Any]:
        kind = getattr(torch, dtype)
        left, right = torch.randn(rows, inner).to(kind), torch.randn(inner, columns).to(kind)
        product = torch.empty(rows, columns, dtype=kind)

        def run() -> None:
            for _ in range(_AT_A_TIME):
                torch.mm(left, right, out=product)

        return run

    return make


if __name__ == "__main__":
    serve(start)
