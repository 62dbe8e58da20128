"""PromQL expressions over TF Serving's metrics of one model; the embedded server exposes the same.

Metrics of TF Serving: `servables/tensorflow/util.cc` (requests, latencies), `saved_model_warmup_util.cc` (warm-ups),
and TensorFlow's `cc/saved_model/loader.cc` (loads). None of them gives the version that is loaded.
"""

from dataclasses import dataclass

from pipeline.config.serving import ServingSettings
from serving.manifests.objects import object_name

# The server's fault or its overload; all others are answers to wrong requests.
FAILURES = ("ABORTED", "DATA_LOSS", "DEADLINE_EXCEEDED", "INTERNAL", "RESOURCE_EXHAUSTED", "UNAVAILABLE", "UNKNOWN")


def job(settings: ServingSettings, model: str) -> str:
    """Return the value of the label `job` of the model's servers."""
    return settings.monitoring.job or object_name(model)


@dataclass(frozen=True)
class Queries:
    """Expressions for the servers of one scrape job.

    Example:
      >>> Queries("char-rnn-serving", "char_rnn").requests("5m", status="OK")
      'rate(:tensorflow:serving:request_count{job="char-rnn-serving",model_name="char_rnn",status="OK"}[5m])'
    """

    job: str
    model: str

    def up(self) -> str:
        """Whether each server could be scraped, 1 or 0."""
        return f'up{{job="{self.job}"}}'

    def loads(self, status: str) -> str:
        """Return attempts to load a version since each server started; `status`: "success" or "fail"."""
        # TF Serving joins the model's directory and the version's.
        path = f".*/{self.model}/[0-9]+"
        labels = f'job="{self.job}",model_path=~"{path}",status="{status}"'
        return f":tensorflow:cc:saved_model:load_attempt_count{{{labels}}}"

    def recent_loads(self, status: str, window: str) -> str:
        """Attempts to load a version within a window, if there were any."""
        counter = self.loads(status)
        # A counter that starts at 1 does not increase: its first value counts unless it existed before the window.
        return f"(increase({counter}[{window}]) > 0) or ({counter} > 0 unless {counter} offset {window})"

    def requests(self, window: str, status: str | None = None) -> str:
        """Requests a second; `status`: one, or several joined by `|`."""
        matcher = "" if status is None else f',status=~"{status}"' if "|" in status else f',status="{status}"'
        return (
            f'rate(:tensorflow:serving:request_count{{job="{self.job}",model_name="{self.model}"{matcher}}}[{window}])'
        )

    def share(self, status: str, window: str) -> str:
        """Share of the requests that end with a status; nothing without requests."""
        return f"sum({self.requests(window, status)}) / (sum({self.requests(window)}) > 0)"

    def latency(self, quantile: float, window: str) -> str:
        """Quantile of the latency of successful requests for predictions, in microseconds."""
        buckets = self._rate("request_latency_bucket", window)
        # The label `instance` and, for REST and gRPC, `API` and `entrypoint` differ between buckets.
        return f"histogram_quantile({quantile}, sum by (le) ({buckets}))"

    def mean(self, metric: str, window: str) -> str:
        """Mean of `request_latency` or `runtime_latency` of predictions, in microseconds."""
        return f"sum({self._rate(f'{metric}_sum', window)}) / sum({self._rate(f'{metric}_count', window)})"

    def warm_ups(self) -> str:
        """Mean duration of each version's warm-up, in microseconds."""
        labels = f'{{job="{self.job}",model_path=~".*/{self.model}/[0-9]+"}}'
        total, count = (f":tensorflow:serving:model_warmup_latency_{part}{labels}" for part in ("sum", "count"))
        return f"sum by (model_path) ({total}) / sum by (model_path) ({count})"

    def _rate(self, metric: str, window: str) -> str:
        # The REST port has "predict", gRPC and `runtime_latency` have "Predict".
        labels = f'job="{self.job}",model_name="{self.model}",API=~"(?i)predict"'
        return f"rate(:tensorflow:serving:{metric}{{{labels}}}[{window}])"
