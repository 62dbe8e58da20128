"""Schedules through the real google-cloud-aiplatform, over REST, with a small server of the calls used.

Google's service itself is not tested.
"""

import itertools
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from components.errors import UserError
from kubeflow.deploy.backend import Package
from kubeflow.deploy.vertex import Vertex
from tests.kubeflow.turns import Turns, some_orders

pytestmark = pytest.mark.integration

PARENT = "projects/p/locations/us-central1"
MISSING = {"error": {"code": 404, "message": "not found", "status": "NOT_FOUND"}}
PAGE = 2
PIPELINE = """
pipelineInfo: {name: char-rnn}
schemaVersion: 2.1.0
sdkVersion: tfx-1.16.0
root:
  dag: {tasks: {A: {componentRef: {name: A}, taskInfo: {name: A}}}}
  inputDefinitions: {parameters: {corpus: {parameterType: STRING, defaultValue: sample, isOptional: true}}}
components: {A: {executorLabel: A_executor}}
deploymentSpec: {executors: {A_executor: {container: {image: i}}}}
"""


@dataclass
class State:
    """Objects of the server and requests it received. `answer` replaces the body of every response."""

    schedules: dict[str, Any] = field(default_factory=dict)
    jobs: list[Any] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)
    status: int = 200
    answer: bytes | None = None
    numbers: Iterator[int] = field(default_factory=itertools.count)


class Handler(BaseHTTPRequestHandler):
    state: State

    def do_GET(self) -> None:  # noqa: N802 - http.server's name
        name = self._name()
        if name.endswith("/schedules"):
            page = list(self.state.schedules.values())
            start = int(parse_qs(urlsplit(self.path).query).get("pageToken", ["0"])[0])
            more = {"nextPageToken": str(start + PAGE)} if page[start + PAGE :] else {}
            return self._answer({"schedules": page[start : start + PAGE], **more})
        if name.endswith("/pipelineJobs"):
            return self._answer({"pipelineJobs": self.state.jobs})
        return self._answer(MISSING, 404)

    def do_POST(self) -> None:  # noqa: N802
        name = self._name()
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "{}")
        self.state.writes.append(f"POST {name.removeprefix(PARENT + '/')}")
        if name.endswith("/schedules"):
            body |= {"name": f"{PARENT}/schedules/{next(self.state.numbers)}", "state": "ACTIVE"}
            self.state.schedules[body["name"]] = body
        elif name.endswith("/pipelineJobs"):
            body |= {"name": f"{PARENT}/pipelineJobs/{next(self.state.numbers)}", "state": "PIPELINE_STATE_SUCCEEDED"}
            body["createTime"] = "2026-01-01T00:00:00Z"
            self.state.jobs.append(body)
        else:
            name, _, verb = name.partition(":")
            if name not in self.state.schedules:
                return self._answer(MISSING, 404)
            self.state.schedules[name]["state"] = "PAUSED" if verb == "pause" else "ACTIVE"
            body = {}
        return self._answer(body)

    def do_DELETE(self) -> None:  # noqa: N802
        name = self._name()
        self.state.writes.append(f"DELETE {name.removeprefix(PARENT + '/')}")
        if self.state.schedules.pop(name, None) is None:
            return self._answer(MISSING, 404)
        empty = {"@type": "type.googleapis.com/google.protobuf.Empty"}
        return self._answer({"name": f"{name}/operations/1", "done": True, "response": empty})

    def _name(self) -> str:
        return self.path.partition("?")[0].removeprefix("/v1/")

    def _answer(self, body: Any, status: int = 200) -> None:
        text = self.state.answer if self.state.answer is not None else json.dumps(body).encode()
        self.send_response(max(status, self.state.status))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> Iterator[State]:
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import aiplatform
    from google.cloud.aiplatform.utils import gcs_utils

    held = State()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"state": held}))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    init = aiplatform.init

    def local(project: str, location: str) -> None:
        address = f"http://127.0.0.1:{server.server_address[1]}"
        credentials = AnonymousCredentials()
        init(project=project, location=location, credentials=credentials, api_endpoint=address, api_transport="rest")

    monkeypatch.setattr(aiplatform, "init", local)
    # Storage is a different service.
    monkeypatch.setattr(gcs_utils, "create_gcs_bucket_for_pipeline_artifacts_if_it_does_not_exist", lambda **_: None)
    yield held
    server.shutdown()
    server.server_close()
    thread.join()


def package(tmp_path: Path, text: str = PIPELINE, **changes: Any) -> Package:
    file = tmp_path / "pipeline.yaml"
    file.write_text(text)
    values = {"parameters": {"corpus": "gs://b/x.txt"}, "pipeline_root": "gs://b/runs"} | changes
    return Package("char-rnn", str(file), **values)


def vertex(printed: list[str]) -> Vertex:
    return Vertex("p", "us-central1", printed.append)


def test_first_deployment_creates_a_schedule_and_second_writes_nothing(state: State, tmp_path: Path) -> None:
    printed: list[str] = []
    vertex(printed).deploy(package(tmp_path), "0 3 * * *")
    assert state.writes == ["POST schedules"]
    (schedule,) = state.schedules.values()
    assert (schedule["cron"], schedule["maxConcurrentRunCount"]) == ("0 3 * * *", "1")
    job = schedule["createPipelineJobRequest"]["pipelineJob"]
    assert job["runtimeConfig"]["gcsOutputDirectory"] == "gs://b/runs"
    assert job["runtimeConfig"]["parameterValues"] == {"corpus": "gs://b/x.txt"}
    assert "cachingOptions" not in json.dumps(job)
    state.writes.clear()
    vertex(printed).deploy(package(tmp_path), "0 3 * * *")
    assert state.writes == []
    assert "exists already" in printed[-1]


def test_changed_schedule_is_created_before_the_previous_one_is_deleted_and_keeps_the_pause(
    state: State, tmp_path: Path
) -> None:
    printed: list[str] = []
    vertex(printed).deploy(package(tmp_path), "0 3 * * *")
    vertex(printed).pause("char-rnn")
    state.writes.clear()
    vertex(printed).deploy(package(tmp_path), "0 4 * * *")
    assert [write.split("/")[0] for write in state.writes] == ["POST schedules", "POST schedules", "DELETE schedules"]
    (schedule,) = state.schedules.values()
    assert (schedule["cron"], schedule["state"]) == ("0 4 * * *", "PAUSED")


@pytest.mark.parametrize(
    "change",
    [
        {"text": f"{PIPELINE}# of another version"},
        {"parameters": {"corpus": "gs://b/y.txt"}},
        {"pipeline_root": "gs://b/other"},
        {"service_account": "other@p.iam.gserviceaccount.com"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_value_of_a_run_counts_as_a_change(state: State, tmp_path: Path, change: dict[str, Any]) -> None:
    vertex([]).deploy(package(tmp_path), "0 3 * * *")
    before = set(state.schedules)
    vertex([]).deploy(package(tmp_path, **change), "0 3 * * *")
    assert len(state.schedules) == 1
    assert before.isdisjoint(state.schedules)


def test_submit_status_resume_and_delete(state: State, tmp_path: Path) -> None:
    printed: list[str] = []
    vertex(printed).submit(package(tmp_path))
    vertex(printed).deploy(package(tmp_path), "0 3 * * *")
    vertex(printed).pause("char-rnn")
    vertex(printed).pause("char-rnn")
    assert "paused already" in printed[-1]
    vertex(printed).pause("char-rnn", resume=True)
    vertex(printed).status("char-rnn")
    assert any("active, char-rnn-" in line for line in printed)
    assert any("PIPELINE_STATE_SUCCEEDED" in line for line in printed)
    vertex(printed).delete("char-rnn")
    assert not state.schedules
    with pytest.raises(UserError, match="This pipeline has no schedule"):
        vertex(printed).pause("char-rnn")


def test_one_of_equal_schedules_is_kept_active(state: State, tmp_path: Path) -> None:
    vertex([]).deploy(package(tmp_path), "0 3 * * *")
    ((name, active),) = state.schedules.items()
    twin = {**active, "name": f"{PARENT}/schedules/twin", "state": "PAUSED"}
    state.schedules.clear()
    state.schedules |= {twin["name"]: twin, name: active}
    vertex([]).deploy(package(tmp_path), "0 3 * * *")
    assert [schedule["state"] for schedule in state.schedules.values()] == ["ACTIVE"]


def test_active_schedule_stays_active_if_its_duplicate_was_paused(state: State, tmp_path: Path) -> None:
    vertex([]).deploy(package(tmp_path), "0 3 * * *")
    ((name, other),) = state.schedules.items()
    vertex([]).deploy(package(tmp_path), "0 4 * * *")
    ((kept, paused),) = state.schedules.items()
    paused["state"] = "PAUSED"
    state.schedules[name] = other
    vertex([]).deploy(package(tmp_path), "0 4 * * *")
    assert {name: schedule["state"] for name, schedule in state.schedules.items()} == {kept: "ACTIVE"}


def test_missing_schedule_is_reported(state: State) -> None:
    printed: list[str] = []
    vertex(printed).delete("char-rnn")
    state.jobs = []
    vertex(printed).status("char-rnn")
    assert printed == ["char-rnn has no schedule"] * 2


def test_schedule_of_another_pipeline_is_kept(state: State, tmp_path: Path) -> None:
    other = {
        "name": f"{PARENT}/schedules/other",
        "displayName": "char-rnn-poems",
        "state": "ACTIVE",
        "cron": "0 1 * * *",
    }
    state.schedules[other["name"]] = other
    vertex([]).deploy(package(tmp_path), "0 3 * * *")
    vertex([]).delete("char-rnn")
    assert list(state.schedules) == [other["name"]]


def test_rejected_request_is_one_paragraph(state: State) -> None:
    state.status = 403
    with pytest.raises(
        UserError, match="(?s)gcloud auth application-default login.*Received: (Forbidden|PermissionDenied)"
    ):
        vertex([]).status("char-rnn")


@pytest.mark.parametrize("kind", [requests.ConnectionError, ValueError])
def test_unreachable_service_is_one_paragraph(
    state: State, monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise kind("no route")

    monkeypatch.setattr(requests.Session, "request", broken)
    with pytest.raises(UserError, match=f"cannot be reached.*Received: {kind.__name__}: no route"):
        vertex([]).status("char-rnn")


@pytest.mark.parametrize("paused", [False, True])
def test_deployments_in_parallel_leave_one_schedule(
    state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, paused: bool
) -> None:
    """Each request is one step."""
    packages = {}
    for name in ("old", "a", "b"):
        (tmp_path / name).mkdir()
        packages[name] = package(tmp_path / name, f"{PIPELINE}# {name}")
    send = requests.Session.request
    for choose in some_orders(6):
        vertex([]).deploy(packages["old"], "0 3 * * *")
        if paused:
            vertex([]).pause("char-rnn")
        turns = Turns(choose)

        def request(*args: Any, turns: Turns = turns, **kwargs: Any) -> Any:
            turns.step()
            return send(*args, **kwargs)

        with monkeypatch.context() as patched:
            patched.setattr(requests.Session, "request", request)
            functions = {name: lambda name=name: vertex([]).deploy(packages[name], "0 3 * * *") for name in "ab"}
            turns.run(functions, check=lambda: check_one_at_least(state))
        (left,) = state.schedules.values()
        assert left["state"] == ("PAUSED" if paused else "ACTIVE")
        vertex([]).pause("char-rnn", resume=True)


def check_one_at_least(state: State) -> None:
    assert state.schedules


def test_schedules_on_later_pages_are_found(state: State, tmp_path: Path) -> None:
    vertex([]).deploy(package(tmp_path), "0 3 * * *")
    ((name, own),) = state.schedules.items()
    others = {f"{PARENT}/schedules/x{number}": {**own, "displayName": "other"} for number in range(4)}
    state.schedules = {key: {**value, "name": key} for key, value in {**others, name: own}.items()}
    state.writes.clear()
    vertex([]).deploy(package(tmp_path), "0 3 * * *")
    assert state.writes == []


@pytest.mark.parametrize("answer", [b"ok", b"", b"<html>", b'{"schedules": "x"}', b'{"schedules": [1]}'])
def test_unreadable_response_is_one_paragraph(state: State, answer: bytes) -> None:
    state.answer = answer
    with pytest.raises(UserError, match="Received: "):
        vertex([]).status("char-rnn")


def test_dry_run_writes_nothing(state: State, tmp_path: Path) -> None:
    printed: list[str] = []
    vertex(printed).deploy(package(tmp_path), "0 3 * * *", dry_run=True)
    assert state.writes == []
    assert printed[0] == "schedule '0 3 * * *' would be created"
