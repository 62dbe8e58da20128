"""The list of versions, as a table and as JSON."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from serving.__main__ import main


def test_the_table_shows_what_is_known(
    root: Path, push: Callable[..., Path], free_port: Callable[[], int], capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = ["--set", f"serving.rest_port={free_port()}"]
    push(9, perplexity=4.7112)
    push(10, perplexity=3.8211)
    (root / "serving" / "char_rnn" / "11").mkdir()
    assert main(["promote", "9", "--root", str(root), *nowhere]) == 0
    capsys.readouterr()
    assert main(["versions", "--root", str(root), *nowhere]) == 0
    title, header, *rows = (line.split() for line in capsys.readouterr().out.splitlines())
    assert title == ["char_rnn", "in", str(root / "serving" / "char_rnn")]
    assert header == ["version", "labels", "state", "perplexity", "bits", "size", "pushed", "corpus"]
    known = ["2.170", "0.0", "MB", "2026-01-02", "03:04", "play.txt"]
    assert rows == [
        ["9", "stable", "served", "4.711", *known],
        ["10", "canary", "served,", "default", "3.821", *known],
        ["11", "-", "not", "whole", "-", "-", "0.0", "MB", "-", "-"],
    ]


def test_json_is_what_a_script_reads(root: Path, push: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    push(1)
    assert main(["versions", "--json", "--root", str(root)]) == 0
    assert json.loads(capsys.readouterr().out) == [
        {
            "number": 1,
            "whole": True,
            "served": True,
            "default": True,
            "labels": [],
            "bytes": 10,
            "perplexity": 4.5,
            "bits_per_character": 2.17,
            "corpus": "/texts/play.txt",
            "pushed_at": "2026-01-02T03:04:05+00:00",
        }
    ]


def test_before_the_first_push_the_list_is_empty(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["versions", "--json", "--root", str(root)]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert main(["versions", "--root", str(root)]) == 0
    assert "No version of the model char_rnn has been pushed" in capsys.readouterr().out
