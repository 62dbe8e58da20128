"""The result of a run as its artifacts hold it."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest

from components.evaluate import reference, samples
from kubeflow.report import result
from kubeflow.report.result import Source
from tests.kubeflow.report.results import FIGURES, RESULT

pytestmark = pytest.mark.integration
PARAMETERS = {"model": "char_rnn", "corpus": "mine"}
NATS = 1.5
MEASURED = {"train_nats": 1.25, "eval_nats": 1.5, "copied_20": 0.03, "copied_50": 0.001, "longest_copy_chars": 11}


def sources(folder: Path, bound: float, **properties: dict[str, Any]) -> dict[str, Source]:
    """The artifacts of a run whose model was pushed, with other properties."""
    made = {
        "blessing": {"blessed": 1},
        "infra_blessing": {"blessed": 1, "reason": ""},
        "pushed_model": {"pushed": 1, "pushed_version": "3"},
        **{name: {} for name in ("baseline", "drift", "evaluation", "model", "model_run", "statistics")},
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
    monkeypatch.setattr(result, "read_figures", lambda *_: dataclasses.replace(FIGURES, reasons=("too hard",)))
    monkeypatch.setattr(reference, "read", lambda _: NATS)


def test_result_of_a_pushed_model(tmp_path: Path) -> None:
    made = sources(tmp_path, reference.upper_bound(NATS))
    samples.write(str(tmp_path / "model" / "Format-Serving"), {0.8: "to be"})
    found = result.read(made, PARAMETERS)
    assert (found.model, found.corpus, found.threshold) == ("char_rnn", "mine", None)
    assert (found.blessed, found.version, found.missing_baseline) == (True, "3 (pushed)", "")
    assert (found.learning_curve, found.splits) == (b"", ())
    assert found.samples == {0.8: "to be"}


def test_result_of_a_model_that_is_served_already_has_its_version(tmp_path: Path) -> None:
    served = {"pushed": 0, "pushed_version": "3"}
    assert result.read(sources(tmp_path, 4.25, pushed_model=served), PARAMETERS).version == "3 (served already)"


def test_result_of_a_rejected_model_has_the_threshold_and_the_reasons_of_evaluation_and_infra_check(
    tmp_path: Path,
) -> None:
    rejected = {
        "blessing": {"blessed": 0},
        "infra_blessing": {"blessed": 0, "reason": "no score"},
        "pushed_model": {"pushed": 0},
        "baseline": {"missing": "version 2 is gone"},
    }
    found = result.read(sources(tmp_path, 4.25, **rejected), PARAMETERS)
    assert (found.blessed, found.version, found.threshold) == (False, "", 4.25)
    assert found.reasons == ("too hard", "infra check: no score")
    assert found.missing_baseline == "version 2 is gone"


def test_metrics_are_finite_numbers() -> None:
    assert RESULT.metrics == {
        "perplexity": 4.5,
        "bits_per_character": 2.17,
        "trigram_perplexity": 6.0,
        "out_of_vocabulary_rate": 0.00012,
        **MEASURED,
    }
    diverged = dataclasses.replace(FIGURES, perplexity=math.inf, bits_per_character=math.nan, baseline_perplexity=4.4)
    assert dataclasses.replace(RESULT, figures=diverged).metrics == {
        "trigram_perplexity": 6.0,
        "baseline_perplexity": 4.4,
        "out_of_vocabulary_rate": 0.00012,
        **MEASURED,
    }
