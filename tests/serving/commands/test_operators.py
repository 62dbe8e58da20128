"""Two operators at two shells: a change that one was shown as done is not undone by the other."""

import http.server
import json
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from serving.tf_serving import model_config
from serving.tf_serving.model_config import All, ServedModel, Specific
from tests import warm

pytestmark = pytest.mark.integration
ROOT = Path(__file__).resolve().parents[3]


class Server:
    """Reports versions 1 and 2 as loaded, and version 3 once `loaded` is set."""

    def __init__(self) -> None:
        self.loaded = threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # noqa: N802 - the name that http.server calls
                states = {1: "AVAILABLE", 2: "AVAILABLE", 3: "AVAILABLE" if outer.loaded.is_set() else "LOADING"}
                listed = [{"version": str(version), "state": state} for version, state in states.items()]
                body = json.dumps({"model_version_status": listed}).encode()
                self.send_response(200)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_address[1]}"


@pytest.fixture
def server() -> Iterator[Server]:
    started = Server()
    with started.http:
        thread = threading.Thread(target=started.http.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield started
        started.http.shutdown()
        thread.join()


@contextmanager
def operator(server: Server, root: Path, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    command = [warm.python(), "-m", "serving", *arguments, "--root", str(root), "--server-url", server.url]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def entry(root: Path, push: Callable[..., Path]) -> ServedModel:
    for version in (1, 2, 3):
        push(version)
    return ServedModel("char_rnn", str(root / "serving" / "char_rnn"), All(), {"canary": 2, "stable": 2})


def write(root: Path, entry: ServedModel) -> None:
    model_config.update(model_config.path_in(str(root / "serving")), entry.name, lambda _: entry)


def read(root: Path) -> ServedModel:
    (entry,) = model_config.read(model_config.path_in(str(root / "serving")))
    return entry


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_promotion_leaves_the_rollback_of_another_operator(
    server: Server, root: Path, entry: ServedModel, number: signal.Signals
) -> None:
    """The promotion has served the withdrawn version 3 without its label when it is interrupted."""
    write(root, ServedModel(entry.name, entry.base_path, Specific((1, 2)), entry.labels))
    with operator(server, root, "promote", "3") as first:
        assert first.stdout is not None
        assert "a withdrawn version has to be loaded first" in first.stdout.readline()
        assert read(root).policy == Specific((1, 2, 3))
        with operator(server, root, "rollback") as second:
            printed, _ = second.communicate(timeout=120)
        assert printed == "char_rnn: stable is 1, canary is 1; requests without a label use 1; not served: 2, 3\n"
        first.send_signal(number)
        assert first.wait(120) == 130
    assert read(root) == ServedModel(entry.name, entry.base_path, Specific((1,)), {"canary": 1, "stable": 1})


def test_promotion_that_finishes_after_a_rollback_does_not_serve_its_version_again(
    server: Server, root: Path, entry: ServedModel
) -> None:
    write(root, entry)
    with operator(server, root, "promote", "3") as first:
        assert first.stdout is not None
        assert first.stdout.readline() == f"waiting until {server.url} has loaded version 3\n"
        with operator(server, root, "rollback", "--to", "2") as second:
            assert second.wait(120) == 0
        server.loaded.set()
        _, error = first.communicate(timeout=120)
        assert first.returncode == 2
    assert "Another command withdrew version 3 while this one waited" in error
    assert read(root) == ServedModel(entry.name, entry.base_path, Specific((1, 2)), {"canary": 2, "stable": 2})
