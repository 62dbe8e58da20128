"""Embedded server and page with API key and TLS at real sockets, asked by the client and by a browser's requests."""

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
import uvicorn

from pipeline.config.serving import AccessSettings, RequestLogSettings, ServingSettings
from serving.__main__ import main
from serving.access import keys, outgoing, tls
from serving.client import Client, NotReachable, ServerError, status
from serving.embedded.request_log import RequestLog
from serving.embedded.rest.app import Server
from serving.embedded.rest.uvicorn_protocol import Protocol
from serving.playground.app import application
from serving.rollout.server import Server as RolloutServer
from tests import bucket_server
from tests.serving.embedded import held_back

pytestmark = pytest.mark.integration
FIRST, SECOND, WRONG = "first-key-0123456789", "second-key-0123456789", "wrong-key-0123456789"


@contextlib.contextmanager
def serving(app: Any, access: AccessSettings, lifespan: Literal["on", "off"] = "off") -> Iterator[str]:
    options = tls.server_options(access.tls_cert, access.tls_key)
    config = uvicorn.Config(app, port=0, http=Protocol, ws="none", lifespan=lifespan, log_config=None, **options)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
        yield f"https://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@dataclass
class Site:
    """Addresses of the server and the page, the settings of both, and the directory of their files."""

    server: str
    page: str
    access: AccessSettings
    folder: Path

    @property
    def trusting(self) -> ssl.SSLContext:
        return tls.accepting(self.access.tls_cert or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("access")
    bucket_server.certify(folder, ["models.example"])
    (folder / "keys").write_text(f"{FIRST}\n{SECOND}\n")
    cert, key = str(folder / "certificate.pem"), str(folder / "key.pem")
    access = AccessSettings(api_key_file=str(folder / "keys"), tls_cert=cert, tls_key=key)
    accepted = keys.Keys(keys.read(str(folder / "keys")))
    log = RequestLog(RequestLogSettings(file=str(folder / "log"), text=True))
    parts = held_back.Served(held_back.LIMITS)
    app = Server(parts.catalogue, parts.metrics, held_back.LIMITS, accepted, log)  # type: ignore[arg-type]
    with serving(app.application(), access) as server:
        page = application(server, "m", keys=accepted, http=outgoing.options(access, server))
        with serving(page, access, "on") as url:
            yield Site(server, url, access, folder)
    log.close()


@pytest.mark.parametrize("key", [FIRST, SECOND])
def test_the_client_gives_a_key_by_headers_or_auth(site: Site, key: str) -> None:
    for given in ({"headers": {"Authorization": f"Bearer {key}"}}, {"auth": ("user", key)}):
        with Client(site.server, "m", verify=site.trusting, **given) as client:  # type: ignore[arg-type]
            assert client.metadata().version == 1


def test_without_a_key_or_the_certificate_there_is_no_answer(site: Site) -> None:
    for given in ({}, {"headers": {"Authorization": f"Bearer {WRONG}"}}, {"auth": ("user", WRONG)}):
        with Client(site.server, "m", verify=site.trusting, **given) as client, pytest.raises(ServerError) as raised:
            client.metadata()
        assert raised.value.status == 401
        assert WRONG not in str(raised.value)
    with Client(site.server, "m", headers=keys.header(FIRST), retries=0) as client, pytest.raises(NotReachable) as no:
        client.metadata()
    assert "certificate is not trusted" in str(no.value)
    assert FIRST not in str(no.value)
    with pytest.raises(httpx.TransportError):
        httpx.get(site.server.replace("https", "http"), trust_env=False)


def test_status_is_fetched_with_key_and_certificate(site: Site) -> None:
    states = status.fetch(site.server, "m", outgoing.options(site.access, site.server))
    assert states is not None
    assert states[1].state == status.AVAILABLE
    with pytest.raises(status.StatusDenied):
        status.fetch(site.server, "m", {"verify": site.trusting})
    with pytest.raises(status.StatusUnavailable, match="certificate is not the expected one"):
        status.fetch(site.server, "m", {"headers": keys.header(FIRST)})


def test_labels_move_only_with_a_key(site: Site) -> None:
    from components.errors import UserError

    for access, message in ((site.access, ""), (AccessSettings(tls_cert=site.access.tls_cert), "--api-key-file")):
        server = RolloutServer(site.server, "m", ServingSettings(access=access), print, lambda _: None)
        with pytest.raises(UserError, match=message) if message else contextlib.nullcontext():
            assert server.is_present(must_answer=True)
            server.wait_for({1})


def test_commands_take_key_and_certificate(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    key = ["--api-key-file", str(site.access.api_key_file)]
    certificate = ["--tls-cert", str(site.access.tls_cert)]
    for options, message in (
        ([*key, *certificate], 'Serving signature name: "generate" not found'),  # the answer of this model
        (certificate, "give one with --api-key-file"),
        (key, "Give the server's certificate with --tls-cert"),
    ):
        command = ["generate", "a", "--url", site.server, "--model", "m", "--set", "serving.start_seconds=1"]
        assert main([*command, *options]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert FIRST not in error


def test_the_page_asks_for_a_key_and_keeps_its_own(site: Site) -> None:
    with httpx.Client(base_url=site.page, verify=site.trusting, trust_env=False) as browser:
        for path in ("/", "/about", "/page.js", "/v1/models/m"):
            refused = browser.get(path)
            assert (refused.status_code, refused.headers["x-frame-options"]) == (401, "DENY")
        signed_in = ("anyone", SECOND)
        assert "<title>" in browser.get("/", auth=signed_in).text
        assert browser.get("/about", auth=signed_in).json()["server"]["state"] == "available"
        answer = browser.post("/v1/models/m:predict", auth=signed_in, content=held_back.BODY)
        assert answer.json() == {"predictions": ["A"]}
        for response in (answer, refused):
            assert FIRST not in response.text + str(response.headers)
        # Another site's page cannot use what the browser has stored.
        forged = browser.post("/v1/models/m:predict", auth=signed_in, headers={"origin": "https://evil.example"})
        assert forged.status_code == 403


def test_an_idle_client_does_not_keep_the_server(site: Site) -> None:
    with serving(held_back.Served(held_back.LIMITS).app, site.access) as url:
        connection = socket.create_connection(("127.0.0.1", httpx.URL(url).port or 0))
        connection = site.trusting.wrap_socket(connection)
        connection.sendall(b"GET /v1/models/m HTTP/1.1\r\nhost: h\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.1 200"
    connection.close()


def test_refused_requests_are_counted_and_not_logged(site: Site) -> None:
    with httpx.Client(base_url=site.server, verify=site.trusting, trust_env=False) as client:
        assert client.post(held_back.URL, content=held_back.BODY).status_code == 401
        logged = client.post(held_back.URL, content=b'{"instances": ["b"]}', headers=keys.header(FIRST))
        assert logged.status_code == 200
        assert client.post("/v1/models/x:predict", content=b"{}", headers=keys.header(FIRST)).status_code == 404
        metrics = client.get("/monitoring/prometheus/metrics", headers=keys.header(FIRST)).text
    assert 'request_count{model_name="",status="UNAUTHENTICATED"}' in metrics
    seen: list[dict[str, Any]] = []
    while not any(line["status"] == "NOT_FOUND" for line in seen):  # written in the background
        seen = [json.loads(line) for line in (site.folder / "log").read_text().splitlines()]
    (one,) = (line for line in seen if line.get("texts_in") == ["b"])
    assert (one["version"], one["rows"], one["texts_out"], one["status"]) == (1, 1, ["B"], "OK")
    assert not any(line["status"] == "UNAUTHENTICATED" for line in seen)
