"""Who may ask, and what a browser may do with the answer: host and origin checks, security headers."""

import ipaddress
import re
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Nothing inline, nothing from elsewhere, no frame round it: what a model writes can do nothing but be shown.
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
_OWN_SITE = (None, "same-origin", "none")  # of Sec-Fetch-Site; "none" is a typed address or a bookmark


class Guard:
    """ASGI middleware round the whole application."""

    def __init__(self, app: ASGIApp, names: Collection[str] = ()) -> None:
        """Wrap an application; `names` are host names to answer to besides addresses and localhost."""
        self._app = app
        self._names = frozenset(name.lower() for name in names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse what a page of another site made the browser ask; add the headers to every answer."""
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

        if refused := refusal(Headers(scope=scope), self._names):
            await JSONResponse({"error": refused}, 403)(scope, receive, send_with_headers)
        else:
            await self._app(scope, receive, send_with_headers)


def refusal(headers: Headers, names: Collection[str] = ()) -> str | None:
    """Why a request with these headers is not answered; None if it is.

    A name of somebody else's that resolves to this machine (DNS rebinding) would make our answers readable to his page,
    so only names that nobody else can hold are answered to: addresses, localhost and `names`.
    """
    host = headers.get("host", "")
    found = _HOST.fullmatch(host)
    if not found or not _is_ours(found[1].lower(), names):
        return (
            "The playground does not answer to this host name. Use an address or localhost, or start it with "
            f"--allowed-host=NAME. Received: {host[:200]}"
        )
    origin = headers.get("origin")
    foreign = origin is not None and urlsplit(origin).netloc.lower() != host.lower()
    # A top-level navigation, such as a link from elsewhere, may fetch the page itself.
    visit = headers.get("sec-fetch-mode") == "navigate" and origin is None
    if foreign or (headers.get("sec-fetch-site") not in _OWN_SITE and not visit):
        return "The playground answers its own page only, not a page of another site."
    return None


def _is_ours(name: str, names: Collection[str]) -> bool:
    if name == "localhost" or name.endswith(".localhost") or name in names:
        return True
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
