"""Who trains, according to `TF_CONFIG`."""

import doctest
import json
from typing import Any

import pytest

from components.errors import UserError
from trainer import cluster
from trainer.cluster import environment

TWO = {"chief": ["a:1"], "worker": ["b:1"]}


def parse(config: Any) -> cluster.Cluster:
    return cluster.from_environment({"TF_CONFIG": config if isinstance(config, str) else json.dumps(config)})


def test_docstring_example_runs() -> None:
    assert doctest.testmod(environment).failed == 0


@pytest.mark.parametrize(
    ("jobs", "role", "index", "processes", "position"),
    [
        ({"worker": ["a:1", "b:1"]}, "worker", 0, 2, 0),
        ({"worker": ["a:1", "b:1"]}, "worker", 1, 2, 1),
        (TWO, "chief", 0, 2, 0),
        (TWO, "worker", 0, 2, 1),
        ({"chief": ["a:1"], "worker": ["b:1", "c:1"]}, "worker", 1, 3, 2),
        (TWO, "worker", "0", 2, 1),
    ],
)
def test_chief_and_workers_are_counted_together(
    jobs: dict[str, list[str]], role: str, index: int, processes: int, position: int
) -> None:
    parsed = parse({"cluster": jobs, "task": {"type": role, "index": index}})
    assert (parsed.processes, parsed.position, parsed.is_chief) == (processes, position, position == 0)
    assert parsed.addresses == (*jobs.get("chief", []), *jobs["worker"])


@pytest.mark.parametrize(
    "config",
    [
        "",
        "{}",
        {"cluster": {"worker": ["a:1"]}},
        {"cluster": {"chief": ["a:1"]}, "task": {"type": "chief", "index": 0}},
        {"cluster": {}, "task": {"type": "worker", "index": 0}},
        # Vertex AI, one machine
        {
            "cluster": {"chief": ["127.0.0.1:2222"]},
            "environment": "cloud",
            "job": "{}",
            "task": {"type": "chief", "index": 0, "cloud": "x-tp", "trial": ""},
        },
    ],
)
def test_at_most_one_address_is_training_alone(config: Any) -> None:
    parsed = parse(config)
    assert (parsed.processes, parsed.is_chief) == (1, True)


def test_without_the_variable_a_process_trains_alone() -> None:
    assert cluster.from_environment({}) == cluster.Cluster()


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ("{", "it is not JSON"),
        ("[]", "it is not a JSON object"),
        ({"cluster": ["a:1"]}, '"cluster" and "task" must be JSON objects'),
        ({"cluster": TWO, "task": "worker"}, '"cluster" and "task" must be JSON objects'),
        ({"cluster": {"worker": {"0": "a:1", "1": "b:1"}}}, '"worker" must be a list of addresses'),
        ({"cluster": {"worker": [1, 2]}}, '"worker" must be a list of addresses'),
        ({"cluster": {"master": ["a:1"]}}, "the role 'master' is unknown"),
        ({"cluster": TWO, "task": {"type": "master", "index": 0}}, "the role 'master' is unknown"),
        ({"cluster": TWO, "task": {"type": ["worker"], "index": 0}}, "is unknown"),
        ({"cluster": {"chief": ["a:1", "b:1"]}}, "more than one chief"),
        ({"cluster": {"worker": ["a:1", "a:1"]}}, "an address twice"),
        ({"cluster": TWO}, '"task" must have "type"'),
        ({"cluster": TWO, "task": {"index": 0}}, '"task" must have "type"'),
        ({"cluster": TWO, "task": {"type": "worker"}}, '"task" must have "type"'),
        ({"cluster": TWO, "task": {"type": "worker", "index": "first"}}, '"task" must have "type"'),
        ({"cluster": TWO, "task": {"type": "worker", "index": -1}}, '"task" must have "type"'),
        ({"cluster": TWO, "task": {"type": "worker", "index": 1}}, "no worker with index 1"),
        ({"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "chief", "index": 0}}, "no chief with index 0"),
    ],
)
def test_mistake_is_one_paragraph_with_what_was_received(config: Any, problem: str) -> None:
    with pytest.raises(UserError) as raised:
        parse(config)
    message = str(raised.value)
    assert problem in message
    received = config if isinstance(config, str) else json.dumps(config)
    assert message.endswith(f"Received: TF_CONFIG={received}")


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"cluster": {**TWO, "evaluator": ["d:1"]}, "task": {"type": "chief", "index": 0}}, "its own Evaluator"),
        # The training operator does not list the evaluator in the cluster.
        ({"cluster": TWO, "task": {"type": "evaluator", "index": 0}}, "its own Evaluator"),
        ({"cluster": {**TWO, "ps": ["d:1"]}, "task": {"type": "worker", "index": 0}}, "no parameter servers"),
        ({"cluster": {"worker": ["a:1"], "ps": ["d:1"]}}, "no parameter servers"),
    ],
)
def test_processes_that_do_not_train_are_refused(config: dict[str, Any], reason: str) -> None:
    with pytest.raises(UserError, match=rf"{reason}.* Remove the replicas of that type from the job\. Received: "):
        parse(config)
