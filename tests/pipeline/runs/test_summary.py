"""The decision and the figures of a run, with and without a record of it."""

from typing import Any

import pytest

from pipeline.runs import summary
from pipeline.runs.history import LAST, Artifact, Execution, History, Run

CONFIG = '{"model": {"cell": "gru", "layers": 2, "units": 512}, "training": {"steps": %s}}'
GOOD = {"blessed": True, "perplexity": 4.5, "threshold": 6.0, "baseline_perplexity": 4.6, "seconds": 61.0}


def run(record: dict[str, Any] | None = None, state: str = "COMPLETE", last: str = LAST, **properties: Any) -> Run:
    first = Execution(1, "CorpusExampleGen", "CACHED", 100.0, 101.0, properties={"input_base": "/root/corpus/01ab"})
    trainer = Execution(2, "Trainer", "COMPLETE", 101.0, 150.0, properties={"custom_config": CONFIG % 300})
    ended = Execution(3, last, state, 150.0, 152.0, properties=properties)
    executions = (first, ended) if last == "Trainer" else (first, trainer, ended)
    return Run("2026-11-28T09:05:29", "poems", 100.0, executions, record or {})


def decision(made: Run, active: bool = False, history: History | None = None) -> str:
    return summary.outcome(summary.of(made, history or History((made,), {}), active))


@pytest.mark.parametrize(
    ("record", "phrase"),
    [
        ({"pushed_version": "3", "pushed_now": True}, "pushed 3"),
        ({"pushed_version": "3", "pushed_now": False}, "served already 3"),
        ({"blessed": False, "reasons": ["worse", "copied"]}, "not blessed: worse; copied"),
        ({"reasons": ["infra check: no signature"]}, "not servable: infra check: no signature"),
    ],
)
def test_decision_of_a_recorded_run(record: dict[str, Any], phrase: str) -> None:
    assert decision(run({**GOOD, **record})) == phrase


@pytest.mark.parametrize(
    ("record", "active", "phrase"),
    [
        ({"error": "ValueError: bad", "seconds": 3.0}, True, "failed at Trainer: ValueError: bad"),
        ({"interrupted": True, "seconds": 3.0}, True, "interrupted at Trainer"),
        ({"corpus": "odes.txt"}, False, "interrupted at Trainer"),  # killed
        ({"corpus": "odes.txt"}, True, "running at Trainer"),
    ],
)
def test_run_that_did_not_finish_names_the_component(record: dict[str, Any], active: bool, phrase: str) -> None:
    assert decision(run(record, "RUNNING", "Trainer"), active) == phrase


def test_error_after_the_last_component_is_a_failure() -> None:
    assert decision(run({"error": "OSError: full", "seconds": 3.0})) == "failed: OSError: full"


def test_failure_in_an_earlier_release_is_known_by_its_result() -> None:
    assert decision(run(None, "FAILED", "Trainer", __execution_result__="{}")) == "failed at Trainer"
    assert decision(run(None, "FAILED", "Trainer")) == "interrupted at Trainer"


@pytest.mark.parametrize(
    ("state", "pushed", "blessed", "reason", "phrase"),
    [
        ("COMPLETE", {"pushed": 1, "pushed_version": "2"}, 1, "", "pushed 2"),
        ("CACHED", {"pushed": 1, "pushed_version": "2"}, 1, "", "served already 2"),
        ("COMPLETE", {"pushed": 0}, 0, "", "not blessed"),
        ("COMPLETE", {"pushed": 0}, 1, "no signature", "not servable: no signature"),
    ],
)
def test_decision_of_an_earlier_release_is_read_from_artifacts(
    state: str, pushed: dict[str, Any], blessed: int, reason: str, phrase: str
) -> None:
    nodes = (("Evaluator", {"blessed": blessed}), ("InfraCheck", {"reason": reason}), ("Pusher", pushed))
    executions = [
        Execution(number, node, state if node == LAST else "COMPLETE", 0.0, 1.0, outputs=frozenset({number}))
        for number, (node, _) in enumerate(nodes)
    ]
    artifacts = {number: Artifact(number, "", properties=values) for number, (_, values) in enumerate(nodes)}
    made = Run("", "poems", 0.0, tuple(executions))
    assert decision(made, history=History((made,), artifacts)) == phrase


def test_figures_of_a_recorded_run() -> None:
    made = run({**GOOD, "pushed_version": "3", "corpus": "odes.txt", "chosen": {"training.steps": {"value": 1480}}})
    found = summary.of(made, History((made,), {}), active=False)
    assert (found.corpus, found.network, found.steps, found.seconds) == ("odes.txt", "gru 2x512", 1480, 61.0)
    assert (found.perplexity, found.threshold, found.baseline) == (4.5, 6.0, 4.6)
    assert (found.cached, found.executed) == (("CorpusExampleGen",), ("Trainer", "Pusher"))


def test_figures_without_a_record() -> None:
    made = run(corpus="odes.txt")
    found = summary.of(made, History((made,), {}), active=False)
    assert (found.corpus, found.steps, found.seconds, found.perplexity) == ("odes.txt", 300, 52.0, None)
    killed = run(state="RUNNING", last="Transform")
    assert summary.of(killed, History((killed,), {}), active=False).corpus == "01ab"
