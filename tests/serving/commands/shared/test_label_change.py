"""`promote` and `rollback` from the command line to the file, without a server."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from serving.__main__ import main
from serving.tf_serving import model_config
from serving.tf_serving.model_config import All, Specific

Run = Callable[..., int]


@pytest.fixture
def run(root: Path, push: Callable[..., Path], free_port: Callable[[], int]) -> Run:
    for version in (1, 2, 3):
        push(version)
    port = free_port()

    def call(*arguments: str) -> int:
        return main([*arguments, "--root", str(root), "--set", f"serving.rest_port={port}"])

    return call


def labels(run: Run, capsys: pytest.CaptureFixture[str]) -> dict[int, tuple[list[str], bool]]:
    capsys.readouterr()
    assert run("versions", "--json") == 0
    return {one["number"]: (one["labels"], one["served"]) for one in json.loads(capsys.readouterr().out)}


def test_promote_and_rollback(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("promote", "2") == 0
    warning, summary = capsys.readouterr().out.splitlines()
    assert warning.endswith(": the labels move without a check that a server can load them")
    assert summary == "char_rnn: stable is 2, canary is 3; requests without a label use 3"
    assert run("rollback", "--to", "2") == 0
    summary = capsys.readouterr().out.splitlines()[-1]
    assert summary == "char_rnn: stable is 2, canary is 2; requests without a label use 2; not served: 3"
    assert run("rollback") == 0
    assert labels(run, capsys) == {1: (["canary", "stable"], True), 2: ([], False), 3: ([], False)}


def test_invalid_version_or_model_is_one_paragraph_and_code_2(
    run: Run, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("promote", "7") == 2
    assert "Received: version 7" in capsys.readouterr().err
    assert run("promote", "--model", "poems") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: No version of the model poems has been pushed")
    assert error.count("\n") == 1
    assert not (root / "serving" / "models.config").exists()


@pytest.mark.parametrize("url", ["127.0.0.1:{port}", "http://127.0.0.1:{port}", "http://127.0.0.1:{port}/wrong"])
def test_mistyped_address_moves_no_label(
    run: Run, root: Path, url: str, free_port: Callable[[], int], capsys: pytest.CaptureFixture[str]
) -> None:
    url = url.format(port=free_port())
    assert run("promote", "1", "--server-url", url) == 2
    assert f"Received: --server-url {url}\n" in capsys.readouterr().err
    assert not (root / "serving" / "models.config").exists()


def test_two_roots_change_the_models_of_one_serving_directory(
    root: Path,
    push: Callable[..., Path],
    tmp_path: Path,
    free_port: Callable[[], int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    for version in (1, 2):
        push(version)
        push(version, model="poems")
    port = free_port()

    def call(name: str, *arguments: str) -> int:
        options = ("--root", str(tmp_path / name), "--serving-dir", str(root / "serving"))
        return main([*arguments, *options, "--set", f"serving.rest_port={port}"])

    assert call("a", "rollback") == call("b", "promote", "--model", "poems") == 0
    assert call("b", "promote") == call("a", "rollback", "--model", "poems") == 0
    assert call("b", "rollback", "--model", "poems") == 2, "1 is the oldest"
    os.utime(root / "serving" / "models.config", (0, 0))  # servers have read it
    assert call("a", "prune", "--keep", "1", "--model", "poems") == 0
    first, second = model_config.read(str(root / "serving" / "models.config"))
    assert (first.name, first.policy, first.labels) == ("char_rnn", All(), {"stable": 2, "canary": 2})
    assert (second.name, second.policy, second.labels) == ("poems", Specific((1,)), {"stable": 1, "canary": 1})
    capsys.readouterr()
    assert call("b", "versions", "--json") == 0
    assert [one["perplexity"] for one in json.loads(capsys.readouterr().out)] == [None, None], "not in its registry"
