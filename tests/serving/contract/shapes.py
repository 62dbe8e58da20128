"""Row and column format: how JSON becomes tensors and tensors become JSON."""

from typing import Any

from tests.serving.contract.case import Answer, Case, error, error_in_order, ok, predict

_ROWS = "util/json_tensor.cc FillTensorMapFromInstancesList"
_COLUMNS = "util/json_tensor.cc FillTensorMapFromInputsMap"
_ITEM = "util/json_tensor.cc AddInstanceItem"
_DENSE = "util/json_tensor.cc FillTensorProto"
_KEYS = "util/json_tensor.cc FillPredictRequestFromJson"
_ROWS_OUT = "util/json_tensor.cc MakeRowFormatJsonFromTensors"
_COLUMNS_OUT = "util/json_tensor.cc MakeColumnarFormatJsonFromTensors"
_RUN = "servables/tensorflow/predict_util.cc"

_AB = [{"a": 1.0, "b": 2}, {"a": 3.0, "b": 4}]


def _rows(id: str, signature: str, instances: Any, answer: Answer, source: str = _ROWS) -> Case:
    return predict(f"rows-{id}", source, {"instances": instances}, answer, signature=signature)


def _columns(id: str, signature: str, inputs: Any, answer: Answer, source: str = _COLUMNS) -> Case:
    return predict(f"columns-{id}", source, {"inputs": inputs}, answer, signature=signature)


def _element(index: int, *parts: str, key: str = "") -> Answer:
    place = f"Failed to process element: {index}" + (f" key: {key}" if key else "")
    return error(400, place, "of 'instances' list", *parts)


def _predictions(*values: Any) -> Answer:
    return ok({"predictions": list(values)})


def _outputs(value: Any) -> Answer:
    return ok({"outputs": value})


NO_LIST = error(400, "'instances' to be an list/array")
PLAIN = error(400, "instances is a plain list, but expecting list of objects as multiple input tensors required")
PLAIN_INPUTS = error(400, "inputs is a plain value/list, but expecting an object")

TOO_DEEP = error(400, "Encountered list at unexpected level: 1")

ROWS = [
    _rows("plain", "serving_default", [1.0, 2.0, 5.0], _predictions(3.5, 4.0, 5.5)),
    _rows("named", "serving_default", [{"x": 1.0}, {"x": 2.0}], _predictions(3.5, 4.0)),
    _rows("lists", "echo_float", [[1.0, 2.0], [3.0, 4.0]], _predictions([1.0, 2.0], [3.0, 4.0])),
    _rows("cube", "echo_int32", [[[1], [2]], [[3], [4]]], _predictions([[1], [2]], [[3], [4]])),
    _rows("empty-lists", "echo_float", [[], []], _predictions([], [])),
    _rows("matrix", "matmul", [[1.0, 2.0], [3.0, 4.0]], _predictions([21.0], [43.0])),
    _rows("several-inputs", "two_inputs", _AB, _predictions(3.0, 7.0)),
    _rows("several-inputs-any-order", "two_inputs", [{"b": 2, "a": 1.0}, {"a": 3.0, "b": 4}], _predictions(3.0, 7.0)),
    _rows("several-outputs", "two_outputs", [2.0, 3.0],
          _predictions({"double": 4.0, "square": 4.0}, {"double": 6.0, "square": 9.0}), _ROWS_OUT),
    _rows("several-each", "two_each", [{"a": "x", "b": "y"}, {"a": "", "b": "é"}],
          _predictions({"joined": "xy", "length": 1}, {"joined": "é", "length": 0}), _ROWS_OUT),
    _rows("single-row", "two_outputs", [2.0], _predictions({"double": 4.0, "square": 4.0}), _ROWS_OUT),
    _rows("no-rows-out", "no_rows", [1.0, 2.0], _predictions(), _ROWS_OUT),
    _rows("many", "serving_default", [float(i) for i in range(1000)],
          _predictions(*(i / 2 + 3.0 for i in range(1000)))),
    _rows("empty", "serving_default", [], error(400, "No values in 'instances' array"), _KEYS),
    *(_rows(f"is-{name}", "serving_default", value, NO_LIST, _KEYS)
      for name, value in {"object": {"x": [1.0]}, "number": 1.0, "string": "abc", "null": None, "true": True}.items()),
    _rows("plain-for-several", "two_inputs", [1.0, 2.0], PLAIN),
    _rows("lists-for-several", "two_inputs", [[1.0, 2]], PLAIN),
    _rows("first-is-b64-for-several", "two_each", [{"b64": "YQ=="}],
          error_in_order(400, "input size does not match signature: 1!=2 len({", "}) != len({", "}). Sent extra: {}. ",
                         "Missing but required: {", "}."), _RUN),
    _rows("value-among-objects", "serving_default", [{"x": 1.0}, 2.0],
          error(400, "Expecting object but got list at item 1 of input list")),
    _rows("b64-among-objects", "echo_string", [{"x": "a"}, {"b64": "YQ=="}],
          error(400, "Expecting object but got list at item 1 of input list")),
    _rows("object-among-values", "serving_default", [1.0, 2.0, {"x": 1.0}],
          error(400, "Expecting value/list but got object at item 2 of input list")),
    _rows("missing-key", "two_inputs", [{"a": 1.0}], _element(0, "a,b")),
    _rows("missing-key-second", "two_inputs", [{"a": 1.0, "b": 1}, {"b": 1}], _element(1, "a,b")),
    _rows("no-keys", "two_inputs", [{}], _element(0, "a,b")),
    _rows("no-keys-single", "serving_default", [{}], _element(0)),
    _rows("extra-key", "two_inputs", [{"a": 1.0, "b": 2, "c": 3}],
          _element(0, "JSON object: does not have named input: c", key="c")),
    _rows("wrong-key", "serving_default", [{"y": 1.0}], _element(0, "does not have named input: y", key="y")),
    _rows("keys-other-case", "serving_default", [{"X": 1.0}], _element(0, "does not have named input: X", key="X")),
    _rows("ragged", "echo_float", [[1.0, 2.0], [3.0]], _element(1, "Expecting tensor size: 2 but got: 1"), _ITEM),
    _rows("ragged-inside", "echo_float", [[[1.0, 2.0], [3.0]]],
          _element(0, "Encountered list at unexpected size: 1 at level: 1 expected size: 2"), _DENSE),
    _rows("value-and-list", "echo_float", [1.0, [2.0]], _element(1, "Expecting shape [] but got: [1]"), _ITEM),
    _rows("list-and-value", "echo_float", [[1.0], 2.0], _element(1, "Expecting shape [1] but got: []"), _ITEM),
    _rows("other-shape", "echo_float", [[[1.0, 2.0]], [[1.0], [2.0]]],
          _element(1, "Expecting shape [1,2] but got: [2,1]"), _ITEM),
    _rows("other-shape-named", "two_inputs", [{"a": 1.0, "b": 1}, {"a": [1.0], "b": 1}],
          _element(1, "Expecting shape [] but got: [1]", key="a"), _ITEM),
    _rows("list-for-value", "echo_float", [[1.0, [2.0]]],
          _element(0, "Encountered list at unexpected level: 1"), _DENSE),
    _rows("value-for-list", "echo_float", [[[1.0], 2.0]], _element(0, "found at incorrect level"), _DENSE),
    _rows("null", "serving_default", [1.0, None], _element(1, "Type: Null is not of expected type: float"), _DENSE),
    _rows("object-inside", "echo_float", [[{"x": 1.0}]], _element(0, "Type: Object is not of expected type: float"),
          _DENSE),
    # Shapes are fed as sent: the graph, not the signature, decides whether one is an error.
    _rows("scalar-input", "scalar", [1.0, 2.0], _predictions(2.0, 3.0), _RUN),
    _rows("more-dimensions", "serving_default", [[1.0, 2.0]], _predictions([3.5, 4.0]), _RUN),
    _rows("more-dimensions-named", "serving_default", [{"x": [1.0]}, {"x": [2.0]}], _predictions([3.5], [4.0]), _RUN),
    _rows("fewer-dimensions", "column", [2.0, 3.0, 4.0], _predictions(3.0, 3.5, 4.0), _RUN),
    _rows("other-width", "column", [[2.0, 3.0]], _predictions([3.0, 3.5]), _RUN),
    _rows("scalar-output", "scalar_output", [1.0, 3.0], error(400, "Tensor name: mean has no shape information"),
          _ROWS_OUT),
    _rows("inconsistent-output", "inconsistent", [1.0, 2.0], error(400, "has inconsistent batch size: ", "expecting: "),
          _ROWS_OUT),
    _rows("refused-by-graph", "positive", [1.0, -1.0], error(400, "x must be positive"), _RUN),
    _rows("wrong-width", "matmul", [[1.0, 2.0, 3.0]], error(400), _RUN),
]  # fmt: skip
COLUMNS = [
    _columns("bare", "serving_default", [1.0, 2.0], _outputs([3.5, 4.0])),
    _columns("named", "serving_default", {"x": [1.0, 2.0]}, _outputs([3.5, 4.0])),
    _columns("scalar-named", "scalar", {"x": 1.5}, _outputs(2.5)),
    _columns("scalar-bare", "scalar", 1.5, _outputs(2.5)),
    _columns("matrix", "echo_int32", [[1, 2], [3, 4]], _outputs([[1, 2], [3, 4]])),
    _columns("scalar-of-any-shape", "echo_bool", True, _outputs(True)),
    _columns("empty-list", "serving_default", [], _outputs([])),
    _columns("empty-inside", "echo_float", [[], []], _outputs([[], []])),
    _columns("several-inputs", "two_inputs", {"a": [1.0, 3.0], "b": [2, 4]}, _outputs([3.0, 7.0])),
    _columns("extra-key-ignored", "two_inputs", {"a": [1.0], "b": [2], "c": "ignored"}, _outputs([3.0])),
    _columns("extra-key-ignored-single", "serving_default", {"x": [1.0], "y": None}, _outputs([3.5])),
    _columns("several-outputs", "two_outputs", [2.0, 3.0], _outputs({"double": [4.0, 6.0], "square": [4.0, 9.0]}),
             _COLUMNS_OUT),
    _columns("scalar-output", "scalar_output", [1.0, 3.0], _outputs(2.0), _COLUMNS_OUT),
    _columns("inconsistent-output", "inconsistent", [1.0], _outputs({"as_many": [1.0], "more": [1.0, 0.0]}),
             _COLUMNS_OUT),
    _columns("no-rows-out", "no_rows", [1.0], _outputs([]), _COLUMNS_OUT),
    _columns("missing-key", "two_inputs", {"a": [1.0]}, error(400, "Missing named input: b in 'inputs' object.")),
    _columns("wrong-key", "serving_default", {"y": [1.0]}, error(400, "Missing named input: x in 'inputs' object.")),
    _columns("no-keys", "serving_default", {}, error(400, "Missing named input: x in 'inputs' object.")),
    _columns("list-for-several", "two_inputs", [1.0, 2.0], PLAIN_INPUTS),
    _columns("value-for-several", "two_inputs", 1.0, PLAIN_INPUTS),
    _columns("null-for-several", "two_inputs", None, PLAIN_INPUTS),
    _columns("b64-for-several", "two_each", {"b64": "YQ=="}, PLAIN_INPUTS),
    _columns("null", "serving_default", None, error(400, "Type: Null is not of expected type: float"), _DENSE),
    _columns("object-inside", "echo_float", {"x": [{"y": 1.0}]},
             error(400, "Type: Object is not of expected type: float"), _DENSE),
    _columns("b64-for-number", "echo_float", {"b64": "AAAA"},
             error(400, "Type: Object is not of expected type: float"), _DENSE),
    _columns("ragged", "echo_float", [[1.0, 2.0], [3.0]],
             error(400, "Encountered list at unexpected size: 1 at level: 1 expected size: 2"), _DENSE),
    _columns("ragged-deep", "echo_float", [[[1.0]], [[2.0, 3.0]]],
             error(400, "Encountered list at unexpected size: 2 at level: 2 expected size: 1"), _DENSE),
    _columns("list-for-value", "echo_float", [1.0, [2.0]], TOO_DEEP, _DENSE),
    _columns("value-for-list", "echo_float", [[1.0], 2.0], error(400, "found at incorrect level"), _DENSE),
    _columns("value-for-empty-list", "echo_float", [[], 2.0], error(400, "found at incorrect level"), _DENSE),
    _columns("refused-by-graph", "positive", [0.0], error(400, "x must be positive"), _RUN),
    _columns("value-for-rows", "serving_default", 0.0, _outputs(3.0), _RUN),
    _columns("rows-for-value", "scalar", [1.0, 2.0], _outputs([2.0, 3.0]), _RUN),
    _columns("more-dimensions", "two_inputs", {"a": [[1.0], [2.0]], "b": [1, 2]}, _outputs([[2.0, 3.0], [3.0, 4.0]]),
             _RUN),
    _columns("wrong-width", "matmul", [[1.0]], error(400), _RUN),
    # Two inputs have different numbers of rows: an error of the graph.
    _columns("unequal-lengths", "two_inputs", {"a": [1.0, 2.0], "b": [1, 2, 3]}, error(400), _RUN),
]  # fmt: skip
CASES = ROWS + COLUMNS
