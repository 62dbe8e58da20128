"""A model server that is a function: TF Serving's responses without a server."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx

STATUS = {
    "model_version_status": [
        {"version": "9007199254740993", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}},
        {"version": "2", "state": "END", "status": {"error_code": "OK", "error_message": ""}},
        {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}},
    ]
}


class Fake:
    """Responds by path and records the requests."""

    def __init__(self, answers: dict[str, Any]) -> None:
        """`answers`: path → JSON for status 200, (status, JSON), bytes, or a callable that gets the request."""
        self.answers, self.asked = answers, list[httpx.Request]()

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self._answer)

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        found = self.answers.get(request.url.raw_path.decode(), (404, {"error": "Servable not found"}))
        if isinstance(found, Callable):
            found = await found(request)
        if isinstance(found, bytes):
            return httpx.Response(200, content=found)
        status, body = found if isinstance(found, tuple) else (200, found)
        return httpx.Response(status, content=json.dumps(body))


def labeled_routes(**labels: str) -> dict[str, Any]:
    """The metadata routes of these labels."""
    return {
        f"/v1/models/m/labels/{label}/metadata": {"model_spec": {"name": "m", "version": version}}
        for label, version in labels.items()
    }


class Browser:
    """Sends requests to an ASGI application without a network, as the page at http://localhost:8502 does."""

    def __init__(self, app: Any) -> None:
        """Run the application in a separate event loop."""
        self._loop = asyncio.new_event_loop()
        self._client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost:8502")

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.run_until_complete(self._client.aclose())
        self._loop.close()

    def request(self, method: str, path: str, **settings: Any) -> httpx.Response:
        """Send the path unchanged, dots included."""
        url = httpx.URL("http://localhost:8502").copy_with(raw_path=path.encode())
        return self._loop.run_until_complete(self._client.request(method, url, **settings))

    def get(self, path: str, **settings: Any) -> httpx.Response:
        return self.request("GET", path, **settings)

    def post(self, path: str, **settings: Any) -> httpx.Response:
        return self.request("POST", path, **settings)
