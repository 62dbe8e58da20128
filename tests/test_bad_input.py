"""Bad input on the real command line ends with one error paragraph and code 2, and earlier results are kept.

These errors are reported before TFX is imported. The root has files in place of the results of earlier runs, whose
bytes must not change. `test_odd_input.py` has errors that occur later; `test_local_runner.py` has the messages in
detail.
"""

import hashlib
import http.server
import os
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command_line import files, results, run

pytestmark = pytest.mark.integration

TEXT = "To be, or not to be, that is the question.\n" * 100
NOBODY = 65534
# The superuser may read and write everything, so the program changes its user once it is loaded.
AS_OTHER_USER = f"""
import os, sys
import local_runner, pipeline.local, pipeline.config.places
if os.geteuid() == 0:
    os.setgroups([]), os.setgid({NOBODY}), os.setuid({NOBODY})
sys.exit(local_runner.main(sys.argv[1:]))
"""


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that every user can read, with a good corpus and a root with results."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        (directory / "good.txt").write_text(TEXT)
        for place in results(directory / "root"):
            (place / "char_rnn" / "1").mkdir(parents=True)
            (place / "char_rnn" / "1" / "content").write_text(place.name)
        yield directory


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--corpus", "missing.txt"], "There is no such corpus"),
        (["--corpus", "bad.txt"], "is not UTF-8 at byte offset 3"),
        (["--corpus", "short.txt"], "is too short to learn from"),
        (["--corpus", "good.txt", "--set", f"corpus.checksum={'12' * 32}"], "another SHA-256 checksum"),
        (["--corpus", "good.txt", "--set", "model.units=0"], "model.units should be greater than or equal to 1"),
        (["--corpus", "good.txt", "--serving-dir", "good.txt/x"], "The serving directory cannot be written"),
    ],
)
def test_error_leaves_results_of_earlier_runs_unchanged(public: Path, arguments: list[str], message: str) -> None:
    (public / "bad.txt").write_bytes(b"abc\xe9" + TEXT.encode())
    (public / "short.txt").write_text("short")
    before = files(*results(public / "root"))
    arguments = [
        str(public / word) if word.startswith(("missing", "bad", "short", "good")) else word for word in arguments
    ]
    assert message in run(*arguments, "--root", str(public / "root")).paragraph()
    assert files(*results(public / "root")) == before


def test_unreadable_corpus_is_named(public: Path) -> None:
    (public / "mine").mkdir()
    (public / "good.txt").chmod(0)
    (public / "mine" / "a.txt").write_text(TEXT)
    (public / "mine").chmod(0o700 if os.geteuid() == 0 else 0)
    (public / "place").mkdir(mode=0o777)
    (public / "place").chmod(0o777)
    for source in ("good.txt", "mine"):
        ended = run("--corpus", str(public / source), "--root", str(public / "place"), code=AS_OTHER_USER)
        message = ended.paragraph()
        assert "The corpus cannot be read: Permission denied. Check that" in message
        assert f"Received: '{public / source}'" in message
    (public / "mine").chmod(0o700)


def test_unwritable_root_is_named_and_unchanged(public: Path) -> None:
    before = files(public)
    used, new = public / "root", public / "new"
    directories = [public, used]
    for directory in directories:
        directory.chmod(0o555 if os.geteuid() else 0o755)
    try:
        for root in (used, new):
            ended = run("--corpus", str(public / "good.txt"), "--root", str(root), code=AS_OTHER_USER)
            message = ended.paragraph()
            assert "The root cannot be written: Permission denied. Name another directory with --root" in message
            assert f"Received: --root {root}" in message
    finally:
        for directory in directories:
            directory.chmod(0o755)
    assert files(public) == before


def test_unreachable_address_is_reported_with_advice(public: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # no process can listen on this port now
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/book.txt"
        message = run("--corpus", url, "--root", str(public / "root"), XDG_CACHE_HOME=str(public / "cache")).paragraph()
    assert f"The corpus at {url} cannot be downloaded: " in message
    assert "[Errno 111]" in message  # the text before it depends on the version of the HTTP library
    assert "Check the address and the network, or download it by hand and give its path (--corpus PATH)" in message
    assert files(public / "cache") == {}


def test_download_with_another_checksum_is_refused_and_not_kept(public: Path) -> None:
    class Book(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(TEXT)))
            self.end_headers()
            self.wfile.write(TEXT.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Book) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_port}/book.txt"
            arguments = ["--corpus", url, "--set", f"corpus.checksum={'12' * 32}", "--root", str(public / "root")]
            message = run(*arguments, XDG_CACHE_HOME=str(public / "cache")).paragraph()
        finally:
            server.shutdown()
            thread.join()
    assert f"The corpus at {url} has another SHA-256 checksum than the {'12' * 32} expected" in message
    assert hashlib.sha256(TEXT.encode()).hexdigest() in message
    assert files(public / "cache") == {}
