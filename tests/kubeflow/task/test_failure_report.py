"""The exit task: what it reports, and what happens if the webhook does not answer."""

import doctest
import json
import socket
from typing import Any

import pytest

from kubeflow.task import failure_report

FAILED = {"state": "FAILED", "pipelineTaskName": "pipeline", "error": {"message": "The failed tasks are: [Trainer]."}}


def main(status: dict[str, Any]) -> int:
    parameters = {"run": "nightly", "run_id": "7", "status": status}
    invocation = json.dumps({"inputs": {"parameterValues": parameters}})
    return failure_report.main(["--pipeline", "char-rnn", "--variable", "HOOK", "--invocation", invocation])


def test_docstring_examples_are_true() -> None:
    assert doctest.testmod(failure_report).failed == 0


@pytest.mark.parametrize("state", ["SUCCEEDED", "COMPLETE", "CACHED"])
def test_nothing_is_reported_about_a_run_that_succeeded(state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Vertex AI, and Kubeflow Pipelines with ML Metadata, have different words for it."""
    monkeypatch.setattr(failure_report, "send", lambda *_: pytest.fail("sent"))
    assert main({"state": state}) == 0


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (FAILED, "char-rnn: run nightly (7) failed. The failed tasks are: [Trainer]."),
        ({"state": "FAILED", "error": {}}, "char-rnn: run nightly (7) failed."),
        ({"state": "CANCELLED"}, "char-rnn: run nightly (7) was canceled."),
        # A pod that dies does not tell Kubeflow Pipelines so.
        ({"state": "RUNNING"}, "char-rnn: run nightly (7) failed. A pod ended without reporting its state"),
        ({}, "char-rnn: run nightly (7) failed."),
    ],
)
def test_every_other_state_is_reported(status: dict[str, Any], text: str) -> None:
    found = failure_report.report("char-rnn", {"run": "nightly", "run_id": "7", "status": status})
    assert found
    assert found["text"].startswith(text)
    assert found["state"] == status.get("state", "UNKNOWN")


@pytest.mark.integration
def test_webhook_gets_json_with_a_text_for_slack(webhook: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK", f"http://127.0.0.1:{webhook.server_port}/T1\n")
    assert main(FAILED) == 0
    expected = {
        "text": "char-rnn: run nightly (7) failed. The failed tasks are: [Trainer].",
        "pipeline": "char-rnn",
        "run": "nightly",
        "run_id": "7",
        "state": "FAILED",
        "message": "The failed tasks are: [Trainer].",
    }
    assert webhook.received == [("/T1", "application/json", expected)]


@pytest.mark.integration
@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1:{closed}/T1234", ": [Errno 111] Connection refused. "),
        ("http://127.0.0.1:{port}/gone/T1234", "HTTP Error 404"),
        ("http://127.0.0.1:{port}/moved/T1234", "HTTP Error 302"),
        ("data:,T1234", "this is no address"),
        ("http://[T1234", "this is no address"),
        ("http://h.example:T1234", "this is no address"),
        ("T1234", "this is no address"),
        ("", "Received: nothing in the environment variable HOOK"),
    ],
)
def test_webhook_that_does_not_accept_the_report_fails_the_task_after_the_log_has_it(
    url: str, reason: str, webhook: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        closed = unused.getsockname()[1]
    monkeypatch.setenv("HOOK", url.format(closed=closed, port=webhook.server_port))
    assert main(FAILED) == 2
    printed = capsys.readouterr()
    assert "run nightly (7) failed. The failed tasks are: [Trainer]." in printed.out
    assert printed.err.startswith("error: The webhook did not get the report")
    assert reason in printed.err
    assert "T1234" not in printed.err, "the address is a secret"
