"""Checks of classify and regress requests, with TF Serving's messages."""

from typing import Any

import pytest

from serving.embedded.codec.examples import check, check_signature
from serving.embedded.codec.signature import Signature, TensorInfo
from serving.embedded.statuses import RequestError

TEXT = TensorInfo("string", "DT_STRING", "x:0", (-1,))


@pytest.mark.parametrize(
    "example",
    [{}, {"x": 1}, {"x": []}, {"x": [1, True, -(2**63)]}, {"x": [1.5, 2**64]}, {"x": ["a", {"b64": "YQ=="}]}],
)
def test_examples_that_can_be_made(example: Any) -> None:
    check({"examples": [example], "context": example})


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({}, "key 'examples' is expected and was not found"),
        ({"examples": {}}, "Expecting 'examples' value to be an list/array"),
        ({"examples": []}, "'examples' value is an empty array"),
        ({"examples": [], "context": 1}, "Example must be JSON object but got JSON Number"),
        ({"examples": [{}, "x"]}, "Example must be JSON object but got JSON String"),
        ({"examples": [{"x": None}]}, "Feature: x has element with unexpected JSON type: Null"),
        ({"examples": [{"x": [[]]}]}, "Feature: x has element with unexpected JSON type: Array"),
        ({"examples": [{"x": {"b64": 1}}]}, "Feature: x has element with unexpected JSON type: Object"),
        ({"examples": [{"x": ["a", 1]}]}, "Unexpected element type in feature: x expecting type: bytes"),
        ({"examples": [{"x": [True, 1.0]}]}, "Unexpected element type in feature: x expecting type: int64"),
        ({"examples": [{"x": [1.0, {"b64": "*"}]}]}, "Unexpected element type in feature: x expecting type: float"),
        ({"examples": [{"x": {"b64": "*"}}]}, "Unable to base64 decode"),
        ({"examples": [{"x": 2**63}]}, "Feature: x has uint64 element. Only int64 is supported."),
    ],
)
def test_examples_that_cannot_be_made(document: dict[str, Any], expected: str) -> None:
    with pytest.raises(RequestError) as caught:
        check(document)
    assert expected in caught.value.message
    assert caught.value.http == 400


@pytest.mark.parametrize(
    ("action", "inputs", "outputs", "expected"),
    [
        ("classify", "ab", "c", "Expected one input Tensor."),
        ("classify", "a", "bcd", "Expected one or two output Tensors, found 3"),
        ("classify", "a", "b", "No classification inputs found in SignatureDef: "),
        ("classify", ["inputs"], "b", "Expected classification signature outputs to contain at least one of"),
        ("classify", ["inputs"], ["scores"], ""),
        ("classify", ["inputs"], ["classes", "other"], ""),
        ("regress", "ab", "c", "Expected one input Tensor."),
        ("regress", "a", "bc", "Expected one output Tensor."),
        ("regress", "a", "b", "No regression inputs found in SignatureDef: "),
        ("regress", ["inputs"], "b", "No regression outputs found in SignatureDef: "),
        ("regress", ["inputs"], ["outputs"], ""),
    ],
)
def test_signatures(action: str, inputs: list[str], outputs: list[str], expected: str) -> None:
    signature = Signature(dict.fromkeys(inputs, TEXT), dict.fromkeys(outputs, TEXT), "tensorflow/serving/predict")
    if not expected:
        check_signature(action, signature)
        return
    with pytest.raises(RequestError) as caught:
        check_signature(action, signature)
    assert caught.value.message.startswith(expected)
