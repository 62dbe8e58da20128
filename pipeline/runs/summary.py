"""One run in a list: what was trained on which text, how good it was, and what was decided."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.runs.history import Execution, History, Run, parsed


@dataclass(frozen=True)
class Summary:
    """What a list shows of a run; None for what was not recorded.

    Example: tests/pipeline/runs/test_summary.py.

    Attributes:
      run: name that TFX gave the run, the time of its start.
      started: seconds since 1970.
      seconds: duration, so far if it is running; without a record of it, until its last component ended.
      model: name of the model.
      corpus: the name that the user gave the corpus; without a record, the digest of its content.
      spans: of the corpus, oldest first; empty if it has none.
      network: cell, layers and units.
      steps: of training.
      perplexity: on the eval split.
      threshold: highest perplexity of a blessed model.
      baseline: perplexity of the model blessed last, on the same text.
      decision: "pushed", "served already", "not blessed", "not servable", "failed", "interrupted" or "running".
      version: of the model in the serving directory.
      component: that failed, was interrupted, or is running.
      reasons: why the model was withheld, or the error.
      cached: names of the components whose result came from the cache.
      executed: names of the others that have a result.
    """

    run: str
    started: float
    seconds: float
    model: str
    corpus: str | None
    spans: tuple[str, ...]
    network: str | None
    steps: int | None
    perplexity: float | None
    threshold: float | None
    baseline: float | None
    decision: str
    version: str | None
    component: str | None
    reasons: tuple[str, ...]
    cached: tuple[str, ...]
    executed: tuple[str, ...]


def of(run: Run, history: History, active: bool) -> Summary:
    """Summarize a run.

    Args:
      active: whether this run may be running now.
    """
    record = run.record
    trained = parsed(getattr(run.execution("Trainer"), "properties", {}).get("custom_config"))
    decision, version, component, reasons = _decision(run, history, active)
    ends = [one.ended for one in run.executions if one.succeeded or one.state == "FAILED"]
    if decision == "running":
        ends.append(time.time())
    return Summary(
        run=run.name,
        started=run.started,
        seconds=record.get("seconds") or max([end - run.started for end in ends], default=0.0),
        model=run.model,
        corpus=record.get("corpus") or _corpus(run),
        spans=tuple(filter(None, str(record.get("spans", "")).split(","))),
        network=_network(trained.get("model")),
        steps=_steps(record, trained),
        perplexity=record.get("perplexity"),
        threshold=record.get("threshold"),
        baseline=record.get("baseline_perplexity"),
        decision=decision,
        version=version,
        component=component,
        reasons=reasons,
        cached=tuple(one.node for one in run.executions if one.state == "CACHED"),
        executed=tuple(one.node for one in run.executions if one.state == "COMPLETE"),
    )


def _decision(run: Run, history: History, active: bool) -> tuple[str, str | None, str | None, tuple[str, ...]]:
    record = run.record
    if "blessed" in record:
        version, reasons = record.get("pushed_version"), tuple(record.get("reasons", ()))
        if version:
            return "pushed" if record.get("pushed_now") else "served already", str(version), None, reasons
        return "not servable" if record["blessed"] else "not blessed", None, None, reasons
    error = (str(record["error"]),) if record.get("error") else ()
    if not run.finished or error or record.get("interrupted"):
        ended = [one.node for one in run.executions if not one.succeeded]
        if active and "seconds" not in record:
            return "running", None, next(iter(ended), None), ()
        failed = error or (not record and any(_has_result(one) for one in run.executions))
        return "failed" if failed else "interrupted", None, next(iter(ended), None), error
    pushed = _properties(run, history, "Pusher")
    if version := pushed.get("pushed_version"):
        executed = getattr(run.execution("Pusher"), "state", "") == "COMPLETE"
        return "pushed" if executed and pushed.get("pushed") else "served already", str(version), None, ()
    infra = _properties(run, history, "InfraCheck")
    if _properties(run, history, "Evaluator").get("blessed"):
        return "not servable", None, None, tuple(filter(None, [infra.get("reason")]))
    return "not blessed", None, None, ()


def _has_result(execution: Execution) -> bool:
    """Whether TFX recorded a failure; it records none of a killed component."""
    return execution.state == "FAILED" and "__execution_result__" in execution.properties


def _properties(run: Run, history: History, node: str) -> dict[str, Any]:
    """Return the joined properties of a component's output artifacts."""
    execution = run.execution(node)
    found: dict[str, Any] = {}
    for number in sorted(execution.outputs) if execution else ():
        if number in history.artifacts:
            found |= history.artifacts[number].properties
    return found


def _corpus(run: Run) -> str | None:
    last, first = run.execution("Pusher"), run.execution("CorpusExampleGen")
    if last and last.properties.get("corpus"):
        return str(last.properties["corpus"])
    return os.path.basename(str(first.properties.get("input_base", ""))) or None if first else None


def _network(model: Any) -> str | None:
    return f"{model.get('cell')} {model.get('layers')}x{model.get('units')}" if isinstance(model, dict) else None


def _steps(record: Any, trained: dict[str, Any]) -> int | None:
    chosen = record.get("chosen", {}).get("training.steps", {})
    steps = chosen.get("value") or trained.get("training", {}).get("steps")
    return steps if isinstance(steps, int) else None


def outcome(summary: Summary) -> str:
    """Return the decision as a phrase.

    Example: "pushed 3", "not blessed: perplexity 9.120 is above the threshold 9", "failed at Trainer".
    """
    if summary.version:
        return f"{summary.decision} {summary.version}"
    if summary.decision in ("failed", "interrupted", "running"):
        where = f" at {summary.component}" if summary.component else ""
        return _with_reasons(f"{summary.decision}{where}", summary.reasons)
    return _with_reasons(summary.decision, summary.reasons)


def _with_reasons(phrase: str, reasons: Sequence[str]) -> str:
    return f"{phrase}: {'; '.join(reasons)}" if reasons else phrase
