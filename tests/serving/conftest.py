"""Pushed versions, and stand-ins for the programs of an operator's machine."""

import json
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root below which nothing was pushed."""
    return tmp_path / "output"


@pytest.fixture
def push(root: Path) -> Callable[..., Path]:
    """Puts files that look like a version below the root; no server could load them."""

    def make(version: int, perplexity: float = 4.5, model: str = "char_rnn") -> Path:
        path = root / "serving" / model / str(version)
        (path / "variables").mkdir(parents=True)
        (path / "saved_model.pb").write_text("graph")
        (path / "variables" / "variables.index").write_text("index")
        entry = {"version": version, "perplexity": perplexity, "bits_per_character": 2.17, "corpus": "/texts/play.txt"}
        registry = root / "registry" / model
        registry.mkdir(parents=True, exist_ok=True)
        (registry / f"{version}.json").write_text(json.dumps(entry | {"pushed_at": "2026-01-02T03:04:05+00:00"}))
        return path

    return make


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Puts the stand-in of `fake_programs.py` on PATH under a name; returns the file in which its calls are noted."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))  # and nothing else: this machine may have the real ones

    def make(name: str) -> Path:
        calls = tmp_path / f"{name}.calls"
        stand_in = Path(__file__).with_name("fake_programs.py")
        (folder / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" "{stand_in}" "{calls}" "$@"\n')
        (folder / name).chmod(0o755)
        return calls

    return make


@pytest.fixture
def free_port() -> Callable[[], int]:
    """Finds a port that nothing listens on."""

    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    return find
