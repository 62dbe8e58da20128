"""The result of a run as a table, as JSON and as an exit code; repair of the serving directory."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest
from tfx.types import standard_artifacts
from tfx.types.artifact import Artifact

from components.evaluate.evaluation import Figures
from components.evaluate.generalization import Generalization
from components.ingest.selection.facts import CorpusFacts
from components.models import registry, versions
from components.release.pusher import Data
from pipeline import learning_curve, report
from pipeline.config.places import Places
from pipeline.config.run import Config, EvaluationConfig
from pipeline.launch import Outcome
from pipeline.report import Report
from trainer.plan import record

pytestmark = pytest.mark.integration

FIGURES = Figures(
    perplexity=4.5,
    bits_per_character=2.17,
    reference_perplexity=6.0,
    eval_chars=111_539,
    out_of_vocabulary_rate=0.00012,
    baseline_perplexity=None,
    by_document={},
)
CHOSEN = {
    "model.output_dropout": {"value": 0.11, "reason": "so long a text"},
    "training.steps": {"value": 1_480, "reason": "so many characters"},
}
MEASURED = Generalization(1.25, 1.5, 20_480, {20: 0.03, 50: 0.0, 100: None}, "to be", "hamlet.txt")
REPORT = Report(
    corpus="shakespeare",
    facts=CorpusFacts(documents=1, characters=1_115_394, eval_chars=111_539, distinct=65),
    vocabulary_size=65,
    figures=FIGURES,
    threshold=None,
    blessed=True,
    servable=True,
    pushed_version="3",
    pushed_now=True,
    serving="/served/char_rnn",
    model="/model",
    reasons=(),
    outcomes={"Trainer": Outcome(83.256, "executed", {}), "Transform": Outcome(0.04, "cached", {})},
)


def changed(figures: dict[str, Any] | None = None, **values: Any) -> Report:
    return dataclasses.replace(REPORT, figures=dataclasses.replace(FIGURES, **(figures or {})), **values)


def row(made: Report, name: str) -> str:
    values = [value for key, value in made.rows() if key == name]
    assert len(values) == 1, f"{name}: {values}"
    return values[0]


def model_at(path: Path, content: str = "graph") -> str:
    path.mkdir(parents=True)
    (path / "saved_model.pb").write_text(content)
    return str(path)


# exit code


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"pushed_version": "1", "pushed_now": True}, 0),
        ({"pushed_version": "1", "pushed_now": False}, 0),
        ({"pushed_version": None, "blessed": False}, 3),
        ({"pushed_version": None, "servable": False}, 3),
    ],
)
def test_exit_code_is_0_if_this_model_is_served_and_3_otherwise(values: dict[str, Any], code: int) -> None:
    assert changed(**values).exit_code == code


# rows


def test_table_has_all_results() -> None:
    assert REPORT.rows() == [
        ("corpus", "shakespeare: 1 document, 1,115,394 characters"),
        ("vocabulary", "65 characters; 0.012% of the eval text is out of vocabulary"),
        ("eval characters", "111,539"),
        ("perplexity", "4.500 (state carried within each passage)"),
        ("bits per character", "2.170"),
        ("threshold", "6.000 (character trigram model)"),
        ("baseline", "none yet"),
        ("blessed", "yes"),
        ("version", "3 (pushed) in /served/char_rnn"),
    ]


def test_table_has_the_spans_and_a_changed_eval_text() -> None:
    made = changed(data=Data("texts/{SPAN}/*.txt", "digest", "4,5"), eval_text="version 2 was evaluated on another")
    assert (row(made, "spans"), row(made, "eval text")) == ("4, 5", "version 2 was evaluated on another")
    assert made.summary()["spans"] == ["4", "5"]


def test_table_has_a_configured_threshold_a_baseline_and_a_version_served_already() -> None:
    made = changed({"baseline_perplexity": 4.4}, threshold=5.25, pushed_now=False)
    assert row(made, "threshold") == "5.25"
    assert row(made, "baseline") == "4.400 (last blessed model)"
    assert row(made, "version") == "3 (served already) in /served/char_rnn"


def test_baseline_that_no_longer_exists_is_reported() -> None:
    made = changed(missing_baseline="version 2 is gone")
    assert (row(made, "baseline"), row(made, "missing baseline")) == ("none", "version 2 is gone")


def test_every_reason_has_a_row_and_the_version_that_stays_is_named(tmp_path: Path) -> None:
    model_at(tmp_path / "8"), model_at(tmp_path / "12")
    made = changed(blessed=False, pushed_version=None, pushed_now=False, serving=str(tmp_path), reasons=("one", "two"))
    assert row(made, "blessed") == "no"
    assert [value for key, value in made.rows() if key == "why not"] == ["one", "two"]
    assert row(made, "version") == f"not pushed; 12 stays in {tmp_path}"


def test_table_without_any_version_shows_none(tmp_path: Path) -> None:
    made = changed(pushed_version=None, serving=str(tmp_path / "missing"))
    assert row(made, "version") == f"not pushed; none in {tmp_path / 'missing'}"


def test_three_hardest_documents_are_named_hardest_first() -> None:
    made = changed({"by_document": {"a": 3.0, "b": 9.0, "c": 5.0, "d": 7.0}})
    assert row(made, "hardest documents") == "b 9.00, d 7.00, c 5.00"
    only = changed({"by_document": {"a": 3.0}})
    assert "hardest documents" not in dict(only.rows())


def test_chosen_values_are_named_with_the_file_of_their_reasons() -> None:
    made = changed(chosen=CHOSEN, model_run="/run/7")
    assert row(made, "chosen values") == "steps 1,480, output_dropout 0.11"
    assert row(made, "their reasons") == "/run/7/choices.json"


# write


def test_summary_has_every_key(tmp_path: Path) -> None:
    figures = {"baseline_perplexity": 4.4, "by_document": {"a": 3.0}, "generalization": MEASURED}
    made = changed(figures, reasons=("because é",), chosen=CHOSEN)
    made.write(str(tmp_path / "summary.json"))
    text = (tmp_path / "summary.json").read_text(encoding="utf-8")
    assert "because é" in text
    assert json.loads(text) == {
        "blessed": True,
        "pushed_version": "3",
        "perplexity": 4.5,
        "bits_per_char": 2.17,
        "eval_chars": 111_539,
        "out_of_vocabulary_rate": 0.00012,
        "perplexity_by_document": {"a": 3.0},
        "threshold": 6.0,
        "trigram_perplexity": 6.0,
        "generalization": {**dataclasses.asdict(MEASURED), "copied": {"20": 0.03, "50": 0.0, "100": None}},
        "chosen": CHOSEN,
        "corpus": "shakespeare",
        "spans": None,
        "characters": 1_115_394,
        "vocabulary_size": 65,
        "baseline_perplexity": 4.4,
        "missing_baseline": None,
        "eval_text": None,
        "drift": None,
        "reasons": ["because é"],
        "model": "/model",
        "learning_curve": None,
        "report": None,
        "components": {
            "Trainer": {"seconds": 83.26, "how": "executed"},
            "Transform": {"seconds": 0.04, "how": "cached"},
        },
    }


def test_missing_values_are_null_and_a_configured_threshold_is_written(tmp_path: Path) -> None:
    changed(pushed_version=None, threshold=5.25).write(str(tmp_path / "summary.json"))
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["pushed_version"] is None
    assert summary["baseline_perplexity"] is None
    assert (summary["threshold"], summary["trigram_perplexity"]) == (5.25, 6.0)


def test_infinite_metrics_are_null(tmp_path: Path) -> None:
    infinite = dataclasses.replace(MEASURED, train_nats=math.nan, eval_nats=math.inf)
    figures = {"perplexity": math.inf, "reference_perplexity": math.inf, "by_document": {"a": math.nan}}
    made = changed({**figures, "generalization": infinite})
    made.write(str(tmp_path / "summary.json"))
    summary = json.loads((tmp_path / "summary.json").read_text(), parse_constant=pytest.fail)
    assert (summary["perplexity"], summary["threshold"], summary["perplexity_by_document"]) == (None, None, {"a": None})
    assert (summary["generalization"]["train_nats"], summary["generalization"]["eval_nats"]) == (None, None)


def test_summary_is_replaced_and_no_other_file_is_left(tmp_path: Path) -> None:
    target = tmp_path / "summary.json"
    target.write_text("x" * 100_000)
    REPORT.write(str(target))
    assert json.loads(target.read_text())["corpus"] == "shakespeare"
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"]


def test_summary_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "summary.json"
    target.write_text("old")
    with pytest.raises(TypeError):
        changed(corpus=object()).write(str(target))
    assert target.read_text() == "old"


# collect


def outcomes(
    tmp_path: Path,
    *,
    blessed: int,
    infra: str,
    pusher: str = "executed",
    pushed: int = 1,
    missing: str = "",
    drift: str = "",
) -> dict[str, Outcome]:
    def artifact(kind: type[Artifact], folder: str) -> Any:
        made = kind()
        made.uri = str(tmp_path / folder)
        Path(made.uri).mkdir()
        return made

    blessing = artifact(standard_artifacts.ModelBlessing, "blessing")
    blessing.set_int_custom_property("blessed", blessed)
    (tmp_path / "blessing" / ("BLESSED" if blessed else "NOT_BLESSED")).touch()
    infra_blessing = artifact(standard_artifacts.InfraBlessing, "infra")
    infra_blessing.set_int_custom_property("blessed", int(not infra))
    infra_blessing.set_string_custom_property("reason", infra)
    (tmp_path / "infra" / ("INFRA_NOT_BLESSED" if infra else "INFRA_BLESSED")).touch()
    pushed_model = artifact(standard_artifacts.PushedModel, "pushed")
    pushed_model.set_int_custom_property("pushed", pushed)
    model = artifact(standard_artifacts.Model, "model")
    model_at(tmp_path / "model" / "Format-Serving")
    graph = artifact(standard_artifacts.TransformGraph, "graph")
    (tmp_path / "graph" / "transform_fn" / "assets").mkdir(parents=True)
    (tmp_path / "graph" / "transform_fn" / "assets" / "characters").write_text("000032\n000101\n000010\n")
    run = artifact(standard_artifacts.ModelRun, "run")
    record.write(run.uri, CHOSEN)
    evaluation = artifact(standard_artifacts.ModelEvaluation, "evaluation")
    baseline = artifact(standard_artifacts.Model, "baseline")
    baseline.set_string_custom_property("missing", missing)
    statistics = artifact(standard_artifacts.ExampleStatistics, "text")
    anomalies = artifact(standard_artifacts.ExampleAnomalies, "drift")
    anomalies.set_string_custom_property("drift", drift)
    return {
        "DriftCheck": Outcome(1.0, "cached", {"statistics": statistics, "anomalies": anomalies}),
        "Transform": Outcome(1.0, "cached", {"transform_graph": graph}),
        "Trainer": Outcome(1.0, "cached", {"model": model, "model_run": run}),
        "LastBlessed": Outcome(1.0, "cached", {"baseline": baseline}),
        "Evaluator": Outcome(1.0, "cached", {"evaluation": evaluation, "blessing": blessing}),
        "InfraCheck": Outcome(1.0, "cached", {"blessing": infra_blessing}),
        "Pusher": Outcome(1.0, pusher, {"pushed_model": pushed_model}),
    }


def collected(tmp_path: Path, config: Config, made: dict[str, Outcome], monkeypatch: pytest.MonkeyPatch) -> Report:
    read = dataclasses.replace(FIGURES, reasons=("too hard",))
    monkeypatch.setattr(report, "read_figures", lambda *uris: {str(tmp_path / "evaluation"): read}[uris[0]])
    return report.collect(config, Places(config), "mine", REPORT.facts, made)


def test_record_of_a_run_has_the_figures_and_the_chosen_values() -> None:
    chosen = {"training.steps": {"value": 1480, "reason": "1,003,854 training characters"}}
    made = changed({"by_document": {"a.txt": 4.0}, "generalization": MEASURED}, chosen=chosen).record()
    assert (made["perplexity"], made["threshold"], made["pushed_version"], made["pushed_now"]) == (4.5, 6.0, "3", True)
    assert made["chosen"] == chosen
    assert "a.txt" not in json.dumps(made), "it does not grow with the corpus"


def test_report_is_read_from_the_artifacts_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config(root=str(tmp_path))
    made = collected(tmp_path, config, outcomes(tmp_path, blessed=1, infra=""), monkeypatch)
    assert (made.blessed, made.servable, made.pushed_now, made.threshold) == (True, True, True, None)
    assert made.vocabulary_size == 3
    assert made.model == str(tmp_path / "model" / "Format-Serving")
    assert made.serving == str(tmp_path / "serving" / "char_rnn")
    assert made.reasons == ("too hard",)
    assert (made.chosen, made.model_run) == (CHOSEN, str(tmp_path / "run"))


def test_report_of_a_rejected_model_has_the_reasons_of_evaluation_and_infra_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Config(root=str(tmp_path), evaluation=EvaluationConfig(threshold=2.5))
    made = collected(tmp_path, config, outcomes(tmp_path, blessed=0, infra="no score", pushed=0), monkeypatch)
    assert (made.blessed, made.servable, made.pushed_now, made.threshold) == (False, False, False, 2.5)
    assert made.reasons == ("too hard", "infra check: no score")
    assert made.exit_code == 3


def test_report_names_drift(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = outcomes(tmp_path, blessed=1, infra="", drift="The characters moved.")
    found = collected(tmp_path, Config(root=str(tmp_path)), made, monkeypatch)
    assert (row(found, "drift"), found.summary()["drift"]) == ("The characters moved.", "The characters moved.")


def test_report_names_a_missing_baseline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = outcomes(tmp_path, blessed=1, infra="", missing="version 2 is gone")
    assert collected(tmp_path, Config(root=str(tmp_path)), made, monkeypatch).missing_baseline == "version 2 is gone"


def test_cached_push_does_not_count_as_pushed_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = outcomes(tmp_path, blessed=1, infra="", pusher="cached")
    assert not collected(tmp_path, Config(root=str(tmp_path)), made, monkeypatch).pushed_now


# repair_serving


def test_good_model_is_served_and_registered_even_if_the_pusher_was_cached(tmp_path: Path) -> None:
    places = Places(Config(root=str(tmp_path / "root")))
    before = changed(pushed_version=None, pushed_now=False, model=model_at(tmp_path / "model"), serving=places.serving)
    first = report.repair_serving(before, places, "key")
    assert (first.pushed_version, first.pushed_now, first.exit_code) == ("1", True, 0)
    again = report.repair_serving(before, places, "key")
    assert (again.pushed_version, again.pushed_now) == ("1", False)
    assert versions.complete(places.serving) == [1]
    assert [(entry.run_key, entry.corpus, entry.perplexity) for entry in registry.entries(places.registry)] == [
        ("key", "shakespeare", 4.5)
    ]


def test_model_that_the_pusher_pushed_counts_as_pushed_now(tmp_path: Path) -> None:
    places = Places(Config(root=str(tmp_path / "root")))
    before = changed(model=model_at(tmp_path / "model"), pushed_now=False)
    report.repair_serving(before, places, "key")
    after = report.repair_serving(dataclasses.replace(before, pushed_now=True), places, "key")
    assert (after.pushed_version, after.pushed_now) == ("1", True)


@pytest.mark.parametrize("rejected", [{"blessed": False}, {"servable": False}])
def test_rejected_model_is_neither_served_nor_registered(tmp_path: Path, rejected: dict[str, Any]) -> None:
    places = Places(Config(root=str(tmp_path / "root")))
    before = changed(pushed_version=None, model=model_at(tmp_path / "model"), **rejected)
    assert report.repair_serving(before, places, "key") == before
    assert not (tmp_path / "root").exists()


# with_learning_curve


def trained(directory: str) -> dict[str, Outcome]:
    run = standard_artifacts.ModelRun()
    run.uri = directory
    return {"Trainer": Outcome(1.0, "cached", {"model_run": run})}


@pytest.mark.parametrize(
    ("change", "count"),
    [({}, 1), ({"threshold": 5.0}, 2), ({"corpus": "another name"}, 2), ({"outcomes": trained("/run/2")}, 2)],
)
def test_learning_curve_is_plotted_again_if_what_it_shows_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], count: int
) -> None:
    plotted = list[str]()
    monkeypatch.setattr(learning_curve, "read", lambda _: learning_curve.Curves([], []))
    monkeypatch.setattr(learning_curve, "plot", lambda _, path, *__: (Path(path).touch(), plotted.append(path)))
    places = Places(Config(root=str(tmp_path)))
    (tmp_path / "reports").mkdir()
    first = changed(outcomes=trained("/run/1"))
    shown = [report.with_learning_curve(made, places, "key") for made in (first, dataclasses.replace(first, **change))]
    assert [made.learning_curve for made in shown] == [plotted[0], plotted[-1]]
    assert len(plotted) == count
