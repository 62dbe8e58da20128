"""The status route is read as TF Serving defines it; other responses are reported as such."""

import doctest
import http.server
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from serving.client import status
from serving.client.status import StatusUnavailable, VersionStatus

ANSWER: dict[str, object] = {}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:  # noqa: N802 - the name that http.server calls
        ANSWER["path"] = self.path
        self.send_response(int(str(ANSWER["code"])))
        self.end_headers()
        self.wfile.write(str(ANSWER["body"]).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.integration
def test_failed_version_has_its_error_message(url: str) -> None:
    ANSWER.update(
        code=200,
        body="""{"model_version_status": [
          {"version": "12", "state": "END", "status": {"error_code": "UNKNOWN", "error_message": "no graph"}},
          {"version": "3", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}]}""",
    )
    assert status.fetch(url, "char_rnn") == {
        12: VersionStatus(12, "END", "UNKNOWN", "no graph"),
        3: VersionStatus(3, "AVAILABLE"),
    }
    assert ANSWER["path"] == "/v1/models/char_rnn"


@pytest.mark.integration
@pytest.mark.parametrize("body", ['{"error": "Could not find any versions of model char_rnn"}', "<html>", ""])
def test_server_without_the_model_has_no_versions(url: str, body: str) -> None:
    ANSWER.update(code=404, body=body)
    assert status.fetch(url, "char_rnn") == {}


@pytest.mark.integration
@pytest.mark.parametrize(
    ("code", "body"),
    [
        (503, '{"error": "busy"}'),
        (500, ""),
        (400, '{"error": "Malformed request"}'),
        (200, "<html>"),
        (200, "[]"),
        (200, "{}"),
        (200, '{"model_version_status": [3]}'),
        (200, '{"model_version_status": []}'),
    ],
)
def test_response_without_a_status_is_an_error(url: str, code: int, body: str) -> None:
    ANSWER.update(code=code, body=body)
    with pytest.raises(StatusUnavailable, match=str(code) if code != 200 else "not the status of a model"):
        status.fetch(url, "char_rnn")


@pytest.mark.integration
def test_server_that_times_out_is_not_reported_as_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "_TIMEOUT", 0.1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(StatusUnavailable, match="does not respond"):
            status.fetch(f"http://127.0.0.1:{silent.getsockname()[1]}", "m")


def test_no_server_is_none(free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")  # not used
    assert status.fetch(f"http://127.0.0.1:{free_port()}", "m") is None
    for mistyped in ("nonsense", "127.0.0.1:8501", "http:/127.0.0.1", ""):
        assert status.fetch(mistyped, "m") is None


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:1"),
        ("0.0.0.0", "http://127.0.0.1:1"),
        ("::", "http://[::1]:1"),
        ("::1", "http://[::1]:1"),
        ("gpu-7", "http://gpu-7:1"),
    ],
)
def test_base_url_of_each_listening_address(host: str, url: str) -> None:
    assert status.base_url(host, 1) == url


def test_status_of_a_version_that_the_server_does_not_list() -> None:
    loaded = VersionStatus(1, "AVAILABLE")
    assert status.of({1: loaded}, 1) is loaded
    assert status.of({1: loaded}, 2).state == status.of(None, 2).state == status.NOT_LOADED
    assert not status.of(None, 2).failed


def test_example() -> None:
    result = doctest.testmod(status)
    assert result.failed == 0 < result.attempted
