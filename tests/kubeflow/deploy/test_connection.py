"""Ways to log in, seen in the requests that the real `kfp.Client` sends; identity providers are not touched."""

import argparse
from pathlib import Path
from typing import Any

import pytest

from components.errors import UserError
from kubeflow.deploy import connection, server


def headers(state: Any, *options: str) -> dict[str, str]:
    parser = argparse.ArgumentParser()
    connection.add_options(parser)
    where = connection.from_options(parser.parse_args(["--host", state.address, *options]))
    server.Server(connection.connect(where)).pipeline_id("x")
    sent: dict[str, str] = state.headers
    return sent


@pytest.mark.integration
def test_without_any_option_nothing_is_sent(state: Any) -> None:
    sent = {name.lower() for name in headers(state)}
    assert not sent & {"authorization", "cookie"}


@pytest.mark.integration
def test_a_token_comes_from_the_environment_or_a_file(
    state: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KFP_TOKEN", "from-environment\n")
    assert headers(state)["authorization"] == "Bearer from-environment"
    file = tmp_path / "token"
    file.write_text("from-file\n")
    assert headers(state, "--token-file", str(file))["authorization"] == "Bearer from-file"


@pytest.mark.integration
def test_cookies_come_from_the_environment_or_a_file(
    state: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KFP_COOKIES", "authservice_session=a")
    assert headers(state)["Cookie"] == "authservice_session=a"
    file = tmp_path / "cookies"
    file.write_text("authservice_session=b")
    assert headers(state, "--cookies-file", str(file))["Cookie"] == "authservice_session=b"


@pytest.mark.integration
def test_the_token_of_a_pods_service_account_is_read_for_every_request(state: Any, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("projected")
    assert headers(state, "--service-account-token", str(file))["authorization"] == "Bearer projected"


@pytest.mark.integration
def test_a_namespace_reaches_the_requests(state: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KFP_NAMESPACE", "team-a")
    headers(state)
    assert state.queries[-1]["namespace"] == "team-a"


@pytest.mark.integration
def test_the_namespace_that_kfp_knows_is_where_things_are_made_too(
    state: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import kfp.client

    file = tmp_path / "context.json"
    file.write_text('{"namespace": "team-b"}')
    monkeypatch.setattr(kfp.client.Client, "_LOCAL_KFP_CONTEXT", str(file))
    api = server.Server(connection.connect(connection.Connection(host=state.address)))
    api.experiment_id("x")
    assert state.queries[-1]["namespace"] == "team-b"
    api.create_experiment("x")
    assert state.bodies[-1]["namespace"] == "team-b"


@pytest.mark.integration
def test_where_kubeflow_pipelines_is_installed_is_no_users_namespace(state: Any) -> None:
    """A server for a single user refuses requests with one."""
    where = connection.Connection(host=state.address, kfp_namespace="elsewhere")
    server.Server(connection.connect(where)).experiment_id("x")
    assert "namespace" not in state.queries[-1]


def test_every_option_reaches_the_client(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What needs an identity provider, a proxy or a cluster is followed up to the client's own arguments."""
    import kfp.client

    given: dict[str, Any] = {}

    def stop(self: Any, **arguments: Any) -> None:
        given.update(arguments)
        raise UserError("seen")

    monkeypatch.setattr(kfp.client.Client, "__init__", stop)
    parser = argparse.ArgumentParser()
    connection.add_options(parser)
    authority = tmp_path / "ca.pem"
    authority.touch()
    options = ["--client-id", "c", "--other-client-id", "o", "--proxy", "http://p", "--insecure"]
    options += ["--ca-cert", str(authority)]
    options += ["--kube-context", "k", "--ui-host", "https://ui", "--kfp-namespace", "kfp"]
    with pytest.raises(UserError, match="seen"):
        connection.connect(connection.from_options(parser.parse_args(options)))
    expected = {"client_id": "c", "other_client_id": "o", "proxy": "http://p", "ssl_ca_cert": str(authority)}
    expected |= {"verify_ssl": False, "kube_context": "k", "ui_host": "https://ui", "namespace": "kfp"}
    assert given.items() >= expected.items()


def test_a_secret_that_cannot_be_read_is_explained() -> None:
    parser = argparse.ArgumentParser()
    connection.add_options(parser)
    with pytest.raises(UserError, match="file with the secret.*Received: /no/such"):
        connection.from_options(parser.parse_args(["--token-file", "/no/such"]))


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"one\ntwo", "single line.*several lines in"), (b"\xff\xfe", "cannot be read: it is no text")],
)
def test_a_secret_that_no_header_can_hold_is_explained_and_not_shown(
    content: bytes, reason: str, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    parser = argparse.ArgumentParser()
    connection.add_options(parser)
    with pytest.raises(UserError, match=reason) as caught:
        connection.from_options(parser.parse_args(["--token-file", str(file)]))
    assert "two" not in str(caught.value)


@pytest.mark.parametrize(
    "options", [["--ca-cert", "/no/such"], ["--service-account-token", "/no/such"], ["--service-account-token"]]
)
def test_a_file_that_is_not_there_is_explained(options: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KF_PIPELINES_SA_TOKEN_PATH", raising=False)
    parser = argparse.ArgumentParser()
    connection.add_options(parser)
    with pytest.raises(UserError, match=f"no such file.*Received: {options[0]} /"):
        connection.connect(connection.from_options(parser.parse_args(["--host", "http://127.0.0.1:9", *options])))


@pytest.mark.integration
def test_a_server_without_the_right_certificate_is_explained(state: Any) -> None:
    where = connection.Connection(host=state.address.replace("http:", "https:"))
    with pytest.raises(UserError, match="cannot be reached.*--ca-cert.*SSLError"):
        server.translated(connection.connect, where)


def test_a_server_that_is_not_there_is_explained_at_once() -> None:
    where = connection.Connection(host="http://127.0.0.1:9")
    with pytest.raises(UserError, match="cannot be reached"):
        server.translated(connection.connect, where)
