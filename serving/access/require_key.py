"""ASGI middleware that answers 401 to requests without an API key."""

from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.access.keys import Keys

_ERROR = "This server requires an API key, in the header `Authorization: Bearer KEY`."
# Browsers ask for a password on the first, programs learn the scheme from the second.
_CHALLENGES = (b'Basic realm="API key as the password", charset="UTF-8"', b"Bearer")


class RequireKey:
    """Wraps an application; every path needs a key.

    Example: `test_every_path_needs_a_key` in tests/serving/access/test_require_key.py.
    """

    def __init__(self, app: ASGIApp, keys: Keys, on_refusal: Callable[[], None] = lambda: None) -> None:
        """Wrap it; `on_refusal` is called for each refused request."""
        self._app, self._keys, self._on_refusal = app, keys, on_refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on if it has a key, or is a preflight request, with which browsers send none."""
        if (
            scope["type"] != "http"
            or scope["method"] == "OPTIONS"
            or self._keys.accept(Headers(scope=scope).get("authorization", ""))
        ):
            await self._app(scope, receive, send)
            return
        self._on_refusal()
        response = JSONResponse({"error": _ERROR}, 401)
        response.raw_headers.extend((b"www-authenticate", challenge) for challenge in _CHALLENGES)
        await response(scope, receive, send)
