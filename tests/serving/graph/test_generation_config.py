"""Limits and defaults next to an export: written, read, and rejected when malformed."""

import dataclasses
import json
from pathlib import Path

import pytest

from serving.graph import generation_config
from serving.graph.generation_config import Limits

pytestmark = pytest.mark.integration

SOME = Limits(
    num_chars=300,
    temperature=0.8,
    top_k=0,
    max_chars=1000,
    state_size=514,
    max_temperature=9.5,
    max_score_chars=700,
    normalization="nfc",
    fold_case=True,
)


def test_limits_are_read_as_written(tmp_path: Path) -> None:
    generation_config.write(str(tmp_path), SOME)
    assert generation_config.read(str(tmp_path)) == SOME
    assert [path.relative_to(tmp_path) for path in tmp_path.rglob("*.json")] == [Path(generation_config.PLACE)]


def test_older_export_has_the_default_max_temperature_and_no_bound_of_score(tmp_path: Path) -> None:
    generation_config.write(str(tmp_path), SOME)
    path = tmp_path / generation_config.PLACE
    values = json.loads(path.read_text())
    for name in ("max_temperature", "max_score_chars", "normalization", "fold_case"):
        del values[name]
    path.write_text(json.dumps(values))
    assert generation_config.read(str(tmp_path)) == Limits(
        300, 0.8, 0, 1000, 514, max_temperature=100.0, max_score_chars=0
    )


def test_field_of_a_newer_export_is_ignored(tmp_path: Path) -> None:
    generation_config.write(str(tmp_path), SOME)
    path = tmp_path / generation_config.PLACE
    path.write_text(json.dumps(json.loads(path.read_text()) | {"top_p": 0.9}))
    assert generation_config.read(str(tmp_path)) == SOME


def test_export_without_the_file_has_no_limits(tmp_path: Path) -> None:
    assert generation_config.read(str(tmp_path)) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "{}", '{"num_chars": 3}', '{"unknown": 1}', "\xff"])
def test_malformed_file_has_no_limits(tmp_path: Path, text: str) -> None:
    path = tmp_path / generation_config.PLACE
    path.parent.mkdir()
    path.write_text(text, encoding="latin-1")
    assert generation_config.read(str(tmp_path)) is None


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Limits)])
def test_value_of_another_type_is_malformed(tmp_path: Path, field: str) -> None:
    generation_config.write(str(tmp_path), SOME)
    path = tmp_path / generation_config.PLACE
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: ["many"]}))
    assert generation_config.read(str(tmp_path)) is None
