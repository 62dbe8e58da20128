"""Connection to a Kubeflow Pipelines server: the options of `kfp.Client`, from the command line or the environment."""

import argparse
import json
import os
import warnings
from pathlib import Path
from typing import Any

from components.errors import UserError
from kubeflow.deploy import address


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options. Secrets come from the environment or files: other users can read a command line."""
    group = parser.add_argument_group(
        "server",
        "Without any of these: the cluster of this pod, or the current context of kubectl. Secrets: KFP_TOKEN, "
        "KFP_COOKIES, KF_PIPELINES_APP_OAUTH2_CLIENT_SECRET.",
    )
    add = group.add_argument
    add("--host", help="address of the API; also KF_PIPELINES_ENDPOINT")
    add("--ui-host", help="address of the user interface, for links; also KF_PIPELINES_UI_ENDPOINT")
    add("--namespace", help="your profile in a multi-user installation; also KFP_NAMESPACE")
    add("--kfp-namespace", default="kubeflow", help="where Kubeflow Pipelines is installed; default kubeflow")
    add("--token-file", metavar="FILE", help="bearer token; also KFP_TOKEN")
    add("--cookies-file", metavar="FILE", help="session cookies, as the browser sends them (Dex); also KFP_COOKIES")
    add("--client-id", help="Identity-Aware Proxy; also KF_PIPELINES_IAP_OAUTH2_CLIENT_ID")
    add("--other-client-id", help="desktop client of the same; also KF_PIPELINES_APP_OAUTH2_CLIENT_ID")
    add(
        "--service-account-token",
        metavar="FILE",
        nargs="?",
        const="",
        type=str,
        help="projected token of this pod; without FILE: KF_PIPELINES_SA_TOKEN_PATH or the default path",
    )
    add("--proxy", help="HTTP proxy")
    add("--ca-cert", metavar="FILE", help="certificate authority of the server")
    add("--insecure", action="store_true", help="do not verify the server's certificate")
    add("--kube-context", help="context of kubectl; default: the current one")


def connect(options: argparse.Namespace) -> Any:
    """Return a `kfp.Client` with timeouts, which rejects every response that is not one of the API.

    Args:
      options: those of `add_options`, which take precedence over the environment.

    Raises:
      ImportError: the extra `kubeflow` is not installed.
      UserError: an address is malformed, a file cannot be read, or the health check of the server failed.
    """
    host = address.check(*_given("--host", options.host, "KF_PIPELINES_ENDPOINT"))
    ui_host = address.check(*_given("--ui-host", options.ui_host, "KF_PIPELINES_UI_ENDPOINT"))
    proxy = address.check("--proxy", options.proxy)
    _require_file("--ca-cert", options.ca_cert)
    token, cookies = _secret(options.token_file, "KFP_TOKEN"), _secret(options.cookies_file, "KFP_COOKIES")
    namespace = options.namespace or os.environ.get("KFP_NAMESPACE")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # about Python 3.10 and about servers before 2.0
        import kfp.client
        from kfp.client.set_volume_credentials import ServiceAccountTokenVolumeCredentials

        from kubeflow.deploy import responses, server

        class Client(kfp.client.Client):
            """Checks the server's health once, instead of five times with a traceback each."""

            def get_kfp_healthz(self, sleep_duration: int = 0) -> Any:  # noqa: ARG002 - kfp's signature
                responses.guard(self._healthz_api.api_client)
                return generated(self._healthz_api, "healthz_service", "get_healthz")()

        _require_settings(Client._LOCAL_KFP_CONTEXT)
        credentials = None
        if options.service_account_token is not None:
            credentials = ServiceAccountTokenVolumeCredentials(options.service_account_token or None)
            _require_file("--service-account-token", credentials._token_path)
        client = server.call(
            Client,
            host=host,
            ui_host=ui_host,
            namespace=options.kfp_namespace,
            existing_token=token,
            cookies=cookies,
            client_id=options.client_id,
            other_client_id=options.other_client_id,
            credentials=credentials,
            proxy=proxy,
            ssl_ca_cert=options.ca_cert,
            verify_ssl=False if options.insecure else None,
            kube_context=options.kube_context,
        )
    responses.guard(client._pipelines_api.api_client)
    if namespace or options.kfp_namespace != "kubeflow":
        # kfp would send the namespace of the installation as the user's, which a single-user server refuses.
        client._context_setting["namespace"] = namespace or ""
    return client


def _given(option: str, value: str | None, variable: str) -> tuple[str, str | None]:
    """Return the option's value, or that of the environment variable, with the name of its source."""
    return (option, value) if value else (variable, os.environ.get(variable))


def _secret(path: str | None, variable: str) -> str | None:
    try:
        secret = os.environ.get(variable, "") if path is None else Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise UserError(f"The file with the secret cannot be read: {reason}. Received: {path}") from error
    secret = secret.strip()
    if not secret.isprintable():
        raise UserError(f"A secret is a single line of text. Received: several lines in {path or variable}")
    return secret or None


def _require_file(option: str, path: str | None) -> None:
    if path and not Path(path).is_file():
        raise UserError(f"There is no such file: name another, or omit the option. Received: {option} {path}")


def _require_settings(path: str) -> None:
    """Raise a UserError if kfp's own settings exist and have no namespace: kfp would fail with a traceback."""
    if not os.path.exists(path):
        return
    try:
        settings = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = str(error)
    else:
        if isinstance(settings, dict) and isinstance(settings.get("namespace"), str):
            return
        reason = "it is not a JSON object with a namespace"
    raise UserError(f"The settings of kfp cannot be read: {reason}. Repair or delete them. Received: {path}")


def generated(api: Any, service: str, name: str) -> Any:
    """Return a method of the client that `kfp.Client` wraps; newer versions prefix its name with the service."""
    return getattr(api, f"{service}_{name}", None) or getattr(api, name)
