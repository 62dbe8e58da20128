"""Directories of executions that were killed are deleted; those of all others stay."""

from pathlib import Path

import pytest
from ml_metadata.proto.metadata_store_pb2 import Execution, ExecutionType
from tfx.orchestration import metadata

from pipeline import unfinished
from pipeline.config.places import Places
from pipeline.config.run import Config

pytestmark = pytest.mark.integration  # TFX imports TensorFlow

STATES = (Execution.RUNNING, Execution.COMPLETE, Execution.CACHED, Execution.FAILED)


def test_only_what_killed_runs_left_is_deleted(tmp_path: Path) -> None:
    places = Places(Config(root=str(tmp_path)))
    connection = metadata.sqlite_metadata_connection_config(places.metadata)
    with metadata.Metadata(connection) as handle:
        kind = handle.store.put_execution_type(ExecutionType(name="Transform"))
        made = [Execution(type_id=kind, last_known_state=state) for state in STATES]
        running, *others = handle.store.put_executions(made)
    dead = [
        f"pipeline/Transform/transform_graph/{running}/saved_model.pb",
        f"pipeline/Transform/.system/executor_execution/{running}/.temp/part",
        "pipeline/Transform/.system/stateful_working_dir/c59c3a29/part",
        "corpus/.0123456789abcdef-xyz/copy/play.txt",
        "reports/.curve.png.01234567.partial",
        "registry/char_rnn/.1.json.01234567.partial",
        "schema/0123456789abcdef/.schema.pbtxt.01234567.partial",
    ]
    kept = [
        *(f"pipeline/Transform/transform_graph/{number}/saved_model.pb" for number in others),
        *(f"pipeline/Transform/.system/executor_execution/{number}/log" for number in others),
        "corpus/0123456789abcdef/play.txt",
        "reports/curve.png",
        "registry/char_rnn/1.json",
    ]
    for name in dead + kept:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    unfinished.delete(connection, places)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left - {"metadata.db"} == set(kept)
    assert not (tmp_path / "pipeline" / "Transform" / "transform_graph" / str(running)).exists()
    with metadata.Metadata(connection) as handle:
        states = [execution.last_known_state for execution in handle.store.get_executions_by_id([running, *others])]
    assert states == [Execution.FAILED, *STATES[1:]]


def test_new_root_has_nothing_to_delete(tmp_path: Path) -> None:
    places = Places(Config(root=str(tmp_path)))
    unfinished.delete(metadata.sqlite_metadata_connection_config(places.metadata), places)
    assert [path.name for path in tmp_path.iterdir()] == ["metadata.db"]
