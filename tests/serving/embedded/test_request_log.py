"""The request log: its lines, rotation, a full disk, a slow disk, and no wait for either."""

import json
import logging
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.errors import UserError
from pipeline.config.serving import RequestLogSettings
from serving.embedded import request_log
from serving.embedded.request_log import Entry, RequestLog


def texts(*values: str) -> Any:
    return np.array([value.encode() for value in values], object)


def entry(log: RequestLog, *prompts: str) -> Entry:
    made = log.entry()
    made.model = "m"
    made.receive(3, "generate", [texts(*prompts), np.ones(len(prompts), np.int32)])
    made.respond([texts(*(prompt * 2 for prompt in prompts)), np.zeros((len(prompts), 4))])
    return made


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("text", [False, True])
def test_a_line_describes_the_request(text: bool, tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = RequestLog(RequestLogSettings(file=str(path), text=text))
    log.write(entry(log, "é\n", "語語"), "OK", 0.0123456)
    log.write(log.entry(), "NOT_FOUND", 0.5)
    log.close()
    one, other = lines(path)
    assert one.pop("time").endswith("Z")
    kept = {"texts_in": ["é\n", "語語"], "texts_out": ["é\né\n", "語語語語"]} if text else {}
    assert one == {
        "model": "m",
        "version": 3,
        "signature": "generate",
        "status": "OK",
        "latency_ms": 12.346,
        "rows": 2,
        "characters_in": 4,
        "characters_out": 8,
        **kept,
    }
    assert (other["version"], other["status"], other["rows"]) == (None, "NOT_FOUND", 0)
    assert path.stat().st_mode & 0o777 == 0o600


def test_files_are_rotated_by_size(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = RequestLog(RequestLogSettings(file=str(path), max_bytes=1_000, files=2))
    for _ in range(50):
        log.write(entry(log, "a"), "OK", 0.1)
    log.close()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["log", "log.1", "log.2"]
    for one in tmp_path.iterdir():
        assert one.stat().st_size <= 1_000
        assert one.stat().st_mode & 0o777 == 0o600
        assert all(line["rows"] == 1 for line in lines(one))


class FullDisk:
    """A file on a disk with room for some bytes."""

    def __init__(self, real: Any, room: int) -> None:
        self.real, self.room = real, room

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def write(self, text: str) -> None:
        self.real.write(text[: self.room])
        self.real.flush()
        if len(text) > self.room:
            raise OSError(28, "No space left on device")
        self.room -= len(text)


def test_a_full_disk_loses_lines_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "log"
    rooms = [0, 0, 30, 10_000]
    opened = request_log._File._open
    monkeypatch.setattr(request_log._File, "_open", lambda self: FullDisk(opened(self), rooms.pop(0)))
    log = RequestLog(RequestLogSettings(file=str(path)))
    for _ in range(5):
        log.write(entry(log, "a"), "OK", 0.1)
    with caplog.at_level(logging.WARNING):
        log.close()
    assert [line["status"] for line in lines(path)] == ["OK", "OK"]  # no part of a lost line is left
    assert len([message for message in caplog.messages if "No space left" in message]) == 1
    assert "3 lines of the request log were lost" in caplog.messages


def test_a_slow_disk_delays_no_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    released = threading.Event()
    append = request_log._File.append
    monkeypatch.setattr(request_log._File, "append", lambda self, line: released.wait(20) and append(self, line))
    monkeypatch.setattr(request_log, "_MAX_WAITING", 3)
    monkeypatch.setattr(request_log, "_MAX_WAITING_CHARACTERS", 100)
    path = tmp_path / "log"
    log = RequestLog(RequestLogSettings(file=str(path), text=True))
    log.write(entry(log, "x" * 40), "OK", 0.1)  # would be more characters than may wait
    for _ in range(10):
        log.write(entry(log, "a"), "OK", 0.1)
    released.set()
    log.close()
    written = len(lines(path))
    assert 3 <= written <= 4  # one may be in the writer's hands
    assert f"{11 - written} lines of the request log were lost" in caplog.messages


@pytest.mark.parametrize("place", ["gone/log", "."])
def test_a_file_that_cannot_be_written_is_reported(place: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="The request log cannot be written.*Received: "):
        RequestLog(RequestLogSettings(file=str(tmp_path / place)))
