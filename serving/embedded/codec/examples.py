"""Requests of classify and regress: TF Serving's checks, in its order.

The embedded server answers none of them, but it refuses each as TF Serving would.
"""

from collections.abc import Mapping
from typing import Any

from serving.embedded.codec.signature import Signature
from serving.embedded.codec.values import flatten, is_base64, json_type, quote
from serving.embedded.statuses import invalid


def check(document: Mapping[str, Any]) -> None:
    """Check the context and the examples of a request.

    Raises:
      RequestError: one of them cannot become a `tf.Example`.
    """
    if "context" in document:
        _check_example(document["context"])
    if "examples" not in document:
        raise invalid(
            f"JSON Value: {quote(document)} When method is classify, key 'examples' is expected and was not found"
        )
    examples = document["examples"]
    if not isinstance(examples, list):
        raise invalid(f"JSON Value: {quote(document)} Expecting 'examples' value to be an list/array")
    if not examples:
        raise invalid(f"JSON Value: {quote(document)} 'examples' value is an empty array")
    for example in examples:
        _check_example(example)


def check_signature(action: str, signature: Signature) -> None:
    """Check that a signature takes examples and returns what `action`, "classify" or "regress", returns.

    Raises:
      RequestError: it does not.
    """
    inputs, outputs = sorted(signature.inputs), sorted(signature.outputs)
    described = f"inputs {inputs}, outputs {outputs}"
    if len(inputs) != 1:
        raise invalid("Expected one input Tensor.")
    if action == "regress":
        if len(outputs) != 1:
            raise invalid("Expected one output Tensor.")
        if inputs != ["inputs"]:
            raise invalid(f"No regression inputs found in SignatureDef: {described}")
        if outputs != ["outputs"]:
            raise invalid(f"No regression outputs found in SignatureDef: {described}")
        return
    if len(outputs) not in (1, 2):
        raise invalid(f"Expected one or two output Tensors, found {len(outputs)}")
    if inputs != ["inputs"]:
        raise invalid(f"No classification inputs found in SignatureDef: {described}")
    if not {"classes", "scores"} & set(outputs):
        raise invalid(
            'Expected classification signature outputs to contain at least one of "classes" or "scores". '
            f"Signature was: {described}"
        )


def _check_example(example: Any) -> None:
    if not isinstance(example, dict):
        raise invalid(f"Example must be JSON object but got JSON {json_type(example)}")
    for name, content in example.items():
        first = ""
        for value in content if isinstance(content, list) else [content]:
            kind = _kind(name, value)
            if first not in ("", kind):
                raise invalid(f"Unexpected element type in feature: {name} expecting type: {first}")
            first = kind
            if kind == "int64" and value >= 2**63:
                raise invalid(f"Feature: {name} has uint64 element. Only int64 is supported.")
            if kind == "bytes":
                flatten(value, "string")


def _kind(name: str, value: Any) -> str:
    """Return the type of the feature that a value makes."""
    if isinstance(value, str) or is_base64(value):
        return "bytes"
    if isinstance(value, int):
        return "int64" if -(2**63) <= value < 2**64 else "float"  # other integers are parsed as floats
    if isinstance(value, float):
        return "float"
    raise invalid(f"Feature: {name} has element with unexpected JSON type: {json_type(value)}")
