"""Check of the KFP API's responses, because kfp's client takes what it cannot read for an empty list."""

import json
import re
from typing import Any

import kfp_server_api
import urllib3

from kubeflow.deploy import server

TIMEOUTS = (10.0, 60.0)  # seconds to connect, and between two reads; kfp sets none
_REDIRECTS = 5  # in a row
_NO_RETRIES: dict[str, Any] = {"connect": False, "read": False, "status": False, "other": False}


def guard(api_client: Any) -> None:
    """Make a client of kfp_server_api check every response, limit redirects, and wait no longer than `TIMEOUTS`."""
    rest, call_api = api_client.rest_client, api_client.call_api
    if getattr(rest, "is_limited", False):
        return
    unlimited, send = rest.request, rest.pool_manager.request

    def request(*args: Any, **kwargs: Any) -> Any:
        kwargs["_request_timeout"] = kwargs.get("_request_timeout") or TIMEOUTS
        try:
            response = unlimited(*args, **kwargs)
        except kfp_server_api.ApiException as error:
            # An untrusted certificate leaves no body, on which kfp's client fails.
            error.body = error.body or b""
            raise
        if "html" in response.urllib3_response.headers.get("content-type", ""):
            # A login form or the user interface, which kfp would parse as an empty list.
            rejected = kfp_server_api.ApiException(
                status=response.status, reason="an HTML page instead of an API response"
            )
            rejected.body = b""
            raise rejected
        return response

    def redirected(*args: Any, **kwargs: Any) -> Any:
        # urllib3 2 would follow no redirect without retries, and urllib3 1 would repeat failed requests.
        try:
            return send(*args, **kwargs, retries=urllib3.Retry(None, redirect=_REDIRECTS, **_NO_RETRIES))
        except urllib3.exceptions.MaxRetryError as error:
            if "redirect" not in str(error.reason):
                raise (error.reason or error) from error
            raise server.ServerError(
                f"The Kubeflow Pipelines server redirects in a circle: stopped after {_REDIRECTS} redirects. Give the "
                "address at which the API itself answers as --host, and check the redirect rules of the proxy in "
                f"front of it, such as from HTTP to HTTPS. Received: a redirect from {error.url}",
                302,
            ) from error

    def checked(*args: Any, **kwargs: Any) -> Any:
        api_client.last_response = None
        try:
            result, error = call_api(*args, **kwargs), None
        except Exception as raised:  # kfp's client does not expect a response of another shape
            if api_client.last_response is None:
                raise
            result, error = None, raised
        body = api_client.last_response.data
        reason = fault(body, kwargs.get("response_type") or "object")
        if reason or error:
            raise server.unreadable(reason or f"{type(error).__name__}: {error}", body) from error
        return result

    rest.request, rest.pool_manager.request, api_client.call_api = request, redirected, checked
    rest.is_limited = True


def fault(body: str | bytes, kind: str) -> str:
    """Return what is wrong with a response, nothing if it can be read.

    Objects must have an id, and any other response must have a field that we know, unless it is empty. Other fields
    may be missing or unknown: servers leave out empty values, and newer servers add fields.

    Args:
      body: JSON.
      kind: name of the class of kfp_server_api that it is read as, or "object" if the content does not matter.

    Example:
      >>> fault('{"pipelines": [{}]}', "V2beta1ListPipelinesResponse")
      'an object lacks the field pipeline_id'
    """
    try:
        return _fault(json.loads(body), kind)
    except ValueError:
        return "it is not JSON" if body.strip() else "it is empty"


def _fault(answer: Any, kind: str) -> str:
    if not isinstance(answer, dict):
        return "a JSON object is expected"
    model: Any = getattr(kfp_server_api, kind, None)
    names: dict[str, str] = getattr(model, "attribute_map", {})  # in JSON, by attribute
    if not names:
        return ""
    identifier = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind.removeprefix("V2beta1")).lower() + "_id"
    if identifier in names:
        value = answer.get(names[identifier])
        return "" if value and isinstance(value, str) else f"an object lacks the field {names[identifier]}"
    if answer and not answer.keys() & set(names.values()):
        return f"none of the fields {', '.join(names.values())} is in it"
    for attribute, of in model.openapi_types.items():
        items = answer.get(names[attribute])
        if of.startswith("list[V2beta1") and items is not None:
            if not isinstance(items, list):
                return f"{names[attribute]} is not a list"
            for reason in filter(None, (_fault(item, of[5:-1]) for item in items)):
                return reason
    return ""
