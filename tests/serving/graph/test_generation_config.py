"""What an export says of itself comes back; what is not understood counts as nothing said."""

from pathlib import Path

import pytest

from serving.graph import generation_config
from serving.graph.generation_config import Limits

pytestmark = pytest.mark.integration

SOME = Limits(num_chars=300, temperature=0.8, top_k=0, max_chars=1000, state_size=514)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    generation_config.write(str(tmp_path), SOME)
    assert generation_config.read(str(tmp_path)) == SOME
    assert [path.relative_to(tmp_path) for path in tmp_path.rglob("*.json")] == [Path(generation_config.PLACE)]


def test_an_export_that_says_nothing(tmp_path: Path) -> None:
    assert generation_config.read(str(tmp_path)) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "{}", '{"num_chars": 3}', '{"unheard_of": 1}', "\xff"])
def test_what_is_not_understood(tmp_path: Path, text: str) -> None:
    path = tmp_path / generation_config.PLACE
    path.parent.mkdir()
    path.write_text(text, encoding="latin-1")
    assert generation_config.read(str(tmp_path)) is None


@pytest.mark.parametrize("field", ["num_chars", "temperature", "top_k", "max_chars", "state_size"])
def test_a_value_of_another_kind_is_not_understood(tmp_path: Path, field: str) -> None:
    generation_config.write(str(tmp_path), SOME)
    path = tmp_path / generation_config.PLACE
    path.write_text(path.read_text().replace(f'"{field}": {getattr(SOME, field)}', f'"{field}": "many"'))
    assert generation_config.read(str(tmp_path)) is None
