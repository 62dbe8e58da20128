"""The notebook is valid, and shows the views of the artifacts that exist; a test of test_e2e.py executes one."""

from pathlib import Path

import nbformat

from pipeline.runs import notebook
from pipeline.runs.history import Artifact, Execution, History, Run


def test_directories_are_those_of_the_artifacts_that_exist(tmp_path: Path) -> None:
    uris = [tmp_path / "StatisticsGen" / "statistics" / "1", tmp_path / "Evaluator" / "evaluation" / "2"]
    uris += [tmp_path / "Evaluator" / "blessing" / "2"]
    for uri in uris:
        uri.mkdir(parents=True)
    artifacts = {number: Artifact(number, str(uri)) for number, uri in enumerate([*uris, "/gone/schema/3"])}
    made = {"StatisticsGen": {0}, "Evaluator": {1, 2}, "ImportSchemaGen": {3}}
    executions = [
        Execution(number, node, "CACHED", 0.0, 1.0, outputs=frozenset(outputs))
        for number, (node, outputs) in enumerate(made.items())
    ]
    run = Run("2026", "m", 0.0, tuple(executions))
    assert notebook.places(run, History((run,), artifacts)) == {"statistics": str(uris[0]), "evaluation": str(uris[1])}


def test_notebook_is_valid_and_names_each_directory() -> None:
    directories = {"schema": "/a 'quoted' schema", "anomalies": "/anomalies"}
    made = nbformat.reads(notebook.write("A run", directories, "/project"), as_version=4)
    nbformat.validate(made)
    setup, *cells = (cell.source for cell in made.cells if cell.cell_type == "code")
    names: dict[str, str] = {}
    exec("\n".join(line for line in setup.splitlines() if " = '" in line or ' = "/' in line), names)  # noqa: S102
    assert {name: names[name] for name in directories} == directories
    assert [cell.splitlines()[0] for cell in cells] == [
        "import tensorflow_data_validation as tfdv",
        "from tensorflow_data_validation.utils.anomalies_util import load_anomalies_binary",
    ]
