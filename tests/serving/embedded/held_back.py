"""A server with stand-ins for catalogue and model, whose responses a test can hold back; the rest is real."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
import numpy as np

from serving.embedded.codec.signature import Signature, TensorInfo
from serving.embedded.metrics import Metrics
from serving.embedded.models.served import Version, not_found
from serving.embedded.rest.app import Server, ServerLimits
from serving.embedded.statuses import RequestError, invalid

TEXT = TensorInfo("string", "DT_STRING", "x:0", (-1,))
MODEL = "/v1/models/m"
URL = f"{MODEL}:predict"
BODY = b'{"instances": ["a"]}'
LIMITS = ServerLimits(timeout_seconds=5.0, body_bytes=10_000, requests=3)


class Model:
    """Returns its input in capitals while `released` is set."""

    signatures = {"serving_default": Signature({"x": TEXT}, {"y": TEXT}, "tensorflow/serving/predict")}
    metadata = {"serving_default": {}}

    def __init__(self) -> None:
        self.model = self
        self.released = asyncio.Event()
        self.released.set()
        self.running = 0
        self.error: Exception | None = None

    def signature(self, name: str) -> Signature:
        if name not in self.signatures:
            raise invalid(f'Serving signature name: "{name}" not found in signature def')
        return self.signatures[name]

    async def run(self, name: str, inputs: Any) -> dict[str, Any]:
        self.running += 1
        try:
            if self.error:
                raise self.error
            await self.released.wait()
            return {"y": np.array([text.upper() for text in inputs["x"]] or [], object)}
        finally:
            self.running -= 1


class Catalogue:
    def __init__(self, model: Model) -> None:
        self.the_model = model
        self.users = 0

    def knows(self, name: str) -> bool:
        return name == "m"

    def model(self, name: str, number: int | None, label: str | None) -> "Catalogue":
        if name != "m":
            raise not_found(name, number)
        return self

    @contextmanager
    def use(self, number: int | None, label: str | None) -> Any:
        self.users += 1
        try:
            yield 1, self.the_model
        finally:
            self.users -= 1

    def status(self, name: str, number: int | None) -> list[Version]:
        if name != "m":
            raise RequestError("NOT_FOUND", f"Could not find any versions of model {name}")
        return [Version(2, "END", "DATA_LOSS", "cut"), Version(1, "AVAILABLE")]


class Served:
    def __init__(self, limits: ServerLimits) -> None:
        self.model, self.metrics = Model(), Metrics()
        self.catalogue = Catalogue(self.model)
        self.app = Server(self.catalogue, self.metrics, limits).application()  # type: ignore[arg-type]
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://server")

    async def post(self, body: Any = BODY, url: str = URL, **headers: str) -> httpx.Response:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.post(url, content=body, headers=names)

    async def until_running(self, count: int) -> None:
        while self.model.running != count:
            await asyncio.sleep(0.001)


@asynccontextmanager
async def server(limits: ServerLimits = LIMITS) -> AsyncIterator[Served]:
    served = Served(limits)
    async with served.client:
        yield served


def run(test: Callable[[Served], Awaitable[None]], limits: ServerLimits = LIMITS) -> Served:
    async def main() -> Served:
        async with server(limits) as served:
            await asyncio.wait_for(test(served), 20)
            assert (served.model.running, served.catalogue.users) == (0, 0)  # in every case, all is released
            return served

    return asyncio.run(main())


def error(response: httpx.Response, status: int) -> str:
    """The message of an error response."""
    assert response.status_code == status
    assert response.headers["content-type"] == "application/json"
    message = response.json()
    assert set(message) == {"error"}
    return str(message["error"])
