"""Credentials in the requests that the real `kfp.Client` sends, without identity providers."""

from pathlib import Path
from typing import Any

import pytest

from components.errors import UserError
from kubeflow import options
from kubeflow.deploy.connection import connect
from kubeflow.deploy.kubeflow_pipelines import KubeflowPipelines


def pipelines(address: str, *arguments: str) -> KubeflowPipelines:
    client = connect(options.parser().parse_args(["status", "--host", address, *arguments]))
    return KubeflowPipelines(client, "x")


def headers(state: Any, *arguments: str) -> dict[str, str]:
    pipelines(state.address, *arguments).status("x")
    sent: dict[str, str] = state.headers
    return sent


@pytest.mark.integration
def test_without_options_no_credentials_are_sent(state: Any) -> None:
    sent = {name.lower() for name in headers(state)}
    assert not sent & {"authorization", "cookie"}


@pytest.mark.integration
@pytest.mark.parametrize(
    ("variable", "option", "header", "prefix"),
    [("KFP_TOKEN", "--token-file", "authorization", "Bearer "), ("KFP_COOKIES", "--cookies-file", "Cookie", "")],
)
def test_secret_from_the_environment_or_a_file_is_sent(
    state: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, option: str, header: str, prefix: str
) -> None:
    monkeypatch.setenv(variable, "of=environment\n")
    assert headers(state)[header] == f"{prefix}of=environment"
    file = tmp_path / "secret"
    file.write_text("of=file\n")
    assert headers(state, option, str(file))[header] == f"{prefix}of=file"


@pytest.mark.integration
def test_token_of_the_pods_service_account_is_sent(state: Any, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("projected")
    assert headers(state, "--service-account-token", str(file))["authorization"] == "Bearer projected"


@pytest.mark.integration
def test_namespace_is_in_the_requests(state: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KFP_NAMESPACE", "team-a")
    headers(state)
    assert state.queries[-1]["namespace"] == "team-a"


@pytest.mark.integration
def test_namespace_from_the_settings_of_kfp_applies_to_reads_and_writes(
    state: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import kfp.client

    file = tmp_path / "context.json"
    file.write_text('{"namespace": "team-b"}')
    monkeypatch.setattr(kfp.client.Client, "_LOCAL_KFP_CONTEXT", str(file))
    backend = pipelines(state.address)
    backend.status("x")
    assert state.queries[-1]["namespace"] == "team-b"
    backend._create_experiment()
    assert state.bodies[-1]["namespace"] == "team-b"


@pytest.mark.parametrize("content", [b"{", b"\xff", b"[]", b"{}", b'{"namespace": null}'])
def test_unreadable_settings_of_kfp_are_explained(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import kfp.client

    file = tmp_path / "context.json"
    file.write_bytes(content)
    monkeypatch.setattr(kfp.client.Client, "_LOCAL_KFP_CONTEXT", str(file))
    with pytest.raises(UserError, match="settings of kfp.*Repair or delete them. Received: .*context.json"):
        pipelines("http://127.0.0.1:9")


@pytest.mark.integration
def test_namespace_of_the_installation_is_not_sent_as_the_users(state: Any) -> None:
    """A single-user server rejects requests with a namespace."""
    pipelines(state.address, "--kfp-namespace", "elsewhere").status("x")
    assert "namespace" not in state.queries[-1]


def test_every_option_reaches_the_client(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Options that need an identity provider, a proxy or a cluster are compared with the arguments of the client."""
    import kfp.client

    given: dict[str, Any] = {}

    def stop(self: Any, **arguments: Any) -> None:
        given.update(arguments)
        raise UserError("seen")

    monkeypatch.setattr(kfp.client.Client, "__init__", stop)
    authority = tmp_path / "ca.pem"
    authority.touch()
    arguments = ["--client-id", "c", "--other-client-id", "o", "--proxy", "http://p", "--insecure"]
    arguments += ["--ca-cert", str(authority)]
    arguments += ["--kube-context", "k", "--ui-host", "https://ui", "--kfp-namespace", "kfp"]
    with pytest.raises(UserError, match="seen"):
        pipelines("http://127.0.0.1:9", *arguments)
    expected = {"client_id": "c", "other_client_id": "o", "proxy": "http://p", "ssl_ca_cert": str(authority)}
    expected |= {"verify_ssl": False, "kube_context": "k", "ui_host": "https://ui", "namespace": "kfp"}
    assert given.items() >= expected.items()


def test_unreadable_secret_is_explained() -> None:
    with pytest.raises(UserError, match="file with the secret.*Received: /no/such"):
        pipelines("http://127.0.0.1:9", "--token-file", "/no/such")


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"one\ntwo", "single line.*several lines in"), (b"\xff\xfe", "cannot be read: it is not text")],
)
def test_invalid_secret_is_explained_and_not_printed(content: bytes, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    with pytest.raises(UserError, match=reason) as caught:
        pipelines("http://127.0.0.1:9", "--token-file", str(file))
    assert "two" not in str(caught.value)


@pytest.mark.parametrize(
    "arguments", [["--ca-cert", "/no/such"], ["--service-account-token", "/no/such"], ["--service-account-token"]]
)
def test_missing_file_is_explained(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KF_PIPELINES_SA_TOKEN_PATH", raising=False)
    with pytest.raises(UserError, match=f"no such file.*Received: {arguments[0]} /"):
        pipelines("http://127.0.0.1:9", *arguments)


@pytest.mark.integration
def test_untrusted_certificate_is_explained(state: Any) -> None:
    with pytest.raises(UserError, match="cannot be reached.*--ca-cert.*SSLError"):
        pipelines(state.address.replace("http:", "https:"))


def test_unreachable_server_is_explained() -> None:
    with pytest.raises(UserError, match="cannot be reached"):
        pipelines("http://127.0.0.1:9")
