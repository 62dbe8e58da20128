"""The command `bulk`: from the options to the lines of the output."""

import json
from pathlib import Path
from typing import Any

import pytest

from serving.__main__ import main

pytestmark = pytest.mark.integration
ROWS: list[Any] = [{"prompt": "ROMEO:", "id": "a"}, {"prompt": "the", "num_chars": 9, "top_p": 0.5}, {"text": "the"}]


@pytest.fixture
def source(tmp_path: Path) -> str:
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    return str(tmp_path / "in.jsonl")


def test_texts_and_errors_of_the_lines(
    source: str, tmp_path: Path, pushed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "out.jsonl"
    command = ["bulk", source, "--output", str(target), "--root", pushed, "--model", "tiny"]
    assert main([*command, "--chars", "20", "--temperature", "0.5", "--seed", "4", "--shard-lines", "2"]) == 0
    first, second, third = map(json.loads, target.read_text().splitlines())
    text = first.pop("text")
    assert first == {"line": 1, "id": "a", "prompt": "ROMEO:", "seed": 4, "stopped": False}
    assert (len(text), len(second["text"]), second["seed"]) == (20, 9, 5)
    assert (third["line"], third["error"][:22]) == (3, "A line may have the ke")
    assert capsys.readouterr().err == (
        f"tiny version 3; 3 lines in 2 shards; seed 4\n3 lines in {target}, 1 of them errors, the first in line 3\n"
    )


def test_scores_of_the_lines(source: str, tmp_path: Path, pushed: str, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "out.jsonl"
    assert main(["bulk", source, "--score", "--output", str(target), "--root", pushed, "--model", "tiny"]) == 0
    *_, last = map(json.loads, target.read_text().splitlines())
    assert last.keys() == {"line", "predicted", "nats", "nats_per_character", "perplexity", "bits_per_character"}
    assert last["predicted"] == 2
    assert capsys.readouterr().err.endswith("2 of them errors, the first in line 1\n")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--shard-lines", "0"], "error: A shard must have at least one line. Received: --shard-lines 0\n"),
        (["--top-p", "2"], "error: --top-p must be above 0 and at most 1 (off). Received: --top-p=2.0\n"),
        (
            ["--stop", "x", "--until-end"],
            "error: Give --stop or --until-end, not both. Received: --stop x --until-e",
        ),
        (
            ["--set", 'beam_args=["--runner=PortableRunner"]'],
            "error: Beam's portable runner needs the address of",
        ),
        (["--model", "other"], "error: There is no model: no version of other is in "),
        (["--version", "4"], "error: There is no such version in "),
        (
            ["--output", "missing"],
            "error: The input cannot be read: No such file or directory. Received: miss",
        ),
    ],
)
def test_mistakes_are_refused(
    options: list[str], message: str, pushed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["bulk", "missing.jsonl", "--output", "out.jsonl", "--root", pushed, "--model", "tiny", *options]
    assert main(command) == 2
    error = capsys.readouterr().err
    assert error.startswith(message)
    assert "--url" not in error  # which the command does not have
