"""Deployment with the real `kfp.Client` against a small server of the v2beta1 API; no cluster runs anything here."""

from pathlib import Path
from typing import Any

import pytest

from components.errors import UserError
from kubeflow.deploy import connection, deploy, server

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
def api(state: Any) -> server.Server:
    return server.Server(connection.connect(connection.Connection(host=state.address)))


def package(tmp_path: Path, text: str = PIPELINE, **changes: Any) -> deploy.Package:
    file = tmp_path / "pipeline.yaml"
    file.write_text(text)
    values = {"name": "char-rnn", "file": str(file), "experiment": "char-rnn", "parameters": {}} | changes
    return deploy.Package(**values)


def quiet(_: str) -> None:
    pass


def live(state: Any) -> list[dict[str, Any]]:
    return list(state.things["recurringruns"].values())


def test_the_first_deployment_makes_everything_and_the_second_writes_nothing(
    state: Any, api: server.Server, tmp_path: Path
) -> None:
    deploy.deploy(api, package(tmp_path), CRON, quiet)
    assert state.writes() == [
        "POST pipelines",
        "POST pipelines/upload_version",
        "POST experiments",
        "POST recurringruns",
    ]
    (run,) = live(state)
    assert run["trigger"]["cron_schedule"]["cron"] == CRON
    assert run["max_concurrency"] == "1" or run["max_concurrency"] == 1
    assert run["no_catchup"] is True
    assert run["mode"] == "ENABLE"

    state.requests.clear()
    said: list[str] = []
    deploy.deploy(api, package(tmp_path), CRON, said.append)
    assert state.writes() == []
    assert len(state.requests) == 4
    assert sum("there already" in line for line in said) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"text": PIPELINE.replace("test", "other")},
        {"parameters": {"corpus": "/mnt/state/other.txt"}},
        {"pipeline_root": "gs://other"},
        {"service_account": "other"},
    ],
)
def test_a_change_makes_the_new_schedule_before_the_old_one_goes(
    state: Any, api: server.Server, tmp_path: Path, change: dict[str, Any]
) -> None:
    deploy.deploy(api, package(tmp_path), CRON, quiet)
    old = live(state)[0]["recurring_run_id"]
    state.requests.clear()
    deploy.deploy(api, package(tmp_path, **change), CRON, quiet)
    assert state.writes()[-2:] == ["POST recurringruns", f"DELETE recurringruns/{old}"]
    assert ("POST pipelines/upload_version" in state.writes()) == ("text" in change)
    assert len(live(state)) == 1


def test_another_time_is_a_change(state: Any, api: server.Server, tmp_path: Path) -> None:
    deploy.deploy(api, package(tmp_path), CRON, quiet)
    deploy.deploy(api, package(tmp_path), "0 0 4 * * *", quiet)
    assert [run["trigger"]["cron_schedule"]["cron"] for run in live(state)] == ["0 0 4 * * *"]


def test_a_paused_schedule_stays_paused_when_it_is_replaced(state: Any, api: server.Server, tmp_path: Path) -> None:
    deploy.deploy(api, package(tmp_path), CRON, quiet)
    deploy.pause(api, "char-rnn", "char-rnn", quiet)
    deploy.deploy(api, package(tmp_path, parameters={"corpus": "sample"}), CRON, quiet)
    assert [run["status"] for run in live(state)] == ["DISABLED"]


def test_what_an_interrupted_deployment_left_is_cleared_up(state: Any, api: server.Server, tmp_path: Path) -> None:
    deploy.deploy(api, package(tmp_path), CRON, quiet)
    state.failures.append([1, "DELETE recurringruns", 500])
    with pytest.raises(UserError, match="failed"):
        deploy.deploy(api, package(tmp_path), "0 0 4 * * *", quiet)
    assert len(live(state)) == 2
    deploy.deploy(api, package(tmp_path), "0 0 4 * * *", quiet)
    assert [run["trigger"]["cron_schedule"]["cron"] for run in live(state)] == ["0 0 4 * * *"]


def test_what_stands_on_later_pages_is_found(state: Any, api: server.Server, tmp_path: Path) -> None:
    for number in range(5):
        state.add("pipelines", "pipeline", {"display_name": f"other-{number}"})
        state.requests.append("GET filler")
    deploy.deploy(api, package(tmp_path), CRON, quiet)
    for number in range(5):
        deploy.deploy(api, package(tmp_path, text=PIPELINE.replace("test", f"v{number}")), CRON, quiet)
    state.requests.clear()
    deploy.deploy(api, package(tmp_path, text=PIPELINE.replace("test", "v4")), CRON, quiet)
    assert state.writes() == []
    assert state.requests.count("GET pipelines") == 3
    assert len(live(state)) == 1


def test_pause_resume_status_and_delete(state: Any, api: server.Server, tmp_path: Path) -> None:
    deploy.deploy(api, package(tmp_path), CRON, quiet)
    deploy.submit(api, package(tmp_path, parameters={"corpus": "sample"}), quiet)
    deploy.pause(api, "char-rnn", "char-rnn", quiet)
    state.requests.clear()
    deploy.pause(api, "char-rnn", "char-rnn", quiet)
    assert state.writes() == []
    said: list[str] = []
    deploy.status(api, "char-rnn", "char-rnn", said.append)
    assert any("paused, runs char-rnn-" in line for line in said)
    assert any(line.startswith("run run-") for line in said)
    deploy.pause(api, "char-rnn", "char-rnn", quiet, resume=True)
    assert live(state)[0]["status"] == "ENABLED"
    deploy.delete(api, "char-rnn", "char-rnn", False, quiet)
    assert live(state) == []
    assert state.things["pipelines"]
    deploy.delete(api, "char-rnn", "char-rnn", True, quiet)
    assert not state.things["pipelines"]
    assert not state.things["pipeline_versions"]
    assert state.things["runs"], "what has run stays"


def test_a_run_takes_parameters_and_root_and_leaves_caching_as_compiled(
    state: Any, api: server.Server, tmp_path: Path
) -> None:
    deploy.submit(api, package(tmp_path, parameters={"corpus": "sample"}, pipeline_root="minio://b/runs"), quiet)
    body = state.bodies[-1]
    assert body["runtime_config"] == {"parameters": {"corpus": "sample"}, "pipeline_root": "minio://b/runs"}
    executors = body["pipeline_spec"]["platform_spec"]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert executors.keys() == {"Trainer_executor"}
    assert "cachingOptions" not in str(body)


def test_status_tells_of_the_pipelines_own_runs(state: Any, api: server.Server, tmp_path: Path) -> None:
    """Several pipelines have their runs in one experiment."""
    deploy.deploy(api, package(tmp_path), CRON, quiet)
    (pipeline,) = state.things["pipelines"]
    for _ in range(5):
        deploy.submit(api, package(tmp_path, name="poems"), quiet)
    deploy.submit(api, package(tmp_path), quiet)
    state.requests.append("GET filler")
    reference = {"pipeline_id": pipeline, "pipeline_version_id": "v"}
    experiment = live(state)[0]["experiment_id"]
    scheduled = {
        "experiment_id": experiment,
        "display_name": "of the schedule",
        "pipeline_version_reference": reference,
    }
    state.add("runs", "run", scheduled)
    said: list[str] = []
    deploy.status(api, "char-rnn", "char-rnn", said.append)
    told = [line for line in said if line.startswith("run ")]
    assert len(told) == 2
    assert "'char-rnn " in told[0]
    assert "'of the schedule'" in told[1]


def test_deleting_what_is_not_there_says_so_and_what_is_gone_meanwhile_is_no_failure(
    state: Any, api: server.Server, tmp_path: Path
) -> None:
    said: list[str] = []
    deploy.delete(api, "char-rnn", "char-rnn", True, said.append)
    assert said == ["no schedule of char-rnn is there"]
    deploy.deploy(api, package(tmp_path), CRON, quiet)
    state.failures.append([1, "DELETE recurringruns", 404])
    deploy.delete(api, "char-rnn", "char-rnn", False, said.append)
    assert said[-1].endswith("deleted")


def test_of_equal_schedules_the_active_one_stays(state: Any, api: server.Server, tmp_path: Path) -> None:
    deploy.deploy(api, package(tmp_path), CRON, quiet)
    (active,) = live(state)
    twin = {**active, "status": "DISABLED", "mode": "DISABLE", "recurring_run_id": "twin"}
    state.things["recurringruns"] = {"twin": twin, active["recurring_run_id"]: active}
    deploy.deploy(api, package(tmp_path), CRON, quiet)
    assert live(state) == [active]


def test_a_schedule_that_was_active_does_not_end_paused(state: Any, api: server.Server, tmp_path: Path) -> None:
    """A pause that was cut short reached only the one that stays."""
    deploy.deploy(api, package(tmp_path), CRON, quiet)
    (other,) = live(state)
    deploy.deploy(api, package(tmp_path), "0 0 4 * * *", quiet)
    (paused,) = live(state)
    paused["status"], paused["mode"] = "DISABLED", "DISABLE"
    state.things["recurringruns"][other["recurring_run_id"]] = other
    deploy.deploy(api, package(tmp_path), "0 0 4 * * *", quiet)
    (left,) = live(state)
    assert (left["recurring_run_id"], left["status"]) == (paused["recurring_run_id"], "ENABLED")


def test_a_page_for_people_is_not_taken_for_an_empty_answer(state: Any, api: server.Server, tmp_path: Path) -> None:
    """What Dex answers to whoever is not logged in: 200, with a form."""
    state.failures.append([99, "", "page"])
    with pytest.raises(UserError, match="does not let you in.*page of HTML"):
        deploy.deploy(api, package(tmp_path), CRON, quiet)
    assert state.writes() == []


def test_a_write_that_was_done_but_answered_too_late_doubles_nothing(
    state: Any, api: server.Server, tmp_path: Path
) -> None:
    deploy.deploy(api, package(tmp_path), CRON, quiet)
    state.failures.append([1, "POST recurringruns", "late"])
    with pytest.raises(UserError, match="cannot be reached.*goes on where it stopped"):
        deploy.deploy(api, package(tmp_path), "0 0 4 * * *", quiet)
    assert len(live(state)) == 2, "the server has made it all the same"
    deploy.deploy(api, package(tmp_path), "0 0 4 * * *", quiet)
    assert [run["trigger"]["cron_schedule"]["cron"] for run in live(state)] == ["0 0 4 * * *"]


def test_a_creation_that_fails_leaves_the_old_schedule(state: Any, api: server.Server, tmp_path: Path) -> None:
    deploy.deploy(api, package(tmp_path), CRON, quiet)
    before = live(state)
    state.failures.append([1, "POST recurringruns", 500])
    with pytest.raises(UserError, match="failed"):
        deploy.deploy(api, package(tmp_path, text=PIPELINE.replace("test", "other")), "0 0 4 * * *", quiet)
    assert live(state) == before


def test_pausing_what_is_not_there_is_explained(api: server.Server) -> None:
    with pytest.raises(UserError, match="no schedule of this pipeline"):
        deploy.pause(api, "char-rnn", "char-rnn", quiet)


@pytest.mark.parametrize(("status", "reason"), [(401, "does not let you in"), (403, "--namespace"), (404, "refused")])
def test_a_refusal_is_one_paragraph_and_is_not_repeated(
    state: Any, api: server.Server, tmp_path: Path, status: int, reason: str
) -> None:
    state.failures.append([9, "GET pipelines", status])
    state.requests.clear()
    with pytest.raises(UserError, match=f"{reason}.*Received: HTTP {status}.*on demand"):
        deploy.deploy(api, package(tmp_path), CRON, quiet)
    assert len(state.requests) == 1


def test_a_server_that_fails_for_a_moment_is_asked_again(state: Any, api: server.Server, tmp_path: Path) -> None:
    state.failures += [[2, "GET pipelines", 500], [1, "GET recurringruns", 503]]
    deploy.deploy(api, package(tmp_path), CRON, quiet)
    assert len(live(state)) == 1


def test_a_write_that_fails_is_not_repeated_and_the_next_deployment_goes_on(
    state: Any, api: server.Server, tmp_path: Path
) -> None:
    state.failures.append([1, "POST experiments", 500])
    with pytest.raises(UserError, match="ml-pipeline.*it goes on where it stopped"):
        deploy.deploy(api, package(tmp_path), CRON, quiet)
    state.requests.clear()
    deploy.deploy(api, package(tmp_path), CRON, quiet)
    assert state.writes() == ["POST experiments", "POST recurringruns"]


def test_what_somebody_else_made_meanwhile_is_used(state: Any, api: server.Server, tmp_path: Path) -> None:
    state.failures.append([1, "POST experiments", 409])
    asked: list[str | None] = [None, "experiment-7"]
    api.experiment_id = lambda name: asked.pop(0)  # type: ignore[method-assign] # it appears between two looks
    deploy.deploy(api, package(tmp_path), CRON, quiet)
    assert live(state)[0]["experiment_id"] == "experiment-7"


def test_a_server_that_does_not_answer_is_given_up(state: Any, api: server.Server, tmp_path: Path) -> None:
    state.failures.append([9, "GET pipelines", 0])
    with pytest.raises(UserError, match="cannot be reached"):
        deploy.deploy(api, package(tmp_path), CRON, quiet)
    assert state.requests.count("GET pipelines") == 3
