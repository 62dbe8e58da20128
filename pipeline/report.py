"""Result of a run: metrics, blessing and pushed version, as a table, as JSON and as an exit code."""

import dataclasses
import hashlib
import json
import math
import os
from dataclasses import asdict, dataclass, field
from typing import Any

from tfx.components.util import model_utils
from tfx.utils import path_utils

from components import command_line, files
from components.evaluate import summary
from components.evaluate.evaluation import Figures, read_figures
from components.evaluate.generalization import Generalization
from components.ingest.selection import spans
from components.ingest.selection.facts import CorpusFacts
from components.models import versions
from components.release.pusher import Data, push
from pipeline import learning_curve
from pipeline.config.places import Places
from pipeline.config.run import Config
from pipeline.launch import Outcome
from pipeline.page import contents
from trainer.plan import record

OK, NOT_GOOD_ENOUGH = 0, 3


@dataclass(frozen=True)
class Report:
    """The result of a finished run. Example: tests/pipeline/test_report.py.

    Attributes:
      blessed: whether the Evaluator blessed the model.
      servable: whether the model passed the infra check.
      pushed_version: version of this model in the serving directory; None if there is none.
      pushed_now: whether this run pushed it.
      reasons: why the model was not blessed or not pushed.
      learning_curve: path of the plot of the training, PNG.
      page: path of the page about the run, HTML.
      missing_baseline: which model the candidate should have been compared with, but exists no longer; empty if none.
      eval_text: how the eval text differs from that of the last blessed model; empty if it does not.
      data: what the model was trained and evaluated on, for the registry.
      drift: how the new text differs from that of the last blessed model; empty if it does not.
      model_run: directory of the training's logs.
      chosen: value and reason of each configuration value that was chosen, by key.
    """

    corpus: str
    facts: CorpusFacts
    vocabulary_size: int
    figures: Figures
    threshold: float | None
    blessed: bool
    servable: bool
    pushed_version: str | None
    pushed_now: bool
    serving: str
    model: str
    reasons: tuple[str, ...]
    outcomes: dict[str, Outcome]
    learning_curve: str | None = None
    page: str | None = None
    missing_baseline: str = ""
    eval_text: str = ""
    data: Data | None = None
    drift: str = ""
    model_run: str = ""
    chosen: dict[str, Any] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """Return 0 for a model that is pushed or already served, 3 for one that is not good enough."""
        return OK if self.pushed_version else NOT_GOOD_ENOUGH

    def rows(self) -> list[tuple[str, str]]:
        """Return the rows of the table on the terminal."""
        figures, facts = self.figures, self.facts
        documents = command_line.counted(facts.documents, "document")
        unknown = figures.out_of_vocabulary_rate
        names = self.data.spans if self.data else ""
        rows = [
            ("corpus", f"{self.corpus}: {documents}, {facts.characters:,} characters"),
            *([("drift", self.drift)] if self.drift else []),
            *([("spans", spans.listed(tuple(names.split(","))))] if names else []),
            ("vocabulary", f"{self.vocabulary_size} characters; {unknown:.3%} of the eval text is out of vocabulary"),
        ]
        rows += summary.rows(figures, self.threshold, self.blessed, self.reasons, self.missing_baseline, self.eval_text)
        if self.pushed_version:
            state = "pushed" if self.pushed_now else "served already"
            rows.append(("version", f"{self.pushed_version} ({state}) in {self.serving}"))
        else:
            live = versions.complete(self.serving)
            rows.append(("version", f"not pushed; {f'{live[-1]} stays' if live else 'none'} in {self.serving}"))
        if len(figures.by_document) > 1:
            worst = sorted(figures.by_document.items(), key=lambda item: -item[1])[:3]
            rows.append(("hardest documents", ", ".join(f"{name} {value:.2f}" for name, value in worst)))
        if self.learning_curve:
            rows.append(("learning curve", self.learning_curve))
        if self.page:
            rows.append(("report", self.page))
        if self.chosen:
            rows.append(("chosen values", record.line(self.chosen)))
            rows.append(("their reasons", os.path.join(self.model_run, record.NAME)))
        return rows

    def decision(self) -> dict[str, Any]:
        """Return what the page states, which the artifacts do not if a missing version was pushed after them."""
        version = {"version": self.pushed_version or ""}
        if self.pushed_version:
            return version | {"decision": contents.PUSHED if self.pushed_now else contents.SERVED}
        return version | {
            "decision": contents.NOT_PUSHED if self.blessed else contents.NOT_BLESSED,
            "reasons": self.reasons,
        }

    def write(self, path: str) -> None:
        """Write the summary as JSON."""
        files.write(path, json.dumps(self.summary(), indent=2, ensure_ascii=False) + "\n")

    def summary(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        figures = self.figures
        return {
            "blessed": self.blessed,
            "pushed_version": self.pushed_version,
            "perplexity": _number(figures.perplexity),
            "bits_per_char": _number(figures.bits_per_character),
            "eval_chars": figures.eval_chars,
            "out_of_vocabulary_rate": _number(figures.out_of_vocabulary_rate),
            "perplexity_by_document": {name: _number(value) for name, value in figures.by_document.items()},
            "threshold": _number(self.threshold if self.threshold is not None else figures.reference_perplexity),
            "trigram_perplexity": _number(figures.reference_perplexity),
            "generalization": _finite(figures.generalization) if figures.generalization else None,
            "chosen": self.chosen,
            "corpus": self.corpus,
            "spans": self.data.spans.split(",") if self.data and self.data.spans else None,
            "characters": self.facts.characters,
            "vocabulary_size": self.vocabulary_size,
            "baseline_perplexity": _number(figures.baseline_perplexity),
            "missing_baseline": self.missing_baseline or None,
            "eval_text": self.eval_text or None,
            "drift": self.drift or None,
            "reasons": list(self.reasons),
            "model": self.model,
            "learning_curve": self.learning_curve,
            "report": self.page,
            "components": {
                name: {"seconds": round(one.seconds, 2), "how": one.how} for name, one in self.outcomes.items()
            },
        }

    def record(self) -> dict[str, Any]:
        """Return what ML Metadata records of the run, JSON values: without lists that grow with the corpus."""
        left_out = ("corpus", "spans", "components", "generalization", "perplexity_by_document")
        values = {name: value for name, value in self.summary().items() if name not in left_out}
        return {**values, "pushed_now": self.pushed_now}


def collect(config: Config, places: Places, corpus: str, facts: CorpusFacts, outcomes: dict[str, Outcome]) -> Report:
    """Read the result of a run from its artifacts."""
    evaluator, infra = outcomes["Evaluator"].outputs, outcomes["InfraCheck"].outputs["blessing"]
    model = path_utils.serving_model_path(outcomes["Trainer"].outputs["model"].uri)
    figures = read_figures(evaluator["evaluation"].uri, model)
    servable = model_utils.is_infra_validated(infra)
    not_servable = () if servable else (f"infra check: {infra.get_string_custom_property('reason')}",)
    pushed = outcomes["Pusher"].outputs["pushed_model"]
    executed = outcomes["Pusher"].how == "executed"
    model_run = outcomes["Trainer"].outputs["model_run"].uri
    threshold = config.evaluation.threshold
    return Report(
        corpus=corpus,
        facts=facts,
        vocabulary_size=_vocabulary_size(outcomes["Transform"].outputs["transform_graph"].uri),
        figures=figures,
        threshold=None if threshold == "auto" else float(threshold),
        blessed=model_utils.is_model_blessed(evaluator["blessing"]),
        servable=servable,
        pushed_version=None,
        pushed_now=executed and bool(pushed.get_int_custom_property("pushed")),
        serving=places.serving,
        model=model,
        reasons=figures.reasons + not_servable,
        outcomes=outcomes,
        eval_text=evaluator["evaluation"].get_string_custom_property("eval_text"),
        data=Data.of(corpus, evaluator["evaluation"], outcomes["DriftCheck"].outputs["statistics"]),
        drift=outcomes["DriftCheck"].outputs["anomalies"].get_string_custom_property("drift"),
        missing_baseline=outcomes["LastBlessed"].outputs["baseline"].get_string_custom_property("missing"),
        model_run=model_run,
        chosen=record.read(model_run),
    )


def repair_serving(report: Report, places: Places, run_key: str) -> Report:
    """Push and register a good model whose version is missing, for example because the Pusher came from the cache."""
    if not (report.blessed and report.servable):
        return report
    place = places.serving, places.registry
    data, described = (
        report.data or Data(report.corpus),
        (_uri(report, "StatisticsGen", "statistics"), report.model_run),
    )
    version, new = push(report.model, report.figures, *place, run_key, data, *described)
    return dataclasses.replace(report, pushed_version=str(version), pushed_now=report.pushed_now or new)


def with_learning_curve(report: Report, places: Places, run_key: str) -> Report:
    """Plot the training, unless the same plot exists or there are no event files."""
    scalars = report.outcomes["Trainer"].outputs["model_run"].uri
    threshold = report.figures.reference_perplexity if report.threshold is None else report.threshold
    shown = hashlib.sha256(repr((scalars, report.corpus, threshold)).encode()).hexdigest()[:8]
    path = os.path.join(places.reports, f"{run_key}-{shown}.png")
    if not os.path.exists(path):
        curves = learning_curve.read(scalars)
        if curves is None:
            return report
        learning_curve.plot(curves, path, report.corpus, threshold)
    return dataclasses.replace(report, learning_curve=path)


def _uri(report: Report, component: str, output: str) -> str:
    """Return the directory of an artifact; empty if the component has not run."""
    outcome = report.outcomes.get(component)
    return str(outcome.outputs[output].uri) if outcome else ""


def _vocabulary_size(transform_graph: str) -> int:
    from transform.preprocessing import VOCABULARY_NAME

    path = os.path.join(transform_graph, "transform_fn", "assets", VOCABULARY_NAME)
    with open(path, "rb") as file:
        return sum(1 for _ in file)


def _finite(measured: Generalization) -> dict[str, Any]:
    losses = {"train_nats": _number(measured.train_nats), "eval_nats": _number(measured.eval_nats)}
    return asdict(measured) | losses


def _number(value: float | None) -> float | None:
    """Return None for infinity and NaN, which JSON cannot represent."""
    return value if value is not None and math.isfinite(value) else None
