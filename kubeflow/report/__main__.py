"""Read the result of a run from its artifacts, and write it as scalar metrics and as an HTML page.

python -m kubeflow.report '{{$}}'

The launcher replaces `{{$}}` by KFP's `ExecutorInput`. TFX's entrypoint cannot run this task: it knows neither
`system.Metrics` nor `system.HTML`, the types that the user interfaces show.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from components import command_line, cpu_quota, lean_imports
from kubeflow.task import deadline, invocation


def main(argv: list[str] | None = None) -> int:
    """Run the task and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m kubeflow.report", allow_abbrev=False)
    parser.add_argument("invocation")
    parser.add_argument("--timeout_seconds", type=int, default=0)
    options = parser.parse_args(argv)
    deadline.start(options.timeout_seconds)
    cpu_quota.limit_threads(os.environ)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    return command_line.run(lambda: run(json.loads(options.invocation)))


def run(given: invocation.Invocation) -> int:
    """Write the outputs of an `ExecutorInput`, which is also how the metrics are passed on: as metadata."""
    with lean_imports.one_task():
        from kubeflow.report import result
        from pipeline.page import contents, html

    artifacts = {
        name: contents.Source(local(artifact["uri"]), artifact.get("metadata") or {})
        for name, artifact in _artifacts(given["inputs"])
    }
    found = contents.read(artifacts, **given["inputs"]["parameterValues"])
    figures = result.metrics(found.figures) if found.figures else {}
    outputs = dict(_artifacts(given["outputs"]))
    _write(outputs["report"]["uri"], html.render(found))
    _write(outputs["metrics"]["uri"], json.dumps(figures))
    metrics = {key: outputs["metrics"][key] for key in ("name", "uri")} | {"metadata": figures}
    _write(given["outputs"]["outputFile"], json.dumps({"artifacts": {"metrics": {"artifacts": [metrics]}}}))
    return command_line.OK


def local(uri: str) -> str:
    """Return where the backend provides an artifact as a file: a copy of KFP's launcher, or a mount of Vertex AI.

    Example:
      >>> local("gs://bucket/runs/1/Report/report")
      '/gcs/bucket/runs/1/Report/report'
    """
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return uri
    return os.path.join(os.environ.get(invocation.COPIES, "/"), {"gs": "gcs"}.get(scheme, scheme), rest)


def _artifacts(side: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(name, artifacts["artifacts"][0]) for name, artifacts in side["artifacts"].items()]


def _write(uri: str, text: str) -> None:
    path = Path(local(uri))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
