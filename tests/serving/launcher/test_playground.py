"""The playground's process is restarted. Python's own web server replaces it here; test_up.py runs the real one."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from serving.launcher import restarts
from serving.launcher.playground import Page

pytestmark = pytest.mark.integration


class Messages(list[str]):
    """The reported messages."""

    @property
    def text(self) -> str:
        return "\n".join(self)


@pytest.fixture
def messages() -> Messages:
    return Messages()


@pytest.fixture
def start(
    tmp_path: Path, free_port: Callable[[], int], messages: Messages
) -> Iterator[Callable[..., tuple[Page, str]]]:
    started: list[Page] = []

    def make(*command: str) -> tuple[Page, str]:
        port = free_port()
        (tmp_path / "served").mkdir()
        server = f"echo $$ > {tmp_path}/pid; exec {sys.executable} -m http.server {port} --directory {tmp_path}/served"
        url = f"http://127.0.0.1:{port}"
        started.append(Page(command or ("sh", "-c", server), url, str(tmp_path / "playground.log"), messages.append))
        return started[-1], url

    yield make
    for page in started:
        page.stop()


def check_until(page: Page, messages: Messages, words: str) -> None:
    deadline = time.monotonic() + 20
    while words not in messages.text:
        assert time.monotonic() < deadline, messages.text
        page.check()
        time.sleep(0.02)


def test_address_is_reported_when_it_responds(
    start: Callable[..., tuple[Page, str]], messages: Messages, tmp_path: Path
) -> None:
    page, url = start()
    page.announce()
    assert messages == [f"playground: {url}\nplayground log: {tmp_path}/playground.log"]
    assert httpx.get(url, trust_env=False).status_code == 200
    page.check()
    assert len(messages) == 1


def test_page_is_restarted(start: Callable[..., tuple[Page, str]], messages: Messages, tmp_path: Path) -> None:
    page, url = start()
    page.announce()
    messages.clear()
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    check_until(page, messages, f"playground: {url}")
    assert "The playground ended with exit code -9" in messages.text
    assert httpx.get(url, trust_env=False).status_code == 200


def test_page_in_a_crash_loop_is_given_up(start: Callable[..., tuple[Page, str]], messages: Messages) -> None:
    page, url = start("sh", "-c", "echo no port; exit 4")
    page.announce()
    check_until(page, messages, "giving up")
    page.check()
    assert messages.text.count("ended with exit code 4:\nno port") == restarts.LIMIT
    assert messages[-1] == f"{restarts.GAVE_UP} The model is served without it."
    assert url not in messages.text


def test_page_that_cannot_be_restarted_does_not_stop_the_model(
    start: Callable[..., tuple[Page, str]], messages: Messages, tmp_path: Path
) -> None:
    log = tmp_path / "playground.log"
    page, _ = start("sh", "-c", f"rm {log}; mkdir {log}; exit 4")
    check_until(page, messages, "The model is served without it.")
    assert "log cannot be written: Is a directory." in messages[-1]
    page.check()
    page.stop()
