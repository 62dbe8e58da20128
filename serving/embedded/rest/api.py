"""Answers of each route, independent of HTTP: from a route and a body to the JSON text of the response."""

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from serving.embedded.codec import examples, request, response
from serving.embedded.models.batching import Predictor
from serving.embedded.models.catalogue import Catalogue
from serving.embedded.models.served import Version
from serving.embedded.request_log import Entry
from serving.embedded.rest.routes import Route
from serving.embedded.statuses import RequestError, invalid

_Result = TypeVar("_Result")
_LARGE = 100_000  # bytes; larger JSON is parsed or written in a thread, so that it does not block the event loop


async def answer(catalogue: Catalogue, route: Route, body: bytes, entry: Entry | None = None) -> bytes:
    """Return the JSON text of the response to a well-formed request.

    Args:
      entry: gets what the request log needs; None: there is no log.

    Raises:
      RequestError: the request fails.
    """
    if route.action == "status":
        return _text({"model_version_status": list(map(_status, catalogue.status(route.model, route.version)))})
    if route.action == "metadata":
        return _metadata(catalogue, route)
    if route.action == "predict":
        return await _predict(catalogue, route, body, entry)
    return _classify_or_regress(catalogue, route, body)


async def _predict(catalogue: Catalogue, route: Route, body: bytes, entry: Entry | None) -> bytes:
    document = await _off_loop(len(body), lambda: request.parse(body))
    name = request.signature_name(document)
    with _version(catalogue, route) as (number, predictor):
        signature = predictor.model.signature(name)
        if not signature.inputs:
            raise invalid(f"Failed to get input map for signature: {name}")
        layout, inputs = await _off_loop(len(body), lambda: request.tensors(document, signature.inputs))
        if entry is not None:
            entry.receive(number, name, [inputs[key] for key in sorted(inputs)])  # prompts before stop texts
        outputs = await predictor.run(name, inputs)
        if entry is not None:
            entry.respond(outputs.values())
        size = sum(array.nbytes for array in outputs.values())
        return await _off_loop(size, lambda: response.text(layout, outputs, signature.outputs))


async def _off_loop(size: int, work: Callable[[], _Result]) -> _Result:
    """Run the work, in a thread if it concerns many bytes."""
    return await asyncio.to_thread(work) if size > _LARGE else work()


def _version(catalogue: Catalogue, route: Route) -> AbstractContextManager[tuple[int, Predictor]]:
    model = catalogue.model(route.model, route.version, route.label)
    return model.use(route.version, route.label)


def _classify_or_regress(catalogue: Catalogue, route: Route, body: bytes) -> bytes:
    """Raise the error that TF Serving would; no model of this project has a signature for these routes."""
    document = request.parse(body)
    name = request.signature_name(document)
    examples.check(document)
    with _version(catalogue, route) as (_, predictor):
        signature = predictor.model.signatures.get(name)
    if signature is None:
        raise invalid(f"No signature was found with the name: {name}")
    examples.check_signature(route.action, signature)
    raise RequestError("UNIMPLEMENTED", f"The embedded server does not support {route.action}; use TF Serving")


def _metadata(catalogue: Catalogue, route: Route) -> bytes:
    with _version(catalogue, route) as (number, predictor):
        return _text(
            {
                "model_spec": {"name": route.model, "signature_name": "", "version": str(number)},
                "metadata": {"signature_def": {"signature_def": predictor.model.metadata}},
            }
        )


def _status(version: Version) -> dict[str, Any]:
    status = {"error_code": version.error_code, "error_message": version.error_message}
    return {"version": str(version.number), "state": version.state, "status": status}


def _text(value: Any) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=False).encode("utf-8", "surrogateescape")
