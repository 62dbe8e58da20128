"""The exit task: reports a failed run to a webhook. It starts after all other tasks, whatever became of them.

python -m kubeflow.task.failure_report --pipeline char-rnn --variable FAILURE_WEBHOOK --invocation '{{$}}'
"""

import argparse
import http.client
import json
import os
import sys
import urllib.parse
import urllib.request
from typing import Any

from components import command_line
from components.errors import UserError

VARIABLE = "FAILURE_WEBHOOK"  # environment variable with the webhook's address, if the configuration names no other
TIMEOUT = 30.0  # seconds; the backend retries the task
_SUCCESS = ("SUCCEEDED", "COMPLETE", "CACHED", "SKIPPED")  # Vertex AI; Kubeflow Pipelines with and without ML Metadata
# Kubeflow Pipelines learns the state of a task from the task's own launcher.
_UNREPORTED = {"RUNNING": "A pod ended without reporting its state: evicted, out of memory, or never started."}


def main(argv: list[str] | None = None) -> int:
    """Report the run if it failed, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m kubeflow.task.failure_report", allow_abbrev=False)
    for option in ("--pipeline", "--variable", "--invocation"):
        parser.add_argument(option, required=True)
    given = parser.parse_args(argv)
    return command_line.run(lambda: _run(given))


def _run(given: argparse.Namespace) -> int:
    found = report(given.pipeline, json.loads(given.invocation)["inputs"]["parameterValues"])
    if found is None:
        print("the run succeeded; nothing is reported")
        return command_line.OK
    # First to the log, which has it even if the webhook cannot be reached.
    print(found["text"], flush=True)
    send(found, os.environ.get(given.variable, "").strip(), given.variable)
    return command_line.OK


def report(pipeline: str, parameters: dict[str, Any]) -> dict[str, str] | None:
    """Return what the webhook gets, or None if the run succeeded.

    Args:
      parameters: `status`, the backend's `PipelineTaskFinalStatus` of all other tasks together; `run` and `run_id`.

    Example:
      >>> status = {"state": "FAILED", "error": {"message": "The failed tasks are: [Trainer]."}}
      >>> report("char-rnn", {"run": "nightly", "run_id": "7", "status": status})["text"]
      'char-rnn: run nightly (7) failed. The failed tasks are: [Trainer].'
    """
    status = parameters.get("status", {})
    state = status.get("state", "UNKNOWN")
    if state in _SUCCESS:
        return None
    run, run_id = parameters["run"], parameters["run_id"]
    message = status.get("error", {}).get("message") or _UNREPORTED.get(state, "")
    outcome = "was canceled" if state.startswith("CANCEL") else "failed"
    text = f"{pipeline}: run {run} ({run_id}) {outcome}. {message}".strip()
    return {"text": text, "pipeline": pipeline, "run": run, "run_id": run_id, "state": state, "message": message}


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Makes a redirect an error: urllib would repeat the request as a GET, without the report."""

    def redirect_request(self, *_: Any) -> None: ...


def send(payload: dict[str, str], url: str, variable: str) -> None:
    """Post JSON. Errors do not contain the address, because it is a secret.

    Raises:
      UserError: the address is missing, or its server cannot be reached or refuses the request.
    """
    headers = {"Content-Type": "application/json"}
    try:
        if not url.lower().startswith(("http://", "https://")):
            raise ValueError
        request = urllib.request.Request(url, json.dumps(payload).encode(), headers)
        with urllib.request.build_opener(_NoRedirects).open(request, timeout=TIMEOUT):
            return
    except (ValueError, http.client.InvalidURL):  # their messages contain the address
        reason, server = "this is no address", "a text" if url else "nothing"
    except (OSError, http.client.HTTPException) as error:
        reason = str(error).removeprefix("<urlopen error ").removesuffix(">") or type(error).__name__
        server = urllib.parse.urlsplit(url).hostname or "a text"
    raise UserError(
        f"The webhook did not get the report of the failed run: {reason}. Check cluster.failure_webhook and the "
        f"secret that it names. Received: {server} in the environment variable {variable}"
    )


if __name__ == "__main__":
    sys.exit(main())
