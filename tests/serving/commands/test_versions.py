"""The list of versions, as a table and as JSON."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.models import versions
from serving.__main__ import main
from serving.tf_serving import model_config
from serving.tf_serving.model_config import ServedModel


def test_table_of_versions(
    root: Path, push: Callable[..., Path], free_port: Callable[[], int], capsys: pytest.CaptureFixture[str]
) -> None:
    no_server = ["--set", f"serving.rest_port={free_port()}"]
    push(9, perplexity=4.7112)
    push(10, perplexity=3.8211)
    (root / "serving" / "char_rnn" / "11").mkdir()
    assert main(["promote", "9", "--root", str(root), *no_server]) == 0
    capsys.readouterr()
    assert main(["versions", "--root", str(root), *no_server]) == 0
    title, header, *rows = (line.split() for line in capsys.readouterr().out.splitlines())
    assert title == ["char_rnn", "in", str(root / "serving" / "char_rnn")]
    assert header == ["version", "labels", "state", "perplexity", "bits", "size", "pushed", "corpus"]
    known = ["2.170", "0.0", "MB", "2026-01-02", "03:04", "play.txt"]
    assert rows == [
        ["9", "stable", "served", "4.711", *known],
        ["10", "canary", "served,", "default", "3.821", *known],
        ["11", "-", "incomplete", "-", "-", "0.0", "MB", "-", "-"],
    ]


def test_spans_that_trained_a_version_are_listed(
    root: Path, push: Callable[..., Path], free_port: Callable[[], int], capsys: pytest.CaptureFixture[str]
) -> None:
    push(1)
    push(2, spans="2026-01-31,2026-02-28")
    assert main(["versions", "--root", str(root), "--set", f"serving.rest_port={free_port()}"]) == 0
    _, header, *rows = (line.split() for line in capsys.readouterr().out.splitlines())
    assert [header[-1], *(row[-2:] for row in rows)] == [
        "spans",
        ["play.txt", "-"],
        ["2026-01-31,", "2026-02-28"],
    ]


@pytest.mark.integration
def test_states_are_those_of_the_server(
    root: Path, push: Callable[..., Path], script: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    for version in (1, 2, 3):
        push(version)
    listed = [
        {"version": "2", "state": "END", "status": {"error_code": "UNKNOWN", "error_message": "no graph"}},
        {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}},
    ]
    command = ["versions", "--root", str(root), "--set", f"serving.rest_port={script.url.rpartition(':')[2]}"]
    script.then(200, {"model_version_status": listed})
    assert main(command) == 0
    _, source, _, first, second, third, error = capsys.readouterr().out.splitlines()
    assert source == f"states as reported by {script.url}"
    assert "served, default" in first
    assert "failed" in second
    assert error == "version 2: no graph"
    assert "not loaded" in third
    script.then(503, {"error": "busy"})
    assert main(command) == 0
    assert "states as reported" not in capsys.readouterr().out


def test_copy_is_reported(
    root: Path, push: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    push(1)
    path = str(root / "serving" / "models.config")
    model_config.update(path, "char_rnn", lambda _: ServedModel("char_rnn", str(tmp_path)))
    assert main(["versions", "--root", str(root)]) == 0
    assert f"serves the versions in {tmp_path}" in capsys.readouterr().out


def test_json_has_all_fields(
    root: Path, push: Callable[..., Path], free_port: Callable[[], int], capsys: pytest.CaptureFixture[str]
) -> None:
    push(1)
    assert main(["versions", "--json", "--root", str(root), "--set", f"serving.rest_port={free_port()}"]) == 0
    assert json.loads(capsys.readouterr().out) == [
        {
            "number": 1,
            "complete": True,
            "served": True,
            "default": True,
            "state": None,
            "error": "",
            "labels": [],
            "bytes": 10,
            "perplexity": 4.5,
            "bits_per_character": 2.17,
            "corpus": "/texts/play.txt",
            "spans": "",
            "pushed_at": "2026-01-02T03:04:05+00:00",
        }
    ]


def test_model_card_of_a_version_is_printed(
    root: Path, push: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    (push(1) / "assets.extra").mkdir()
    push(2)
    (root / "serving" / "char_rnn" / "1" / versions.CARD).write_text("# card\n")
    assert main(["versions", "--card", "1", "--root", str(root)]) == 0
    assert capsys.readouterr().out == "# card\n"
    for version, reason in (("2", "has no model card"), ("3", "Choose one of 1, 2.")):
        assert main(["versions", "--card", version, "--root", str(root)]) == 2
        assert reason in capsys.readouterr().err


def test_list_is_empty_before_the_first_push(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["versions", "--json", "--root", str(root)]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert main(["versions", "--root", str(root)]) == 0
    assert "No version of the model char_rnn has been pushed" in capsys.readouterr().out
