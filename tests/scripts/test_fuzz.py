"""The fuzzer reports what a server does wrong. test_soak.py runs it against the embedded server."""

import dataclasses
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer

import pytest

from scripts import fuzz
from scripts.fuzz import Fuzzer
from scripts.traffic import mutations, wire
from scripts.traffic.mutations import FRAMED, WILD, Attempt
from scripts.traffic.signatures import Input

KNOWN = {"serving_default": {"prompt": Input("DT_STRING", None)}}
TEXT = {"predictions": ["etaoin"]}
JSON, PAGE = "application/json", "text/html"
FAULTS = [
    ("predict", 400, JSON, b'{"error": "no"}', ""),
    ("predict", 200, JSON, b'{"predictions": [1.0, NaN]}', ""),
    ("predict", 400, JSON, b'{"error": "\xff"}', ""),
    ("predict", 501, PAGE, b"<HTML>", ""),
    ("predict", 500, JSON, b'{"error": "no"}', "status 500"),
    ("predict", 503, JSON, b'{"error": "no"}', "status 503"),
    ("predict", 400, JSON, b'{"error": ', "the body is no JSON"),
    ("predict", 400, JSON, b'["error"]', "the body has other keys"),
    ("predict", 200, JSON, b'{"error": "no"}', "status 200 with this body"),
    ("predict", 400, JSON, b'{"outputs": []}', "status 400 with this body"),
    ("predict", 400, "image/png", b"", "content type"),
    ("valid", 200, JSON, json.dumps(TEXT).encode(), ""),
    ("valid", 200, JSON, b'{"predictions": ["other"]}', "another text than before"),
    ("HEAD", 400, JSON, b"", ""),
]


@pytest.mark.parametrize(("method", "status", "kind", "body", "reason"), FAULTS)
def test_response_outside_the_contract_is_a_failure(
    method: str, status: int, kind: str, body: bytes, reason: str
) -> None:
    attempt = Attempt(FRAMED, method, "/", b"", may_close=False)
    found = Fuzzer(1, KNOWN, TEXT)._reason(attempt, wire.Response(status, kind, body, closes=False))
    assert found.startswith(reason) if reason else not found


@pytest.fixture
def answering() -> Iterator[Callable[[bytes], Fuzzer]]:
    """Return a function that starts a server which answers each connection with these bytes, then waits for its end."""
    servers = []

    def start(answer: bytes, waits: bool = True) -> Fuzzer:
        class Handler(StreamRequestHandler):
            def handle(self) -> None:
                self.request.recv(1)
                self.wfile.write(answer)
                while waits and self.request.recv(65_536):
                    pass
                ended.wait(5 if answer == b"" and waits else 0)

        ended = threading.Event()
        server = ThreadingTCPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append((server, ended))
        return Fuzzer(server.server_address[1], KNOWN, TEXT)

    yield start
    for server, ended in servers:
        ended.set()
        server.shutdown()
        server.server_close()


GOOD = b'HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{"error":""}'


@pytest.mark.integration
def test_connection_without_failures(answering: Callable[..., Fuzzer]) -> None:
    fuzzer = answering(GOOD * fuzz.PER_CONNECTION)
    outcome = fuzz.run(fuzzer, 0, range(4), 2)
    assert outcome.counts.total() == 4 * fuzz.PER_CONNECTION


@pytest.mark.integration
@pytest.mark.parametrize(
    ("answer", "waits", "reason"),
    [
        (b"", False, "the server closed the connection"),
        (b"", True, "TimeoutError"),
        (b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n", True, "status 500"),
        (b"garbage\r\n", True, "no status line"),
    ],
    ids=["close", "hang", "500", "garbage"],
)
def test_what_a_server_does_wrong_is_reported(
    answering: Callable[..., Fuzzer], monkeypatch: pytest.MonkeyPatch, answer: bytes, waits: bool, reason: str
) -> None:
    monkeypatch.setattr(wire, "SECONDS", 0.2)
    fuzzer, outcome = answering(answer, waits), fuzz.Outcome()
    attempt = Attempt(FRAMED, "GET", "/", wire.request("GET", "/"), may_close=False)
    with wire.Connection(fuzzer.port) as connection:
        fuzzer._exchange(connection, [attempt], outcome)
    (fault,) = outcome.faults
    assert reason in fault
    assert "GET / HTTP/1.1" in fault


@pytest.mark.integration
def test_broken_http_may_be_closed_but_not_answered_with_500_or_ignored(
    answering: Callable[..., Fuzzer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "SECONDS", 0.2)
    monkeypatch.setattr(fuzz, "_SECONDS_TO_ANSWER", 0.01)
    faults = []
    for answer, waits in ((b"", False), (GOOD, True), (GOOD.replace(b"400", b"500"), True), (b"", True)):
        fuzzer, outcome = answering(answer, waits), fuzz.Outcome()
        with wire.Connection(fuzzer.port) as connection:
            fuzzer._end(connection, Attempt(WILD, "", "", b"\x16\x03", may_close=True), outcome)
        faults.append("".join(outcome.faults).partition(";")[0])
    assert faults == ["", "", "status {500}", "hang: timed out"]


@pytest.mark.integration
@pytest.mark.parametrize("fault", ["", "the server's log: ERROR"])
def test_table_and_exit_code(
    answering: Callable[..., Fuzzer], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    from scripts.traffic import export, up

    fuzzer = answering(GOOD * fuzz.PER_CONNECTION)
    fuzzer = dataclasses.replace(fuzzer, text={"error": ""})

    class Up:
        """A server that answers all requests in the same way."""

        port = fuzzer.port

        def __init__(self, root: Path) -> None:
            assert (root / "serving" / "char_rnn" / "2").is_dir()

        def __enter__(self) -> "Up":
            return self

        def __exit__(self, *_: object) -> None: ...

        def runs(self) -> bool:
            return True

        def mebibytes(self) -> float:
            return 500.0

        cpu_seconds = mebibytes

        def stop(self) -> list[str]:
            return []

        def logged_faults(self, pattern: str) -> list[str]:
            return [fault] if fault else []

    monkeypatch.setattr(up, "Up", Up)
    monkeypatch.setattr(export, "write", lambda directory, seed: Path(directory).mkdir(parents=True))
    monkeypatch.setattr(Fuzzer, "of", lambda port: fuzzer)
    monkeypatch.setattr(fuzz, "_SECONDS_TO_ANSWER", 0.0)
    assert fuzz.main(["--connection", "3", "--clients", "1"]) == bool(fault)
    output = capsys.readouterr().out
    assert f"{fuzz.PER_CONNECTION} requests, seed 0; failures: {int(bool(fault))}" in output
    assert fault in output
    for kind in (mutations.FRAMED, mutations.HEAD, mutations.WILD):
        assert f"│ {kind}" in output
