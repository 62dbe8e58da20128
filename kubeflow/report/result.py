"""The result of a run, read from the artifacts of its tasks."""

import json
import math
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tensorflow_model_analysis.writers import eval_config_writer
from tfx.utils import path_utils

from components.evaluate import generalization, reference, samples
from components.evaluate.evaluation import Figures, read_figures
from components.validate import splits
from components.validate.splits import Split
from pipeline import learning_curve


class Source(NamedTuple):
    """An input artifact: its local path, and its properties."""

    path: str
    properties: Mapping[str, Any]


@dataclass(frozen=True)
class Result:
    """What the report shows. Example: tests/kubeflow/report/test_page.py.

    Attributes:
      threshold: highest perplexity of a blessed model; None: that of the trigram reference.
      blessed: whether the Evaluator blessed the model.
      reasons: why the model was not blessed, or does not work in a server.
      missing_baseline: which model the candidate should have been compared with, but exists no longer.
      eval_text: how the eval text differs from that of the last blessed model; empty if it does not.
      drift: how the new text differs from that of the last blessed model; empty if it does not.
      version: of this model in the serving directory, and whether this run pushed it; empty if it was not pushed.
      learning_curve: PNG; empty if the training wrote no events.
      samples: texts of the model by temperature; none if training generated nothing.
    """

    model: str
    corpus: str
    figures: Figures
    threshold: float | None
    blessed: bool
    reasons: tuple[str, ...]
    missing_baseline: str
    eval_text: str
    drift: str
    version: str
    learning_curve: bytes
    samples: Mapping[float, str]
    splits: tuple[Split, ...]

    @property
    def metrics(self) -> dict[str, float]:
        """Return the figures that are finite, by name: JSON has no others, and KFP's launcher takes only numbers."""
        figures = self.figures
        values = {
            "perplexity": figures.perplexity,
            "bits_per_character": figures.bits_per_character,
            "trigram_perplexity": figures.reference_perplexity,
            "baseline_perplexity": figures.baseline_perplexity,
            "out_of_vocabulary_rate": figures.out_of_vocabulary_rate,
            **(figures.generalization.metrics if figures.generalization else {}),
        }
        return {name: value for name, value in values.items() if value is not None and math.isfinite(value)}


def read(sources: Mapping[str, Source], parameters: Mapping[str, str]) -> Result:
    """Read the result of a run.

    Args:
      sources: artifacts by the names in `kubeflow.compile.report`.
      parameters: `model` and `corpus`, their names.
    """
    export = path_utils.serving_model_path(sources["model"].path)
    figures = read_figures(sources["evaluation"].path, export)
    bound = _bound(sources["evaluation"].path)
    infra, pushed = sources["infra_blessing"].properties, sources["pushed_model"].properties
    not_servable = () if infra.get("blessed") else (f"infra check: {infra.get('reason', '')}",)
    version = pushed.get("pushed_version", "")
    return Result(
        model=parameters["model"],
        corpus=parameters["corpus"],
        figures=figures,
        threshold=None if bound == reference.upper_bound(reference.read(export)) else bound,
        blessed=bool(sources["blessing"].properties.get("blessed")),
        reasons=figures.reasons + not_servable,
        missing_baseline=sources["baseline"].properties.get("missing", ""),
        eval_text=sources["evaluation"].properties.get("eval_text", ""),
        drift=sources["drift"].properties.get("drift", ""),
        version=version and f"{version} ({'pushed' if pushed.get('pushed') else 'served already'})",
        learning_curve=_learning_curve(sources["model_run"].path, parameters["corpus"], bound),
        samples=samples.read(export),
        splits=tuple(splits.read(sources["statistics"].path)),
    )


def _bound(evaluation: str) -> float:
    """Return the highest perplexity of a blessed model, which the Evaluator writes next to its figures."""
    config, *_ = eval_config_writer.load_eval_run(evaluation)
    (bound,) = (
        bounded.threshold.value_threshold.upper_bound.value
        for spec in config.metrics_specs
        for metric in spec.metrics
        for bounded in metric.per_slice_thresholds
        if json.loads(metric.config or "{}").get("name") != generalization.COPIED
    )
    return float(bound)


def _learning_curve(directory: str, title: str, threshold: float) -> bytes:
    curves = learning_curve.read(directory)
    if curves is None:
        return b""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "curve.png")
        learning_curve.plot(curves, path, title, threshold)
        return Path(path).read_bytes()
