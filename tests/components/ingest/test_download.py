"""Downloads from an HTTP server on this machine are cached, verified and retried."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from components.errors import UserError
from components.ingest import download
from components.ingest.download import Unreachable, fetch

TEXT = b"To be, or not to be.\n"
DIGEST = hashlib.sha256(TEXT).hexdigest()
OTHER_DIGEST = hashlib.sha256(b"something else").hexdigest()

Answer = tuple[int, bytes, dict[str, str]]


class Server:
    """Sends the next of `answers` to each request, the last one repeatedly, and records the requested paths."""

    def __init__(self) -> None:
        self.answers: list[Answer] = [(200, TEXT, {})]
        self.paths: list[str] = []
        self.authorization: str | None = None  # of the last request
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.paths.append(self.path)
                outer.authorization = self.headers["Authorization"]
                status, body, headers = outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0]
                self.send_response(status)
                for key, value in ({"Content-Length": str(len(body))} | headers).items():
                    self.send_header(key, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"

    def close(self) -> None:
        if self.thread.is_alive():
            self.http.shutdown()
            self.thread.join()
            self.http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def quick_and_direct(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "RETRY_PAUSES", (0.0, 0.0))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "cache"


@pytest.mark.integration
def test_download_is_cached_and_reused_offline(server: Server, cache: Path) -> None:
    url = f"{server.url}/books/to%20be.txt?key=1"
    path = fetch(url, None, cache)
    assert path.read_bytes() == TEXT
    assert list(cache.iterdir()) == [path]
    server.close()
    assert fetch(url, None, cache) == path
    assert fetch(url, DIGEST, cache) == path
    assert server.paths == ["/books/to%20be.txt?key=1"]


@pytest.mark.integration
def test_private_text_is_downloaded_with_a_secret(server: Server, cache: Path) -> None:
    server.answers = [(401, b"", {}), (200, TEXT, {})]
    with pytest.raises(UserError, match="HTTP 401 .*; CORPUS_AUTHORIZATION holds the Authorization header"):
        fetch(f"{server.url}/a.txt", None, cache)
    assert server.authorization is None
    fetch(f"{server.url}/a.txt", None, cache, "Bearer secret")
    assert server.authorization == "Bearer secret"


@pytest.mark.integration
def test_two_urls_with_the_same_file_name_have_separate_cache_files(server: Server, cache: Path) -> None:
    server.answers = [(200, b"one", {}), (200, b"two", {})]
    found = [fetch(f"{server.url}/{folder}/a.txt", None, cache) for folder in "ab"]
    assert [path.read_bytes() for path in found] == [b"one", b"two"]


@pytest.mark.integration
@pytest.mark.parametrize(
    ("path", "name"),
    [("/a/b.txt/", "b.txt"), ("/x/..", "document.txt"), ("/a%2Fb.txt", "b.txt"), ("/" + "%E6%9B%B8" * 200, "書" * 200)],
)
def test_name_is_the_last_part_of_the_url_and_every_url_can_be_cached(
    path: str, name: str, server: Server, cache: Path
) -> None:
    assert download.name(server.url + path) == name
    cached = fetch(server.url + path, None, cache)
    assert (cached.read_bytes(), cached.parent) == (TEXT, cache)


@pytest.mark.integration
def test_missing_page_is_not_retried(server: Server, cache: Path) -> None:
    server.answers = [(404, b"", {})]
    with pytest.raises(UserError) as caught:
        fetch(f"{server.url}/a.txt", None, cache)
    assert f"{server.url}/a.txt cannot be downloaded: HTTP 404" in str(caught.value)
    assert "--corpus PATH" in str(caught.value)
    assert not isinstance(caught.value, Unreachable)
    assert len(server.paths) == 1
    assert list(cache.iterdir()) == []


@pytest.mark.integration
@pytest.mark.parametrize(
    ("page", "headers"),
    [
        (b"<p>Please log in", {"Content-Type": "text/html; charset=utf-8"}),
        (b"\xef\xbb\xbf\n<!DOCTYPE html><title>Login</title>", {"Content-Type": "text/plain"}),
        (b"<HTML lang=en>", {}),
    ],
)
def test_web_page_is_no_text_and_is_not_kept(page: bytes, headers: dict[str, str], server: Server, cache: Path) -> None:
    server.answers = [(200, page, headers)]
    with pytest.raises(UserError, match="sent a web page .*Received: content type ") as caught:
        fetch(f"{server.url}/a.txt", None, cache)
    assert not isinstance(caught.value, Unreachable)
    assert len(server.paths) == 1
    assert list(cache.iterdir()) == []
    # A checksum means exactly this content.
    assert fetch(f"{server.url}/a.txt", hashlib.sha256(page).hexdigest(), cache).read_bytes() == page


@pytest.mark.integration
def test_web_page_in_the_cache_is_replaced(server: Server, cache: Path) -> None:
    cached = fetch(f"{server.url}/a.txt", None, cache)
    cached.write_bytes(b"<!doctype html>")
    assert fetch(f"{server.url}/a.txt", None, cache).read_bytes() == TEXT


@pytest.mark.integration
def test_server_error_is_retried(server: Server, cache: Path) -> None:
    server.answers = [(500, b"", {}), (503, b"", {}), (200, TEXT, {})]
    assert fetch(f"{server.url}/a.txt", None, cache).read_bytes() == TEXT
    assert len(server.paths) == 3


@pytest.mark.integration
def test_permanent_server_error_is_an_error(server: Server, cache: Path) -> None:
    server.answers = [(500, b"", {})]
    with pytest.raises(UserError, match="HTTP 500"):
        fetch(f"{server.url}/a.txt", None, cache)
    assert len(server.paths) == 3
    assert list(cache.iterdir()) == []


@pytest.mark.integration
def test_truncated_download_is_retried(server: Server, cache: Path) -> None:
    short: Answer = (200, TEXT[:5], {"Content-Length": str(len(TEXT))})
    server.answers = [short, (200, TEXT, {})]
    assert fetch(f"{server.url}/a.txt", None, cache).read_bytes() == TEXT
    server.answers = [short]
    with pytest.raises(Unreachable, match="cannot be downloaded"):
        fetch(f"{server.url}/b.txt", None, cache)
    assert [path.name.rpartition("-")[2] for path in cache.iterdir()] == ["a.txt"]


@pytest.mark.integration
def test_unreachable_server_is_an_error(server: Server, cache: Path) -> None:
    server.close()
    with pytest.raises(Unreachable, match=r"cannot be downloaded: .*refused.*--corpus PATH.*/a\.txt$") as caught:
        fetch(f"{server.url}/a.txt", None, cache)
    assert "object at 0x" not in str(caught.value)
    assert list(cache.iterdir()) == []


def test_malformed_url_is_an_error(cache: Path) -> None:
    for url in ("http://", "http://[bad/a.txt", "https://*.example.org/a.txt"):
        with pytest.raises(UserError, match="cannot be downloaded"):
            fetch(url, None, cache)


@pytest.mark.integration
def test_download_with_a_wrong_checksum_is_not_kept(server: Server, cache: Path) -> None:
    url = f"{server.url}/a.txt"
    with pytest.raises(UserError, match=f"than the {OTHER_DIGEST} expected.*Received: {DIGEST}$"):
        fetch(url, OTHER_DIGEST, cache)
    assert list(cache.iterdir()) == []
    fetch(url, None, cache)
    with pytest.raises(UserError, match=OTHER_DIGEST):
        fetch(url, OTHER_DIGEST, cache)
    assert list(cache.iterdir()) == []
    assert len(server.paths) == 3


@pytest.mark.integration
def test_damaged_cached_file_is_downloaded_again(server: Server, cache: Path) -> None:
    url = f"{server.url}/a.txt"
    fetch(url, DIGEST, cache).write_bytes(b"damaged")
    assert fetch(url, DIGEST, cache).read_bytes() == TEXT
    assert len(server.paths) == 2


@pytest.mark.integration
def test_cache_that_cannot_be_written_is_an_error(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match=r"cannot be stored in the cache .*/file .*XDG_CACHE_HOME"):
        fetch(f"{server.url}/a.txt", None, tmp_path / "file")


@pytest.mark.integration
def test_cached_file_that_cannot_be_read_is_downloaded_again(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"{server.url}/a.txt"
    path = fetch(url, DIGEST, cache)

    def refuse(self: Path) -> bytes:
        raise PermissionError("permissions do not apply to the superuser")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", refuse)
        assert fetch(url, DIGEST, cache) == path
    assert path.read_bytes() == TEXT
    assert len(server.paths) == 2
