"""Alert rules; docs/operations.md has a section for each, by its name, with what to do."""

from typing import Any

from pipeline.config.serving import ServingSettings
from serving.manifests.monitoring.queries import FAILURES, Queries, job
from serving.manifests.objects import object_name

_WINDOW = "5m"
_LOAD_WINDOW = "15m"  # longer than the minute between two attempts of both servers
_LEAST_ABSENCE_SECONDS = 300


def rules(settings: ServingSettings, model: str) -> dict[str, Any]:
    """Make the content of a rule file of Prometheus."""
    queries, limits = Queries(job(settings, model), model), settings.monitoring
    failures = "|".join(FAILURES)
    # All servers may be starting at the same time, each for so long.
    absence = max(_LEAST_ABSENCE_SECONDS, 2 * settings.start_seconds)
    slow = f"{limits.max_latency_seconds:g} s"

    def rule(name: str, expression: str, lasts: str, severity: str, summary: str, description: str) -> dict[str, Any]:
        return {
            "alert": name,
            "expr": expression,
            "for": lasts,
            "labels": {"severity": severity, "model": model},
            "annotations": {
                "summary": summary,
                "description": f"{description} What to do: docs/operations.md, section {name}.",
            },
        }

    return {
        "groups": [
            {
                "name": object_name(model),
                "rules": [
                    rule(
                        "ModelServerDown",
                        f"{queries.up()} == 0",
                        "2m",
                        "critical",
                        "Model server {{ $labels.instance }} does not answer",
                        "Prometheus cannot scrape the server.",
                    ),
                    rule(
                        "ModelNotServed",
                        f"absent({queries.loads('success')})",
                        f"{absence}s",
                        "critical",
                        f"No server has loaded a version of {model}",
                        f"No server of the job {queries.job} reports a loaded version: all are down, are not scraped, "
                        "or none could load a version.",
                    ),
                    rule(
                        "ModelVersionLoadFails",
                        queries.recent_loads("fail", _LOAD_WINDOW),
                        "0s",
                        "warning",
                        "{{ $labels.model_path }} cannot be loaded on {{ $labels.instance }}",
                        "A version is broken or incomplete, or the server lacks memory; the versions before it answer.",
                    ),
                    rule(
                        "ModelRequestsFail",
                        f"{queries.share(failures, _WINDOW)} > {limits.max_error_share:g}",
                        _WINDOW,
                        "critical",
                        f"{{{{ $value | humanizePercentage }}}} of the requests to {model} fail",
                        f"They end with {', '.join(FAILURES[:-1])} or {FAILURES[-1]}, which are the server's fault or "
                        "its overload.",
                    ),
                    rule(
                        "ModelRequestsNotFound",
                        f"{queries.share('NOT_FOUND', _WINDOW)} > {limits.max_error_share:g}",
                        _WINDOW,
                        "warning",
                        f"{{{{ $value | humanizePercentage }}}} of the requests to {model} find no version",
                        "Clients request a version that is not loaded, or no version is.",
                    ),
                    rule(
                        "ModelRequestsSlow",
                        f"{queries.latency(0.99, _WINDOW)} / 1e6 > {limits.max_latency_seconds:g}",
                        "10m",
                        "warning",
                        f"One in a hundred requests to {model} takes longer than {slow}",
                        "The 99th percentile of successful requests is {{ $value | humanizeDuration }}.",
                    ),
                ],
            }
        ]
    }
