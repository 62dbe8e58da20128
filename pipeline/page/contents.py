"""What the page about a run shows, read from the artifacts of the components that have ended."""

import glob
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tensorflow_metadata.proto.v0 import anomalies_pb2
from tensorflow_model_analysis.writers import eval_config_writer
from tfx.utils import path_utils

from components.evaluate import generalization, hardest, reference, samples
from components.evaluate.evaluation import Figures, read_figures
from components.evaluate.hardest import Passage
from components.models import training
from components.models.training import Training
from components.validate import splits
from components.validate.splits import Split
from pipeline import learning_curve
from pipeline.learning_curve import Curves

PUSHED, SERVED, NOT_BLESSED, NOT_PUSHED = "pushed", "served already", "not blessed", "blessed, but not pushed"
FAILED, INTERRUPTED = "failed", "interrupted"


class Source(NamedTuple):
    """An artifact: its local path, and its properties."""

    path: str
    properties: Mapping[str, Any]


class Step(NamedTuple):
    """How a component ended: executed, cached, failed or interrupted; and after how many seconds."""

    name: str
    seconds: float
    how: str


@dataclass(frozen=True)
class Contents:
    """What the page shows; without what components that did not run would have stated.

    Example: tests/pipeline/page/test_contents.py.

    Attributes:
      model, corpus: their names.
      decision: one of the words above.
      reasons: why the model was not pushed, or the run has no result.
      version: of the model in the serving directory; empty if it was not pushed.
      when: start of the run; empty if it is not known.
      steps: the components in the order of their start; none if their times are not known.
      figures: of the evaluation.
      threshold: highest perplexity of a blessed model; None: that of the trigram reference.
      baseline: number of the version that was blessed last; empty if there is none.
      missing_baseline: which model the candidate should have been compared with, but exists no longer.
      eval_text: how the eval text differs from that of the last blessed model; empty if it does not.
      drift: how the new text differs from that of the last blessed model; empty if it does not.
      hardest: passages of the eval split with the highest loss.
      samples: texts of the model by temperature.
      splits: size of the records.
      anomalies: a sentence for each; None if the records were not validated.
      training: cost and character frequencies.
      curves: losses by step.
    """

    model: str
    corpus: str
    decision: str
    reasons: tuple[str, ...] = ()
    version: str = ""
    when: str = ""
    steps: tuple[Step, ...] = ()
    figures: Figures | None = None
    threshold: float | None = None
    baseline: str = ""
    missing_baseline: str = ""
    eval_text: str = ""
    drift: str = ""
    hardest: tuple[Passage, ...] = ()
    samples: Mapping[float, str] = field(default_factory=dict)
    splits: tuple[Split, ...] = ()
    anomalies: tuple[str, ...] | None = None
    training: Training | None = None
    curves: Curves | None = None


def read(sources: Mapping[str, Source], **known: Any) -> Contents:
    """Read the artifacts of a run.

    Args:
      sources: artifacts by the names in `pipeline.page.local.OUTPUTS`; those of components that have not ended are
        missing.
      known: attributes of `Contents` that no artifact states; `model` and `corpus`, at least. Without a decision, it
        is that of Evaluator, InfraCheck and Pusher.
    """
    found: dict[str, Any] = {}
    if "statistics" in sources:
        found["splits"] = tuple(splits.read(sources["statistics"].path))
    if "anomalies" in sources:
        found["anomalies"] = tuple(_anomalies(sources["anomalies"].path))
    if "drift" in sources:
        found["drift"] = sources["drift"].properties.get("drift", "")
    if "model_run" in sources:
        found["curves"] = learning_curve.read(sources["model_run"].path)
        found["training"] = training.read(sources["model_run"].path)
    export = path_utils.serving_model_path(sources["model"].path) if "model" in sources else ""
    if export:
        found["samples"] = samples.read(export)
    if "baseline" in sources:
        stated = sources["baseline"].properties
        version = stated.get("version")  # on Kubeflow a number with a decimal point
        found |= {"baseline": str(int(version)) if version else "", "missing_baseline": stated.get("missing", "")}
    if "evaluation" in sources:
        evaluation = sources["evaluation"]
        bound = _bound(evaluation.path)
        found["figures"] = read_figures(evaluation.path, export)
        found["threshold"] = None if bound == reference.upper_bound(reference.read(export)) else bound
        found["eval_text"] = evaluation.properties.get("eval_text", "")
        found["hardest"] = tuple(hardest.read(evaluation.path))
    decided = {} if "decision" in known else _decision(sources, found["figures"])
    return Contents(**{**found, **decided, **known})


def _decision(sources: Mapping[str, Source], figures: Figures) -> dict[str, Any]:
    infra, pushed = sources["infra_blessing"].properties, sources["pushed_model"].properties
    if version := pushed.get("pushed_version", ""):
        return {"decision": PUSHED if pushed.get("pushed") else SERVED, "version": version}
    blessed = bool(sources["blessing"].properties.get("blessed"))
    not_servable = () if infra.get("blessed") else (f"infra check: {infra.get('reason', '')}",)
    return {"decision": NOT_PUSHED if blessed else NOT_BLESSED, "reasons": figures.reasons + not_servable}


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


def _anomalies(directory: str) -> list[str]:
    from components.validate import anomaly_gate  # late: it imports TFX's components, which a task does not need

    found: list[str] = []
    for path in sorted(glob.glob(os.path.join(glob.escape(directory), "Split-*", "SchemaDiff.pb"))):
        split = os.path.basename(os.path.dirname(path)).removeprefix("Split-")
        with open(path, "rb") as file:
            found += anomaly_gate.describe(split, anomalies_pb2.Anomalies.FromString(file.read()))
    return found
