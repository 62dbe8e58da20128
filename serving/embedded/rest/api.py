"""What each route answers, apart from HTTP: a route and a body in, the text of an answer out."""

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from serving.embedded.codec import request, response, values
from serving.embedded.models.batching import Answering
from serving.embedded.models.catalogue import Catalogue
from serving.embedded.models.served import Version
from serving.embedded.rest.routes import Route
from serving.embedded.statuses import Refusal, invalid

_Any = TypeVar("_Any")
_LARGE = 100_000  # bytes; more is not read or written in the event loop, where everybody would wait for it
_METHODS = {
    "classify": ("classification", "tensorflow/serving/classify"),
    "regress": ("regression", "tensorflow/serving/regress"),
}


async def answer(catalogue: Catalogue, route: Route, body: bytes) -> bytes:
    """The JSON text of a well-formed request's answer.

    Raises:
      Refusal: the request cannot be fulfilled.
    """
    if route.action == "status":
        return _text({"model_version_status": list(map(_status, catalogue.status(route.model, route.version)))})
    if route.action == "metadata":
        return _metadata(catalogue, route)
    if route.action == "predict":
        return await _predict(catalogue, route, body)
    return _examples(catalogue, route, body)


async def _predict(catalogue: Catalogue, route: Route, body: bytes) -> bytes:
    document = await _apart(len(body), lambda: request.parse(body))
    name = request.signature_name(document)
    with _version(catalogue, route) as (_, answering):
        signature = answering.loaded.signature(name)
        if not signature.inputs:
            raise invalid(f"Failed to get input map for signature: {name}")
        layout, inputs = await _apart(len(body), lambda: request.tensors(document, signature.inputs))
        outputs = await answering.run(name, inputs)
        size = sum(array.nbytes for array in outputs.values())
        return await _apart(size, lambda: response.text(layout, outputs, signature.outputs))


async def _apart(size: int, work: Callable[[], _Any]) -> _Any:
    return await asyncio.to_thread(work) if size > _LARGE else work()


def _version(catalogue: Catalogue, route: Route) -> AbstractContextManager[tuple[int, Answering]]:
    model = catalogue.model(route.model, route.version, route.label)
    return model.use(route.version, route.label)


def _examples(catalogue: Catalogue, route: Route, body: bytes) -> bytes:
    """Classify and regress: no model of this project has such signatures, so the answer is always a refusal."""
    document = request.parse(body)
    name = request.signature_name(document)
    examples = document.get("examples")
    if "examples" not in document:
        raise invalid(
            f"JSON Value: {values.quote(document)} When method is classify, key 'examples' is expected and was "
            "not found"
        )
    if not isinstance(examples, list):
        raise invalid(f"JSON Value: {values.quote(document)} Expecting 'examples' value to be an list/array")
    if not examples:
        raise invalid(f"JSON Value: {values.quote(document)} 'examples' value is an empty array")
    with _version(catalogue, route) as (_, answering):
        signature = answering.loaded.signature(name)
    kind, method = _METHODS[route.action]
    if signature.method != method:
        raise invalid(f"Expected {kind} signature method_name to be {method}. Was: {signature.method}")
    raise Refusal("UNIMPLEMENTED", f"The embedded server does not {route.action}; run TF Serving for this model")


def _metadata(catalogue: Catalogue, route: Route) -> bytes:
    with _version(catalogue, route) as (number, answering):
        return _text(
            {
                "model_spec": {"name": route.model, "signature_name": "", "version": str(number)},
                "metadata": {"signature_def": {"signature_def": answering.loaded.metadata}},
            }
        )


def _status(version: Version) -> dict[str, Any]:
    status = {"error_code": version.error_code, "error_message": version.error_message}
    return {"version": str(version.number), "state": version.state, "status": status}


def _text(value: Any) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=False).encode("utf-8", "surrogateescape")
