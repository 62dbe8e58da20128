"""The commands and Python examples of the documentation run without errors, in the order of each page.

The ports are free ones, and the model is small, with random weights, in four versions.
"""

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from pipeline.runs import record
from tests import ports, warm
from tests.docs import markdown
from tests.docs.markdown import ROOT, Block, Command

pytestmark = pytest.mark.integration
TEXT = "TO BE, or not to be: that is the question.\n" * 60
PAGES = sorted({block.page for block in markdown.blocks() if block.language in ("bash", "python") and not block.needs})


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with an output directory of four versions and with the texts that the commands read, and a run."""
    directory = tmp_path_factory.mktemp("documentation")
    versions = directory / "output" / "serving" / "char_rnn"
    write = [warm.python(), "-m", "tests.serving.playground.small_model", str(versions / "1")]
    subprocess.run(write, cwd=ROOT, check=True)
    for version in ("2", "3", "4"):
        shutil.copytree(versions / "1", versions / version)
    registry = directory / "output" / "registry" / "char_rnn"
    registry.mkdir(parents=True)
    for version in range(1, 5):
        entry = {"version": version, "perplexity": 4.5, "bits_per_character": 2.17, "corpus": "play.txt"}
        text = json.dumps(entry | {"pushed_at": "2026-01-02T03:04:05+00:00"})
        (registry / f"{version}.json").write_text(text, encoding="utf-8")
    with record.recorded(
        str(directory / "output" / "metadata.db"), "2026-01-02T03:04:05", "char_rnn", corpus="play.txt"
    ):
        pass
    for name in ("my_text.txt", "prompt.txt", "shakespeare.txt"):
        (directory / name).write_text(TEXT, encoding="utf-8")
    (directory / "prompts.jsonl").write_text('{"prompt": "TO BE", "num_chars": 9}\n{}\n', encoding="utf-8")
    (directory / "texts.jsonl").write_text('{"text": "TO BE"}\n', encoding="utf-8")
    return directory


@pytest.fixture(scope="module")
def server(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of `python -m serving up` with the first version."""
    root = Path(shutil.copytree(root, tmp_path_factory.mktemp("up") / "root", ignore=shutil.ignore_patterns(*"234")))
    port = ports.free()
    settings = [f"--set=serving.rest_port={port}", f"--set=serving.playground_port={ports.free()}", "--server=embedded"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [warm.python(), "-m", "serving", "up", *settings]
    with (
        open(root / "up.log", "w+") as log,
        subprocess.Popen(command, cwd=root, env=environment, stdout=log, stderr=log) as up,
    ):
        try:
            end = time.monotonic() + 120
            while ":predict" not in (said := (root / "up.log").read_text()):
                assert up.poll() is None, said
                assert time.monotonic() < end, said
                time.sleep(0.1)
            yield port
        finally:
            up.send_signal(signal.SIGINT)


def run(command: Command, directory: Path, port: int) -> None:
    """Run one command in a directory; `port` replaces the default port of the server."""
    if command.program == "curl":
        body, url = command.arguments[command.arguments.index("-d") + 1], command.arguments[-1]
        answer = httpx.post(url.replace("8501", str(port)), content=body, timeout=60.0)
        assert answer.status_code == 200, answer.text
        assert len(answer.json()["predictions"]) == 1
        return
    words = [warm.python(), *command.words[1:]]
    if command.program == "serving":
        words += [f"--set=serving.rest_port={port}", "--set=serving.config_poll_seconds=1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, cwd=directory, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES)
def test_commands_of_a_page_run(page: str, root: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    shutil.copytree(root, tmp_path, dirs_exist_ok=True)
    directory, port = tmp_path, ports.free()
    for block in markdown.blocks():
        if block.page != page or block.needs:
            continue
        if block.language == "python":
            run_python(block, port)
        for command in block.commands() if block.language == "bash" else []:
            if command.words[1:] == ("-m", "serving", "up"):
                port = request.getfixturevalue("server")
            else:
                run(command, directory, port)


def run_python(block: Block, port: int) -> None:
    """Run an example, which prints text."""
    code = compile(block.text.replace("8501", str(port)), block.page, "exec")
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(code, {"__name__": "__main__"})
    assert out.getvalue()
