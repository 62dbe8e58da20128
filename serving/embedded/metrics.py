"""Requests, latencies and loads of versions under TF Serving's metric names, in Prometheus' text format."""

import bisect
import threading
from collections import defaultdict

_BUCKETS = [10.0 * 1.8**i for i in range(33)]  # microseconds: TF Serving's exponential buckets
_HELP = {
    "cc:saved_model:load_attempt_count": (
        "counter",
        "The number of times that a version was loaded, or failed to load",
    ),
    "serving:request_count": ("counter", "The total number of requests"),
    "serving:request_latency": ("histogram", "Latency of successful requests, in microseconds"),
    "serving:runtime_latency": (
        "histogram",
        "Time that a successful request queued for and ran the graph, in microseconds",
    ),
    "serving:model_warmup_latency": ("histogram", "Time to replay a version's warm-up requests, in microseconds"),
}


class Metrics:
    """Counters and histograms; any thread may add to them.

    Example:
      >>> metrics = Metrics()
      >>> metrics.count_request("char_rnn", "predict", "OK", seconds=0.01)
      >>> print(metrics.text().splitlines()[4])
      :tensorflow:serving:request_count{model_name="char_rnn",status="OK"} 1
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: dict[tuple[str, str], int] = defaultdict(int)
        self._loads: dict[tuple[str, str], int] = defaultdict(int)
        self._times: dict[tuple[str, str], list[int]] = {}
        self._sums: dict[tuple[str, str], float] = defaultdict(float)

    def count_request(self, model: str, api: str, code: str, seconds: float) -> None:
        """Count a request; as in TF Serving, only successful ones are timed.

        `api` is the verb of the path: "predict", or "" for status and metadata.
        """
        with self._lock:
            self._requests[model, code] += 1
        if code == "OK":
            self._time(
                "serving:request_latency", f'model_name="{_escaped(model)}",API="{api}",entrypoint="REST"', seconds
            )

    def record_runtime(self, model: str, seconds: float) -> None:
        """Add the time that a request took in the graph, queueing included, as in TF Serving."""
        self._time("serving:runtime_latency", f'model_name="{_escaped(model)}",API="Predict",runtime="TF1"', seconds)

    def record_warmup(self, directory: str, seconds: float) -> None:
        """Add the time that replaying a version's warm-up requests took; `directory` holds its SavedModel."""
        self._time("serving:model_warmup_latency", f'model_path="{_escaped(directory)}",status="OK"', seconds)

    def count_load(self, directory: str, status: str) -> None:
        """Count an attempt to load a version: "success" or "fail".

        A failed warm-up request counts as "fail"; TF Serving counts only whether the SavedModel itself was loaded.
        """
        with self._lock:
            self._loads[directory, status] += 1

    def text(self) -> str:
        """Return all metrics in the format that Prometheus scrapes."""
        with self._lock:
            lines = _head("cc:saved_model:load_attempt_count")
            for (directory, status), count in sorted(self._loads.items()):
                labels = f'{{model_path="{_escaped(directory)}",status="{status}"}}'
                lines.append(f":tensorflow:cc:saved_model:load_attempt_count{labels} {count}")
            lines += _head("serving:request_count")
            for (model, code), count in sorted(self._requests.items()):
                labels = f'{{model_name="{_escaped(model)}",status="{code}"}}'
                lines.append(f":tensorflow:serving:request_count{labels} {count}")
            for name in ("serving:request_latency", "serving:runtime_latency", "serving:model_warmup_latency"):
                lines += _head(name)
                for (metric, labels), counts in sorted(self._times.items()):
                    if metric == name:
                        lines += _histogram(name, labels, counts, self._sums[metric, labels])
        return "\n".join(lines) + "\n"

    def _time(self, name: str, labels: str, seconds: float) -> None:
        microseconds = seconds * 1e6
        with self._lock:
            counts = self._times.setdefault((name, labels), [0] * (len(_BUCKETS) + 1))
            counts[bisect.bisect_left(_BUCKETS, microseconds)] += 1
            self._sums[name, labels] += microseconds


def _head(name: str) -> list[str]:
    kind, text = _HELP[name]
    return [f"# HELP :tensorflow:{name} {text}", f"# TYPE :tensorflow:{name} {kind}"]


def _histogram(name: str, labels: str, counts: list[int], total: float) -> list[str]:
    lines, cumulative = [], 0
    for bound, count in zip([*map(str, _BUCKETS), "+Inf"], counts):
        cumulative += count
        lines.append(f':tensorflow:{name}_bucket{{{labels},le="{bound}"}} {cumulative}')
    lines.append(f":tensorflow:{name}_sum{{{labels}}} {total}")
    lines.append(f":tensorflow:{name}_count{{{labels}}} {cumulative}")
    return lines


def _escaped(label: str) -> str:
    return label.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
