"""What the artifacts of a run state."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from tensorflow_metadata.proto.v0 import anomalies_pb2

from components.evaluate import hardest, reference, samples
from components.evaluate.hardest import Passage
from components.models import training
from pipeline.page import contents
from pipeline.page.contents import NOT_BLESSED, NOT_PUSHED, PUSHED, SERVED, Source
from tests.pipeline.page.results import FIGURES

pytestmark = pytest.mark.integration
KNOWN = {"model": "char_rnn", "corpus": "mine"}
NATS = 1.5


def sources(folder: Path, bound: float, **properties: dict[str, Any]) -> dict[str, Source]:
    """The artifacts of a run whose model was pushed, with other properties."""
    made = {
        "blessing": {"blessed": 1},
        "infra_blessing": {"blessed": 1, "reason": ""},
        "pushed_model": {"pushed": 1, "pushed_version": "3"},
        **{name: {} for name in ("baseline", "drift", "evaluation", "model", "model_run", "statistics", "anomalies")},
        **properties,
    }
    threshold = {"threshold": {"valueThreshold": {"upperBound": bound}}}
    copied = {"className": "C", "config": '{"name": "copied"}', "perSliceThresholds": [{"threshold": {}}]}
    metrics = [{"className": "A"}, {"className": "B", "perSliceThresholds": [threshold]}, copied]
    run = {"evalConfig": {"metricsSpecs": [{"metrics": metrics}]}, "version": "0.47.0"}
    (folder / "evaluation").mkdir()
    (folder / "evaluation" / "eval_config.json").write_text(json.dumps(run))
    return {name: Source(str(folder / name), values) for name, values in made.items()}


@pytest.fixture(autouse=True)
def _known_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "read_figures", lambda *_: dataclasses.replace(FIGURES, reasons=("too hard",)))
    monkeypatch.setattr(reference, "read", lambda _: NATS)


def test_contents_of_a_pushed_model(tmp_path: Path) -> None:
    made = sources(tmp_path, reference.upper_bound(NATS), baseline={"version": 2.0}, drift={"drift": "moved"})
    samples.write(str(tmp_path / "model" / "Format-Serving"), {0.8: "to be"})
    training.describe(str(tmp_path / "model_run"), steps=7)
    passage = Passage("a.txt", 5, "bc", (1.0, 2.5))
    hardest.write(str(tmp_path / "evaluation"), [passage])
    (tmp_path / "anomalies" / "Split-eval").mkdir(parents=True)
    stored = anomalies_pb2.Anomalies(data_missing=True)
    (tmp_path / "anomalies" / "Split-eval" / "SchemaDiff.pb").write_bytes(stored.SerializeToString())
    found = contents.read(made, **KNOWN)
    assert (found.model, found.corpus, found.threshold) == ("char_rnn", "mine", None)
    assert (found.decision, found.version, found.baseline) == (PUSHED, "3", "2")
    assert (found.samples, found.hardest, found.splits) == ({0.8: "to be"}, (passage,), ())
    assert found.drift == "moved"
    assert found.anomalies == ("eval split: it has no records.",)
    assert (found.training, found.curves) == (training.Training(steps=7), None)


@pytest.mark.parametrize(
    ("properties", "decision"),
    [
        ({"pushed_model": {"pushed": 0, "pushed_version": "3"}}, SERVED),
        ({"pushed_model": {"pushed": 0}, "infra_blessing": {"blessed": 0, "reason": "no score"}}, NOT_PUSHED),
        ({"pushed_model": {"pushed": 0}, "blessing": {"blessed": 0}}, NOT_BLESSED),
    ],
    ids=["served", "infra check", "evaluation"],
)
def test_decision_and_reasons(tmp_path: Path, properties: dict[str, Any], decision: str) -> None:
    found = contents.read(sources(tmp_path, 4.25, **properties), **KNOWN)
    assert (found.decision, found.threshold) == (decision, 4.25)
    not_servable = ("infra check: no score",) if "infra_blessing" in properties else ()
    assert found.reasons == (() if decision == SERVED else ("too hard", *not_servable))


def test_contents_of_a_run_that_ended_early_are_what_it_reached(tmp_path: Path) -> None:
    made = {"anomalies": sources(tmp_path, 4.25)["anomalies"]}
    found = contents.read(made, **KNOWN, decision="failed at Transform")
    assert found == contents.Contents(**KNOWN, decision="failed at Transform", anomalies=())
