"""Write the page about a run on this machine, also about one that failed or was interrupted."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components import files
from pipeline import failure
from pipeline.config.places import Places
from pipeline.launch import FAILED, INTERRUPTED, Outcome
from pipeline.page import contents, html
from pipeline.page.contents import Source, Step

# For each name in `pipeline.page.contents.read`, the component and its output.
OUTPUTS = {
    "statistics": ("StatisticsGen", "statistics"),
    "anomalies": ("ExampleValidator", "anomalies"),
    "drift": ("DriftCheck", "anomalies"),
    "model": ("Trainer", "model"),
    "model_run": ("Trainer", "model_run"),
    "baseline": ("LastBlessed", "baseline"),
    "evaluation": ("Evaluator", "evaluation"),
    "blessing": ("Evaluator", "blessing"),
    "infra_blessing": ("InfraCheck", "blessing"),
    "pushed_model": ("Pusher", "pushed_model"),
}


def write(
    places: Places,
    run: str,
    model: str,
    corpus: str,
    outcomes: Mapping[str, Outcome],
    error: BaseException | None = None,
    **known: Any,
) -> str | None:
    """Write the page, and return its path; None if that failed, which is logged.

    Args:
      run: its name, the time of its start.
      outcomes: of the components that have ended, the one that failed included.
      error: that ended the run.
      known: attributes of `pipeline.page.contents.Contents` that differ from what the artifacts state.

    Example: tests/pipeline/page/test_local.py.
    """
    path = os.path.join(places.reports, f"{run[:10].replace('-', '')}-{run[11:19].replace(':', '')}.html")
    try:
        if error is not None:
            known |= _ended(outcomes, error)
        sources = {
            name: _source(outcomes[node].outputs[output])
            for name, (node, output) in OUTPUTS.items()
            if node in outcomes and output in outcomes[node].outputs
        }
        if "model_run" not in sources and (logs := _unfinished_logs(places, run)):
            sources["model_run"] = Source(logs, {})
        steps = tuple(Step(name, one.seconds, one.how) for name, one in outcomes.items())
        known |= {"model": model, "corpus": corpus, "when": run[:19].replace("T", " "), "steps": steps}
        os.makedirs(places.reports, exist_ok=True)
        files.write(path, html.render(contents.read(sources, **known)))
    except Exception:  # the run's own result or error is the one to report
        logging.exception("The report could not be written: %s", path)
        return None
    return path


def _ended(outcomes: Mapping[str, Outcome], error: BaseException) -> dict[str, Any]:
    name = next((name for name, one in outcomes.items() if one.how in (FAILED, INTERRUPTED)), "")
    where = f" at {name}" if name else ""
    if failure.is_interrupt(error):
        rest = "Finished work is kept, and the same command resumes from there."
        return {"decision": f"{contents.INTERRUPTED}{where}", "reasons": (rest,)}
    return {"decision": f"{contents.FAILED}{where}", "reasons": (failure.reason(error),)}


def _source(artifact: Any) -> Source:
    stored = artifact.mlmd_artifact.custom_properties
    kinds = {name: value.WhichOneof("value") for name, value in stored.items()}
    return Source(artifact.uri, {name: getattr(stored[name], kind) for name, kind in kinds.items() if kind})


def _unfinished_logs(places: Places, run: str) -> str:
    """Return the directory of the training that this run began; empty if there is none."""
    import datetime

    since = datetime.datetime.fromisoformat(run).timestamp()
    logs = Path(places.checkpoints).glob("*/tensorboard/events.out.tfevents.*")
    newest = max(logs, key=lambda path: path.stat().st_mtime, default=None)
    return str(newest.parent.parent) if newest and newest.stat().st_mtime >= since else ""
