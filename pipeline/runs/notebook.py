"""A notebook that loads the views of TFDV and TFMA on the artifacts of a run."""

import json
import os
from collections.abc import Mapping
from typing import Any

from pipeline.runs.history import History, Run

# Component and output of each artifact; the name of the variable that holds its directory.
_ARTIFACTS = {
    "statistics": ("StatisticsGen", "statistics"),
    "schema": ("ImportSchemaGen", "schema"),
    "anomalies": ("ExampleValidator", "anomalies"),
    "evaluation": ("Evaluator", "evaluation"),
}
_QUIET = """\
import os, sys, warnings

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
warnings.simplefilter("ignore", FutureWarning)"""
_STATISTICS = """\
import tensorflow_data_validation as tfdv

train, evaluation_split = (
    tfdv.load_stats_binary(f"{statistics}/Split-{split}/FeatureStats.pb") for split in ("train", "eval")
)
tfdv.visualize_statistics(train, evaluation_split, "train", "eval")"""
_SCHEMA = 'tfdv.display_schema(tfdv.load_schema_text(f"{schema}/schema.pbtxt"))'
_ANOMALIES = """\
from tensorflow_data_validation.utils.anomalies_util import load_anomalies_binary

for split in ("train", "eval"):
    tfdv.display_anomalies(load_anomalies_binary(f"{anomalies}/Split-{split}/SchemaDiff.pb"))"""
_METRICS = """\
import tensorflow_model_analysis as tfma

import components.evaluate.metrics  # the project's metrics

result = tfma.load_eval_result(evaluation)
tfma.view.render_slicing_metrics(result, slicing_column="document")"""
_VALIDATION = "tfma.load_validation_result(evaluation)"


def places(run: Run, history: History) -> dict[str, str]:
    """Return the directories of a run's artifacts that exist; the notebook shows the views of these."""
    found: dict[str, str] = {}
    for name, (node, output) in _ARTIFACTS.items():
        execution = run.execution(node)
        for number in sorted(execution.outputs) if execution and execution.succeeded else ():
            uri = history.artifacts[number].uri if number in history.artifacts else ""
            if os.path.basename(os.path.dirname(uri)) == output and os.path.isdir(uri):
                found[name] = uri
    return found


def write(title: str, directories: Mapping[str, str], project: str) -> str:
    """Return the notebook, JSON. Example: tests/pipeline/runs/test_notebook.py.

    Args:
      title: of the run.
      directories: as `places` returns them.
      project: directory of this project.
    """
    lines = [f"{name} = {directory!r}" for name, directory in directories.items()]
    setup = "\n".join([_QUIET, f"sys.path.insert(0, {project!r})", *lines])
    note = "The view of statistics loads its code from the network when a browser shows it."
    cells = [("markdown", f"# {title}\n\nThe artifacts of the run, in the views of TFDV and TFMA."), ("code", setup)]
    if "statistics" in directories:
        cells += [("markdown", f"## Statistics of the records\n\n{note}"), ("code", _STATISTICS)]
    if "schema" in directories:
        cells += [("markdown", "## Schema"), ("code", _imported(_SCHEMA, "statistics" not in directories))]
    if "anomalies" in directories:
        cells += [("markdown", "## Anomalies"), ("code", _ANOMALIES)]
    if "evaluation" in directories:
        cells += [("markdown", "## Figures by document"), ("code", _METRICS)]
        cells += [("markdown", "## Comparison with the bounds"), ("code", _VALIDATION)]
    return _json(cells)


def _imported(code: str, needed: bool) -> str:
    return f"import tensorflow_data_validation as tfdv\n\n{code}" if needed else code


def _json(cells: list[tuple[str, str]]) -> str:
    made: list[dict[str, Any]] = []
    for number, (kind, source) in enumerate(cells):
        cell: dict[str, Any] = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}, "source": source}
        made.append(cell | ({"execution_count": None, "outputs": []} if kind == "code" else {}))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = {"cells": made, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
