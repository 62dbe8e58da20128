"""Shards have each line of the input once; the directory keeps what is finished, on disk and in a bucket."""

import json
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies

from components.errors import UserError
from serving.bulk import shards
from serving.bulk.shards import Directory, Shard
from tests.bucket import Bucket

pytestmark = pytest.mark.integration


@hypothesis.given(
    strategies.lists(strategies.sampled_from([b"a", b"\r", b"\n", b"\xe2\x80\xa8"])), strategies.integers(1, 4)
)
def test_shards_have_every_line_once(
    tmp_path_factory: pytest.TempPathFactory, parts: list[bytes], shard_lines: int
) -> None:
    content = b"".join(parts)
    path = tmp_path_factory.getbasetemp() / "input.jsonl"
    path.write_bytes(content)
    found = shards.scan(str(path), shard_lines)
    read = [shards.read(str(path), shard) for shard in found.shards]
    expected = content.split(b"\n")
    assert [line for lines in read for line in lines] == (expected if expected[-1] else expected[:-1])
    assert found.lines == sum(map(len, read))
    assert all(len(lines) == shard_lines for lines in read[:-1])
    assert [shard.first_line for shard in found.shards] == [1 + shard_lines * i for i in range(len(read))]


def test_input_that_cannot_be_read_or_changed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "input.jsonl"
    with pytest.raises(UserError, match=r"^The input cannot be read: No such file or directory\. Received: "):
        shards.scan(str(path), 2)
    with pytest.raises(UserError, match=r"^The input cannot be read: Is a directory\. Received: "):
        shards.scan(str(tmp_path), 2)
    path.write_bytes(b"a\nb\n")
    (shard,) = shards.scan(str(path), 2).shards
    path.write_bytes(b"a\n")
    with pytest.raises(UserError, match="The input has changed during the job"):
        shards.read(str(path), shard)


@pytest.fixture(params=["disk", "bucket"])
def output(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "bucket":
        Bucket.install(monkeypatch)
    return "gs://bucket/texts.jsonl" if request.param == "bucket" else str(tmp_path / "texts.jsonl")


def test_directory_keeps_shards_until_they_are_joined(output: str) -> None:
    from components import files

    first, second = Shard(0, 0, 4, 1), Shard(1, 4, 2, 3)
    source = shards.Input("digest", 3, [first, second])
    directory = Directory(output)
    with directory.locked():
        assert directory.manifest() is None
        directory.write_manifest({"input": "digest"})
        assert directory.manifest() == {"input": "digest"}
        assert directory.missing(source.shards) == [first, second]
        files.write(directory.shard(second), lines(3))
        assert directory.missing(source.shards) == [first]
        files.write(directory.shard(first), b'{"line": 1, "id": "error: "}\n')
        with pytest.raises(UserError, match=r"^The shards have 2 lines, and the input 3\. Start over with --restart"):
            directory.join(source)
        files.write(directory.shard(first), lines(1, 2))
        assert directory.join(source) == [2]
        assert directory.holds_output()
        directory.clear()
        assert directory.missing(source.shards) == [first, second]
        assert directory.manifest() is not None
    with shards._open(output) as file:
        assert file.read() == lines(1, 2, 3)


def lines(*numbers: int) -> bytes:
    """Lines of output; even ones are errors."""
    values = ({"line": number, "text" if number % 2 else "error": ""} for number in numbers)
    return "".join(json.dumps(one) + "\n" for one in values).encode()


def test_damaged_manifest_is_refused(tmp_path: Path) -> None:
    directory = Directory(str(tmp_path / "texts.jsonl"))
    with directory.locked():
        (tmp_path / "texts.jsonl.shards" / "manifest.json").write_text("{")
        with pytest.raises(UserError, match="The job's manifest is damaged. Start over with --restart. Received: "):
            directory.manifest()
