"""Deployment with the real `kfp.Client` and a small server of the v2beta1 API; nothing runs on a cluster."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.errors import UserError
from kubeflow import options
from kubeflow.deploy import responses
from kubeflow.deploy.backend import Package
from kubeflow.deploy.connection import connect
from kubeflow.deploy.kubeflow_pipelines import KubeflowPipelines
from tests.kubeflow.turns import Turns, some_orders

pytestmark = pytest.mark.integration

PIPELINE = """
pipelineInfo: {name: char-rnn}
schemaVersion: 2.1.0
sdkVersion: test
root: {dag: {tasks: {}}}
deploymentSpec: {executors: {}}
components: {}
---
platforms: {kubernetes: {deploymentSpec: {executors: {Trainer_executor: {}}}}}
"""
CRON = "0 0 3 * * *"


@pytest.fixture
def api(state: Any) -> Any:
    """The client of the small server."""
    return connect(options.parser().parse_args(["status", "--host", state.address]))


def package(tmp_path: Path, text: str = PIPELINE, **changes: Any) -> Package:
    file = tmp_path / "pipeline.yaml"
    file.write_text(text)
    return Package(**{"name": "char-rnn", "file": str(file)} | changes)


def pipelines(api: Any, printed: list[str] | None = None) -> KubeflowPipelines:
    return KubeflowPipelines(api, "char-rnn", ([] if printed is None else printed).append)


def schedules(state: Any) -> list[dict[str, Any]]:
    return list(state.things["recurringruns"].values())


def test_first_deployment_creates_everything_and_second_writes_nothing(state: Any, api: Any, tmp_path: Path) -> None:
    pipelines(api).deploy(package(tmp_path), CRON)
    assert state.writes() == [
        "POST pipelines",
        "POST pipelines/upload_version",
        "POST experiments",
        "POST recurringruns",
    ]
    (run,) = schedules(state)
    assert run["trigger"]["cron_schedule"]["cron"] == CRON
    assert run["max_concurrency"] == "1" or run["max_concurrency"] == 1
    assert run["no_catchup"] is True
    assert run["mode"] == "ENABLE"

    state.requests.clear()
    printed: list[str] = []
    pipelines(api, printed).deploy(package(tmp_path), CRON)
    assert state.writes() == []
    assert len(state.requests) == 4
    assert len(schedules(state)) == 1
    assert sum("exists already" in line for line in printed) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"text": PIPELINE.replace("test", "other")},
        {"parameters": {"corpus": "/mnt/state/other.txt"}},
        {"pipeline_root": "gs://other"},
        {"service_account": "other"},
    ],
)
def test_changed_schedule_is_created_before_the_previous_one_is_deleted(
    state: Any, api: Any, tmp_path: Path, change: dict[str, Any]
) -> None:
    pipelines(api).deploy(package(tmp_path), CRON)
    old = schedules(state)[0]["recurring_run_id"]
    state.requests.clear()
    pipelines(api).deploy(package(tmp_path, **change), CRON)
    assert state.writes()[-2:] == ["POST recurringruns", f"DELETE recurringruns/{old}"]
    assert ("POST pipelines/upload_version" in state.writes()) == ("text" in change)
    assert len(schedules(state)) == 1


def test_another_time_replaces_the_schedule(state: Any, api: Any, tmp_path: Path) -> None:
    pipelines(api).deploy(package(tmp_path), CRON)
    pipelines(api).deploy(package(tmp_path), "0 0 4 * * *")
    assert [run["trigger"]["cron_schedule"]["cron"] for run in schedules(state)] == ["0 0 4 * * *"]


def test_replacement_of_a_paused_schedule_is_paused(state: Any, api: Any, tmp_path: Path) -> None:
    pipelines(api).deploy(package(tmp_path), CRON)
    pipelines(api).pause("char-rnn")
    pipelines(api).deploy(package(tmp_path, parameters={"corpus": "sample"}), CRON)
    assert [run["status"] for run in schedules(state)] == ["DISABLED"]


def test_next_deployment_deletes_what_an_interrupted_one_left(state: Any, api: Any, tmp_path: Path) -> None:
    pipelines(api).deploy(package(tmp_path), CRON)
    state.failures.append([1, "DELETE recurringruns", 500])
    with pytest.raises(UserError, match="failed"):
        pipelines(api).deploy(package(tmp_path), "0 0 4 * * *")
    assert len(schedules(state)) == 2
    pipelines(api).deploy(package(tmp_path), "0 0 4 * * *")
    assert [run["trigger"]["cron_schedule"]["cron"] for run in schedules(state)] == ["0 0 4 * * *"]


def test_objects_on_later_pages_are_found(state: Any, api: Any, tmp_path: Path) -> None:
    for number in range(5):
        state.add("pipelines", "pipeline", {"display_name": f"other-{number}"})
        state.requests.append("GET filler")
    pipelines(api).deploy(package(tmp_path), CRON)
    for number in range(5):
        pipelines(api).deploy(package(tmp_path, text=PIPELINE.replace("test", f"v{number}")), CRON)
    state.requests.clear()
    pipelines(api).deploy(package(tmp_path, text=PIPELINE.replace("test", "v4")), CRON)
    assert state.writes() == []
    assert state.requests.count("GET pipelines") == 3
    assert len(schedules(state)) == 1


def test_pause_resume_status_and_delete(state: Any, api: Any, tmp_path: Path) -> None:
    pipelines(api).deploy(package(tmp_path), CRON)
    pipelines(api).submit(package(tmp_path, parameters={"corpus": "sample"}))
    pipelines(api).pause("char-rnn")
    state.requests.clear()
    pipelines(api).pause("char-rnn")
    assert state.writes() == []
    printed: list[str] = []
    pipelines(api, printed).status("char-rnn")
    assert any("paused, runs char-rnn-" in line for line in printed)
    assert any(line.startswith("run run-") for line in printed)
    pipelines(api).pause("char-rnn", resume=True)
    assert schedules(state)[0]["status"] == "ENABLED"
    pipelines(api).delete("char-rnn")
    assert schedules(state) == []
    assert state.things["pipelines"]
    pipelines(api).delete("char-rnn", everything=True)
    assert not state.things["pipelines"]
    assert not state.things["pipeline_versions"]
    assert state.things["runs"], "past runs remain"


def test_run_has_its_parameters_and_root_and_caching_as_compiled(state: Any, api: Any, tmp_path: Path) -> None:
    pipelines(api).submit(package(tmp_path, parameters={"corpus": "sample"}, pipeline_root="minio://b/runs"))
    body = state.bodies[-1]
    assert body["runtime_config"] == {"parameters": {"corpus": "sample"}, "pipeline_root": "minio://b/runs"}
    executors = body["pipeline_spec"]["platform_spec"]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert executors.keys() == {"Trainer_executor"}
    assert "cachingOptions" not in str(body)


def test_setting_that_an_old_kfp_cannot_parse_is_explained(state: Any, api: Any, tmp_path: Path) -> None:
    """As `pipelineConfig` of KFP 2.17 in kfp 2.5, of Python 3.10."""
    newer = package(tmp_path, PIPELINE.replace("{kubernetes: {", "{kubernetes: {setting_of_a_later_kfp: {}, "))
    with pytest.raises(UserError, match='no field named "setting_of_a_later_kfp".* Use `deploy`.* Received: kfp 2'):
        pipelines(api).submit(newer)
    pipelines(api).deploy(newer, CRON)
    assert len(schedules(state)) == 1


def test_status_prints_runs_of_this_pipeline_only(state: Any, api: Any, tmp_path: Path) -> None:
    """Several pipelines can have runs in one experiment."""
    pipelines(api).deploy(package(tmp_path), CRON)
    (pipeline,) = state.things["pipelines"]
    for _ in range(5):
        pipelines(api).submit(package(tmp_path, name="poems"))
    pipelines(api).submit(package(tmp_path))
    state.requests.append("GET filler")
    reference = {"pipeline_id": pipeline, "pipeline_version_id": "v"}
    experiment = schedules(state)[0]["experiment_id"]
    scheduled = {
        "experiment_id": experiment,
        "display_name": "of the schedule",
        "pipeline_version_reference": reference,
    }
    state.add("runs", "run", scheduled)
    printed: list[str] = []
    pipelines(api, printed).status("char-rnn")
    runs = [line for line in printed if line.startswith("run ")]
    assert len(runs) == 2
    assert "'char-rnn " in runs[0]
    assert "'of the schedule'" in runs[1]


def test_delete_reports_a_missing_schedule_and_ignores_one_deleted_meanwhile(
    state: Any, api: Any, tmp_path: Path
) -> None:
    printed: list[str] = []
    pipelines(api, printed).delete("char-rnn", everything=True)
    assert printed == ["char-rnn has no schedule"]
    pipelines(api).deploy(package(tmp_path), CRON)
    state.failures.append([1, "DELETE recurringruns", 404])
    pipelines(api, printed).delete("char-rnn")
    assert printed[-1].endswith("deleted")


def test_one_of_equal_schedules_is_kept_active(state: Any, api: Any, tmp_path: Path) -> None:
    pipelines(api).deploy(package(tmp_path), CRON)
    (active,) = schedules(state)
    twin = {**active, "status": "DISABLED", "mode": "DISABLE", "recurring_run_id": "twin"}
    state.things["recurringruns"] = {"twin": twin, active["recurring_run_id"]: active}
    pipelines(api).deploy(package(tmp_path), CRON)
    assert [run["status"] for run in schedules(state)] == ["ENABLED"]


def test_active_schedule_stays_active_if_its_duplicate_was_paused(state: Any, api: Any, tmp_path: Path) -> None:
    """An interrupted `pause` has paused only the one that the deployment keeps."""
    pipelines(api).deploy(package(tmp_path), CRON)
    (other,) = schedules(state)
    pipelines(api).deploy(package(tmp_path), "0 0 4 * * *")
    (paused,) = schedules(state)
    paused["status"], paused["mode"] = "DISABLED", "DISABLE"
    state.things["recurringruns"][other["recurring_run_id"]] = other
    pipelines(api).deploy(package(tmp_path), "0 0 4 * * *")
    (left,) = schedules(state)
    assert (left["recurring_run_id"], left["status"]) == (paused["recurring_run_id"], "ENABLED")


def test_html_page_is_a_failed_authentication_and_not_an_empty_list(state: Any, api: Any, tmp_path: Path) -> None:
    """Dex answers an unauthenticated request with status 200 and a login form."""
    state.failures.append([99, "", "page"])
    with pytest.raises(UserError, match="Authentication.*failed.*HTML page"):
        pipelines(api).deploy(package(tmp_path), CRON)
    assert state.writes() == []


def test_write_with_a_late_response_creates_no_duplicate(state: Any, api: Any, tmp_path: Path) -> None:
    pipelines(api).deploy(package(tmp_path), CRON)
    state.failures.append([1, "POST recurringruns", "late"])
    with pytest.raises(UserError, match="cannot be reached.*resumes where it stopped"):
        pipelines(api).deploy(package(tmp_path), "0 0 4 * * *")
    assert len(schedules(state)) == 2, "the server has created it nevertheless"
    pipelines(api).deploy(package(tmp_path), "0 0 4 * * *")
    assert [run["trigger"]["cron_schedule"]["cron"] for run in schedules(state)] == ["0 0 4 * * *"]


def test_failed_creation_keeps_the_previous_schedule(state: Any, api: Any, tmp_path: Path) -> None:
    pipelines(api).deploy(package(tmp_path), CRON)
    before = schedules(state)
    state.failures.append([1, "POST recurringruns", 500])
    with pytest.raises(UserError, match="failed"):
        pipelines(api).deploy(package(tmp_path, text=PIPELINE.replace("test", "other")), "0 0 4 * * *")
    assert schedules(state) == before


def test_pause_without_a_schedule_is_explained(api: Any) -> None:
    with pytest.raises(UserError, match="This pipeline has no schedule"):
        pipelines(api).pause("char-rnn")


@pytest.mark.parametrize(("status", "reason"), [(401, "Authentication"), (403, "--namespace"), (404, "refused")])
def test_rejected_request_is_one_paragraph_without_a_retry(
    state: Any, api: Any, tmp_path: Path, status: int, reason: str
) -> None:
    state.failures.append([9, "GET pipelines", status])
    state.requests.clear()
    with pytest.raises(UserError, match=f"{reason}.*Received: HTTP {status}.*on demand"):
        pipelines(api).deploy(package(tmp_path), CRON)
    assert len(state.requests) == 1


def test_read_is_retried_after_a_transient_failure(state: Any, api: Any, tmp_path: Path) -> None:
    state.failures += [[2, "GET pipelines", 500], [1, "GET recurringruns", 503]]
    pipelines(api).deploy(package(tmp_path), CRON)
    assert len(schedules(state)) == 1


def test_failed_write_is_not_retried_and_the_next_deployment_resumes(state: Any, api: Any, tmp_path: Path) -> None:
    state.failures.append([1, "POST experiments", 500])
    with pytest.raises(UserError, match="ml-pipeline.*it resumes where it stopped"):
        pipelines(api).deploy(package(tmp_path), CRON)
    state.requests.clear()
    pipelines(api).deploy(package(tmp_path), CRON)
    assert state.writes() == ["POST experiments", "POST recurringruns"]


def test_object_created_concurrently_by_another_client_is_used(state: Any, api: Any, tmp_path: Path) -> None:
    state.failures.append([1, "POST experiments", 409])
    found: list[str | None] = [None, None, "experiment-7", "experiment-7"]
    backend = pipelines(api)
    backend._experiment_id = lambda: found.pop(0)  # type: ignore[method-assign]
    backend.deploy(package(tmp_path), CRON)
    assert schedules(state)[0]["experiment_id"] == "experiment-7"


def test_server_that_does_not_respond_is_an_error_after_retries(
    state: Any, api: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(responses, "TIMEOUTS", (0.1, 0.1))
    state.failures.append([9, "GET pipelines", 0])
    with pytest.raises(UserError, match="cannot be reached"):
        pipelines(api).deploy(package(tmp_path), CRON)
    assert state.requests.count("GET pipelines") == 3


@pytest.mark.parametrize("conflict", [400, 409, 500])
def test_first_deployments_in_parallel_leave_one_schedule(
    state: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, conflict: int
) -> None:
    """Each request of the two clients is one step. Servers differ in how they refuse a name that exists."""
    state.conflict = conflict
    clients = {name: connect(options.parser().parse_args(["status", "--host", state.address])) for name in "ab"}
    packages = {}
    for name in clients:
        (tmp_path / name).mkdir()
        packages[name] = package(tmp_path / name, PIPELINE.replace("test", name))
    for choose in some_orders(8):
        turns = Turns(choose)
        with monkeypatch.context() as patched:
            for client in clients.values():
                take_turns(client, turns, patched)
            turns.run({name: lambda name=name: pipelines(clients[name]).deploy(packages[name], CRON) for name in "ab"})
        assert [len(state.things[kind]) for kind in ("pipelines", "pipeline_versions", "experiments")] == [1, 2, 1]
        assert len(schedules(state)) == 1
        state.things.clear()


@pytest.mark.parametrize("versions", ["bb", "bc"])
def test_deployments_in_parallel_replace_a_schedule_by_one(
    state: Any, api: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, versions: str
) -> None:
    clients = [connect(options.parser().parse_args(["status", "--host", state.address])) for _ in versions]
    packages = {}
    for name in f"a{versions}":
        (tmp_path / name).mkdir(exist_ok=True)
        packages[name] = package(tmp_path / name, PIPELINE.replace("test", name))
    for choose in some_orders(8):
        pipelines(api).deploy(packages["a"], CRON)
        turns = Turns(choose)
        with monkeypatch.context() as patched:
            functions = {}
            for number, client in enumerate(clients):
                take_turns(client, turns, patched)
                deploy = pipelines(client).deploy
                functions[str(number)] = lambda deploy=deploy, name=versions[number]: deploy(packages[name], CRON)
            turns.run(functions, check=lambda: check_one_at_least(state))
        (left,) = schedules(state)
        version = state.things["pipeline_versions"][left["pipeline_version_reference"]["pipeline_version_id"]]
        assert version["display_name"] in {packages[name].version for name in versions}


def check_one_at_least(state: Any) -> None:
    assert schedules(state)


def take_turns(client: Any, turns: Turns, patched: pytest.MonkeyPatch) -> None:
    rest = client._pipelines_api.api_client.rest_client
    send = rest.request

    def request(*args: Any, **kwargs: Any) -> Any:
        turns.step()
        return send(*args, **kwargs)

    patched.setattr(rest, "request", request)


def test_dry_run_reads_and_reports(state: Any, api: Any, tmp_path: Path) -> None:
    printed: list[str] = []
    pipelines(api, printed).deploy(package(tmp_path, parameters={"corpus": "sample"}), CRON, dry_run=True)
    assert state.writes() == []
    assert [line.partition(" would be ")[2] for line in printed[:3]] == ["created", "uploaded", "created"]
    assert "'corpus': 'sample'" in printed[3]
    pipelines(api).deploy(package(tmp_path), CRON)
    before = state.writes()
    printed.clear()
    pipelines(api, printed).deploy(package(tmp_path, parameters={"corpus": "sample"}), CRON, dry_run=True)
    assert state.writes() == before
    assert [" would be " in line for line in printed] == [False, True, True, False]


UNREADABLE = {
    "text": (b"ok", "not JSON"),
    "nothing": (b"", "empty"),
    "binary": (b"\xff\xfe\x00", "not JSON"),
    "page": (b"<html>It works!</html>", "not JSON"),
    "list": (b"[]", "JSON object"),
    "null": (b"null", "JSON object"),
    "another service": (b'{"status": "ok"}', "none of the fields|lacks the field"),
    "text for a list": (
        b'{"pipelines": "x", "pipeline_versions": "x", "experiments": "x", "recurringRuns": "x", "runs": "x"}',
        "not a list|lacks the field",
    ),
    "texts in a list": (
        b'{"pipelines": ["x"], "pipeline_versions": ["x"], "experiments": ["x"], "recurringRuns": ["x"], "runs": [1]}',
        "JSON object|lacks the field",
    ),
    "objects without id": (
        b'{"pipelines": [{}], "pipeline_versions": [{}], "experiments": [{}], "recurringRuns": [{}], "runs": [{}]}',
        "lacks the field",
    ),
}


@pytest.mark.parametrize("answer", UNREADABLE)
def test_unreadable_response_fails_the_status(state: Any, api: Any, answer: str) -> None:
    """kfp's client takes most of them for an empty list."""
    state.failures.append([9, "GET pipelines", UNREADABLE[answer][0]])
    with pytest.raises(UserError, match=f"not one of the Kubeflow Pipelines API.*{UNREADABLE[answer][1]}.*Received: "):
        pipelines(api).status("char-rnn")


@pytest.mark.parametrize("command", ["deploy", "submit", "status", "pause", "delete"])
def test_unreadable_response_to_any_request_is_one_paragraph(
    state: Any, api: Any, tmp_path: Path, command: str
) -> None:
    commands: dict[str, Callable[[], None]] = {
        "deploy": lambda: pipelines(api).deploy(package(tmp_path), CRON),
        "submit": lambda: pipelines(api).submit(package(tmp_path)),
        "status": lambda: pipelines(api).status("char-rnn"),
        "pause": lambda: pipelines(api).pause("char-rnn"),
        "delete": lambda: pipelines(api).delete("char-rnn", everything=True),
    }

    def run(failures: list[list[Any]]) -> list[str]:
        state.things.clear()
        if command not in ("deploy", "submit"):
            commands["deploy"]()
        state.requests.clear()
        state.failures[:] = failures
        commands[command]()
        return sorted({request.partition("0")[0] for request in state.requests})

    for request in run([]):
        for answer in (b"ok", b'["ok"]'):
            with pytest.raises(UserError, match="not one of the Kubeflow Pipelines API.*Received: "):
                run([[1, request, answer]])
            state.failures.clear()


def test_list_without_a_last_page_is_an_error(state: Any, api: Any) -> None:
    state.failures.append([9, "GET pipelines", b'{"next_page_token": "same"}'])
    with pytest.raises(UserError, match="no last page"):
        pipelines(api).status("char-rnn")


def test_redirect_in_a_circle_is_named_without_a_retry(state: Any, api: Any) -> None:
    state.requests.clear()
    state.failures.append([99, "GET pipelines", "circle"])
    with pytest.raises(UserError, match="redirects in a circle: stopped after 5.*Received: .*/pipelines"):
        pipelines(api).status("char-rnn")
    assert len(state.requests) == 6
    state.failures[:] = [[2, "GET pipelines", "circle"]]  # a redirect that leads to the API is followed
    pipelines(api).status("char-rnn")
    assert len(state.requests) == 9
