"""Check of the server's address before anything is imported, compiled or sent."""

import re
from urllib.parse import urlsplit

from components.errors import UserError

_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9.])?")
_IPV6 = re.compile(r"[0-9a-f:.]+(%\w+)?")


def check(option: str, value: str | None) -> str | None:
    """Return the address without surrounding spaces, None if there is none.

    Args:
      option: its name, for the message.
      value: scheme, host, port and path prefix: `https://kubeflow.example/pipeline`.

    Raises:
      UserError: it is no such address; the message names the part that is wrong.

    Example:
      >>> check("--host", "http://localhost:8080")
      'http://localhost:8080'
    """
    value = (value or "").strip()
    if not value:
        return None
    reason = _reason(value)
    if reason:
        message = f"The address cannot be used: {reason}. Received: {option} {value}"
        before, at, _ = value.rpartition("@")
        secret = before.partition("//")[2] or before  # a user's name and password
        raise UserError(message.replace(secret, "...") if at else message)
    return value


def _reason(value: str) -> str:
    scheme, separator, _ = value.partition("://")
    if not separator or not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme):
        bare = value.lstrip("/:")
        return f"begin with the protocol, http://{bare} or https://{bare}"
    if scheme.lower() not in ("http", "https"):
        return f"the protocol is http or https, not {scheme}"
    if re.search(r"[^!-~]", value):
        return "it has a space or another character that an address cannot have"
    try:
        parts = urlsplit(value)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "the port is a number from 1 to 65535, and brackets enclose an IPv6 address"
    if "@" in parts.netloc:
        return "leave out user and password: --help lists how to log in"
    if not (_IPV6 if "[" in parts.netloc else _NAME).fullmatch(host):
        return "after the protocol comes the name or IP address of the server"
    if port == 0 or parts.netloc.endswith(":"):
        return "the port is a number from 1 to 65535"
    if "?" in value or "#" in value:
        return f"leave out what a browser adds to it: {re.split('[?#]', value)[0]}"
    if "/apis/" in f"{parts.path}/":
        return f"leave out /apis, which the client adds: {value.partition('/apis')[0]}"
    return ""
