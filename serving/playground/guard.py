"""Protection against requests from other sites: host and origin checks, security headers."""

import ipaddress
import re
from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# No inline code, no other origins, no frames: generated text can only be displayed.
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:/@]+)(?::[0-9]+)?")
_SAME_ORIGIN = (None, "same-origin", "none")  # of Sec-Fetch-Site; "none" is a typed address or a bookmark


class Guard:
    """ASGI middleware that wraps the application.

    Example: `test_responses_and_rejections_carry_the_headers` in tests/serving/playground/test_guard.py.
    """

    def __init__(self, app: ASGIApp, names: Collection[str] = ()) -> None:
        """Wrap an application; `names` are accepted host names in addition to IP addresses and localhost."""
        self._app = app
        self._names = frozenset(name.lower() for name in names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reject requests from pages of other sites; add the security headers to every response."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-cache")
            await send(message)

        if reason := rejection(Headers(scope=scope), self._names):
            await JSONResponse({"error": reason}, 403)(scope, receive, send_with_headers)
        else:
            await self._app(scope, receive, send_with_headers)


def rejection(headers: Headers, names: Collection[str] = ()) -> str | None:
    """Return why a request with these headers is rejected; None if it is accepted.

    A host name of an attacker that resolves to this machine (DNS rebinding) would let the attacker's page read the
    responses. Only names that no attacker can own are accepted: IP addresses, localhost and `names`.
    """
    host = headers.get("host", "")
    found = _HOST.fullmatch(host)
    if not found or not _is_accepted(found[1].lower(), names):
        return (
            "The playground does not accept this host name. Use an IP address or localhost, or start the playground "
            f"with --allowed-host=NAME. Received: {host[:200]}"
        )
    origin = headers.get("origin")
    own = (f"http://{host.lower()}", f"https://{host.lower()}")
    foreign = origin is not None and origin.lower() not in own
    # A top-level navigation, such as a link on another site, may load the page itself.
    navigation = headers.get("sec-fetch-mode") == "navigate" and origin is None
    if foreign or (headers.get("sec-fetch-site") not in _SAME_ORIGIN and not navigation):
        return "The playground accepts requests from its own page only, not from pages of other sites."
    return None


def _is_accepted(name: str, names: Collection[str]) -> bool:
    if name == "localhost" or name.endswith(".localhost") or name in names:
        return True
    address = ipaddress.IPv6Address if name.startswith("[") else ipaddress.IPv4Address
    try:
        address(name.strip("[]"))
    except ValueError:
        return False
    return True
