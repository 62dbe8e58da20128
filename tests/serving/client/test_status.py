"""The status route is read as TF Serving answers it; whatever else answers there is no model server."""

import http.server
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from serving.client import status
from serving.client.status import Unclear, VersionState

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
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.integration
def test_states_come_with_their_errors(url: str) -> None:
    ANSWER.update(
        code=200,
        body="""{"model_version_status": [
          {"version": "12", "state": "END", "status": {"error_code": "UNKNOWN", "error_message": "no graph"}},
          {"version": "3", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}]}""",
    )
    assert status.states(url, "char_rnn") == {12: VersionState("END", "no graph"), 3: VersionState("AVAILABLE")}
    assert ANSWER["path"] == "/v1/models/char_rnn"


@pytest.mark.integration
@pytest.mark.parametrize("body", ['{"error": "Could not find any versions of model char_rnn"}', "<html>", ""])
def test_a_server_that_does_not_know_the_model_has_no_states(url: str, body: str) -> None:
    ANSWER.update(code=404, body=body)
    assert status.states(url, "char_rnn") == {}


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
def test_a_server_that_cannot_say_is_not_one_without_the_model(url: str, code: int, body: str) -> None:
    ANSWER.update(code=code, body=body)
    with pytest.raises(Unclear, match=str(code) if code != 200 else "not the status of a model"):
        status.states(url, "char_rnn")


@pytest.mark.integration
def test_a_server_too_busy_to_answer_is_there_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "_SECONDS", 0.1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(Unclear, match="does not answer"):
            status.states(f"http://127.0.0.1:{silent.getsockname()[1]}", "m")


def test_where_nothing_listens_there_is_no_answer(
    free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")  # not used
    assert status.states(f"http://127.0.0.1:{free_port()}", "m") is None
    for mistyped in ("nonsense", "127.0.0.1:8501", "http:/127.0.0.1", ""):
        assert status.states(mistyped, "m") is None


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
def test_a_server_is_reached_where_it_listens(host: str, url: str) -> None:
    assert status.url_of(host, 1) == url
