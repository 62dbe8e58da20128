"""The splits of `benchmarks/corpus.py`."""

from pathlib import Path

import pytest

from benchmarks import corpus

pytestmark = pytest.mark.integration


def test_documents_that_are_held_out_at_random_are_complete_and_counted_with_their_end(tmp_path: Path) -> None:
    names = [f"name{chr(97 + place % 26)}" for place in range(100)]
    path = tmp_path / "names.txt"
    path.write_text("\n".join(names))
    data = corpus.load(str(path), documents="line", held_out=30)
    assert (data.train.targets, data.evaluation.targets) == (70 * 6, 30 * 6)
    parts = [data.vocabulary.decode(split.ids) for split in (data.train, data.evaluation)]
    found = [part.strip("\x03").split("\x03") for part in parts]
    assert [len(part) for part in found] == [70, 30]
    assert sorted(found[0] + found[1]) == sorted(names)
    assert set(found[0]) & set(found[1])
