"""Calls of a Kubeflow Pipelines server: pages are joined, reads are retried, failures are explained."""

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import google.auth.exceptions
import kfp_server_api
import urllib3

from components.errors import UserError

RETRY_PAUSES = (0.5, 2.0)  # seconds
_TRANSIENT = (429, 500, 502, 503, 504)  # HTTP statuses
_PAGE = 100


class ServerError(UserError):
    """The server refused or failed; `status` is the HTTP status, 0 if there was no response."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def pages(function: Callable[..., Any], field: str, **arguments: Any) -> Iterator[Any]:
    """Yield the objects of all pages of a list; a page is read again after a transient failure."""
    token, seen = "", {""}
    while True:
        page = _read(function, page_token=token, page_size=_PAGE, **arguments)
        yield from getattr(page, field) or []
        token = page.next_page_token or ""
        if not token:
            return
        if token in seen:
            raise unreadable("its lists have no last page", token)
        seen.add(token)


def _read(function: Callable[..., Any], **arguments: Any) -> Any:
    for pause in RETRY_PAUSES:
        try:
            return call(function, **arguments)
        except ServerError as error:
            if error.status and error.status not in _TRANSIENT:
                raise
            time.sleep(pause)
    return call(function, **arguments)


def call(function: Callable[..., Any], *values: Any, **arguments: Any) -> Any:
    """Call a function of kfp once. A write is not retried, because it may have succeeded before it failed.

    Raises:
      ServerError: explains in one paragraph that the server refused, failed or did not respond.
    """
    try:
        return function(*values, **arguments)
    except kfp_server_api.ApiException as error:
        raise ServerError(_explain(error), error.status or 0) from error
    except google.auth.exceptions.GoogleAuthError as error:
        raise ServerError(
            "Google authentication failed. Log in with `gcloud auth application-default login`, or give --client-id "
            f"and --other-client-id for Identity-Aware Proxy. Received: {type(error).__name__}: {error}",
            0,
        ) from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        reason = re.sub(r"<[^>]* object at 0x[0-9a-f]+>: ", "", str(error))
        raise ServerError(
            f"The Kubeflow Pipelines server cannot be reached: {reason}. Check --host (KF_PIPELINES_ENDPOINT), "
            "the network and the port-forward, and run the same command again: it resumes where it stopped. "
            f"Received: {type(error).__name__}",
            0,
        ) from error


def unreadable(reason: str, body: str | bytes) -> ServerError:
    """Return the explanation of a response that is not one of the API."""
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
    return ServerError(
        f"The response is not one of the Kubeflow Pipelines API: {reason}. Check that --host (KF_PIPELINES_ENDPOINT) "
        "is the address of the API, and what a proxy in front of it answers. A request to write may have been carried "
        f"out nevertheless: the same command completes it. Received: {' '.join(text.split())[:200]!r}",
        200,
    )


def _explain(error: Any) -> str:
    body = error.body.decode("utf-8", "replace") if isinstance(error.body, bytes) else str(error.body or "")
    received = f"Received: HTTP {error.status} {error.reason}: {' '.join(body.split())[:300]}"
    if not error.status:
        return (
            "The Kubeflow Pipelines server cannot be reached: its certificate is not trusted, or it does not use TLS. "
            f"Check --host, and give the certificate authority with --ca-cert. {received}"
        )
    if error.status in (200, 401, 403):
        return (
            "Authentication at the Kubeflow Pipelines server failed, or the namespace is not yours. Give a fresh token "
            "(KFP_TOKEN, --token-file), session cookies (KFP_COOKIES) or another option of the group `server` in "
            "--help; in a multi-user installation, your own --namespace; and check that --host is the address of the "
            f"API. {received}"
        )
    if error.status == 409:
        return f"Conflict: created concurrently by another client. Run the same command again to resume. {received}"
    if error.status in _TRANSIENT:
        return (
            "The Kubeflow Pipelines server failed. Check the logs of its ml-pipeline deployment, and run the same "
            f"command again: it resumes where it stopped. {received}"
        )
    gone = " Another client may have deleted the object meanwhile: run the same command again." * (error.status == 404)
    return f"The Kubeflow Pipelines server refused the request.{gone} {received}"
