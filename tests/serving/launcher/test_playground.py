"""The page's process is kept running. Python's own web server plays its part; test_up.py has the real one."""

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


class Said(list[str]):
    """What was said, all of it as one text."""

    @property
    def text(self) -> str:
        return "\n".join(self)


@pytest.fixture
def said() -> Said:
    return Said()


@pytest.fixture
def start(tmp_path: Path, free_port: Callable[[], int], said: Said) -> Iterator[Callable[..., tuple[Page, str]]]:
    started: list[Page] = []

    def make(*command: str) -> tuple[Page, str]:
        port = free_port()
        (tmp_path / "served").mkdir()
        server = f"echo $$ > {tmp_path}/pid; exec {sys.executable} -m http.server {port} --directory {tmp_path}/served"
        url = f"http://127.0.0.1:{port}"
        started.append(Page(command or ("sh", "-c", server), url, str(tmp_path / "playground.log"), said.append))
        return started[-1], url

    yield make
    for page in started:
        page.stop()


def look_until(page: Page, said: Said, words: str) -> None:
    deadline = time.monotonic() + 20
    while words not in said.text:
        assert time.monotonic() < deadline, said.text
        page.look()
        time.sleep(0.02)


def test_the_address_is_said_when_it_answers(
    start: Callable[..., tuple[Page, str]], said: Said, tmp_path: Path
) -> None:
    page, url = start()
    page.announce()
    assert said == [f"playground: {url}\nits log: {tmp_path}/playground.log"]
    assert httpx.get(url, trust_env=False).status_code == 200
    page.look()
    assert len(said) == 1


def test_a_page_that_dies_is_started_again(start: Callable[..., tuple[Page, str]], said: Said, tmp_path: Path) -> None:
    page, url = start()
    page.announce()
    said.clear()
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    look_until(page, said, f"playground: {url}")
    assert "The playground ended with exit code -9" in said.text
    assert httpx.get(url, trust_env=False).status_code == 200


def test_a_page_that_dies_again_and_again_is_given_up(start: Callable[..., tuple[Page, str]], said: Said) -> None:
    page, url = start("sh", "-c", "echo no port; exit 4")
    page.announce()
    look_until(page, said, "giving up")
    page.look()
    assert said.text.count("ended with exit code 4:\nno port") == restarts.LIMIT
    assert said[-1] == f"{restarts.TOO_MANY} The model is served without it."
    assert url not in said.text
