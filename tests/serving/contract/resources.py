"""Status, metadata, headers, and details of HTTP."""

import gzip
from typing import Any

from tests.serving.contract.case import (
    CONTRACT,
    TEXT,
    Case,
    encode,
    error,
    get,
    ok,
    ok_that,
    predict,
    with_header,
)

_STATUS = "model_servers/get_model_status_impl.cc"
_METADATA = "servables/tensorflow/get_model_metadata_impl.cc, model_servers/http_rest_api_util.cc ToJsonString"
_GZIP = "util/net_http/server/internal/evhttp_request.cc NeedUncompressGzipContent"
_HEADERS = "model_servers/http_rest_api_util.cc AddHeaders"
_HTTP = "libevent http.c"

X = {"instances": [1.0]}
GOOD = ok({"predictions": [3.5]})
JSON_TYPE = "application/json"


def _version(number: int) -> dict[str, Any]:
    status = {"error_code": "OK", "error_message": ""}
    return {"version": str(number), "state": "AVAILABLE", "status": status}


def _available(*numbers: int) -> Any:
    return ok({"model_version_status": [_version(number) for number in numbers]})


def _tensor(dtype: str, *sizes: int, unknown: bool = False) -> dict[str, Any]:
    dim = [{"size": str(size), "name": ""} for size in sizes]
    return {"dtype": dtype, "tensor_shape": {"dim": dim, "unknown_rank": unknown}}


def _describes(version: int, signature: str, inputs: dict[str, Any], outputs: dict[str, Any], name: str) -> Any:
    """Metadata with this model_spec and signature; the names of tensors are not compared."""

    def tensors(described: dict[str, Any]) -> dict[str, Any]:
        if not all(isinstance(tensor["name"], str) and tensor["name"] for tensor in described.values()):
            return {}
        return {key: {k: v for k, v in tensor.items() if k != "name"} for key, tensor in described.items()}

    def holds(value: Any) -> bool:
        signatures = value["metadata"]["signature_def"]["signature_def"]
        described = signatures[signature]
        return (
            set(value) == {"model_spec", "metadata"}
            and value["model_spec"] == {"name": name, "signature_name": "", "version": str(version)}
            and described["method_name"] == "tensorflow/serving/predict"
            and described.get("defaults", {}) == {}  # newer releases only
            and tensors(described["inputs"]) == inputs
            and tensors(described["outputs"]) == outputs
        )

    return ok_that(f"the metadata of {signature} of {name} version {version}", holds)


def _metadata(
    id: str, target: str, version: int, signature: str, inputs: Any, outputs: Any, name: str = "contract"
) -> Case:
    return get(f"metadata-{id}", _METADATA, target, _describes(version, signature, inputs, outputs, name))


_X, _Y = {"x": _tensor("DT_FLOAT", -1)}, {"y": _tensor("DT_FLOAT", -1)}
_PROMPT, _TEXT = {"prompt": _tensor("DT_STRING", -1)}, {"text": _tensor("DT_STRING", -1)}
_CONTROLS = {
    "num_chars": _tensor("DT_INT32", -1),
    "temperature": _tensor("DT_FLOAT", -1),
    "top_k": _tensor("DT_INT32", -1),
    "seed": _tensor("DT_INT64", -1),
}

STATUS = [
    get("status-all", _STATUS, CONTRACT, _available(2, 1)),
    get("status-text", _STATUS, TEXT, _available(7, 3)),
    get("status-version-1", _STATUS, f"{CONTRACT}/versions/1", _available(1)),
    get("status-version-2", _STATUS, f"{CONTRACT}/versions/2", _available(2)),
    get("status-version-zeros", _STATUS, f"{CONTRACT}/versions/002", _available(2)),
    get("status-latest-policy", _STATUS, "/v1/models/latest%21%23", _available(2)),
    # The status route ignores labels, even unknown ones.
    get("status-label", _STATUS, f"{CONTRACT}/labels/stable", _available(2, 1)),
    get("status-label-unknown", _STATUS, f"{CONTRACT}/labels/nobody", _available(2, 1)),
]
METADATA = [
    _metadata("newest", f"{CONTRACT}/metadata", 2, "serving_default", _X, _Y),
    _metadata("version", f"{CONTRACT}/versions/1/metadata", 1, "serving_default", _X, _Y),
    _metadata("label", f"{CONTRACT}/labels/stable/metadata", 1, "serving_default", _X, _Y),
    _metadata("upper-case-path", "/V1/models/contract/metadata", 2, "serving_default", _X, _Y),
    _metadata("special-name", "/v1/models/latest%21%23/metadata", 2, "serving_default", _X, _Y, "latest!#"),
    _metadata("unknown-rank", f"{CONTRACT}/metadata", 2, "echo_int64", {"x": _tensor("DT_INT64", unknown=True)},
              {"y": _tensor("DT_INT64", unknown=True)}),
    _metadata("scalar", f"{CONTRACT}/metadata", 2, "scalar", {"x": _tensor("DT_FLOAT")}, {"y": _tensor("DT_FLOAT")}),
    _metadata("matrix", f"{CONTRACT}/metadata", 2, "matmul", {"x": _tensor("DT_FLOAT", -1, 2)},
              {"y": _tensor("DT_FLOAT", -1, 1)}),
    _metadata("no-inputs", f"{CONTRACT}/metadata", 2, "no_inputs", {}, {"y": _tensor("DT_FLOAT", 1)}),
    _metadata("several", f"{CONTRACT}/metadata", 2, "two_each",
              {"a": _tensor("DT_STRING", -1), "b": _tensor("DT_STRING", -1)},
              {"joined": _tensor("DT_STRING", -1), "length": _tensor("DT_INT32", -1)}),
    _metadata("text", f"{TEXT}/metadata", 7, "serving_default", _PROMPT, _TEXT, "text"),
    _metadata("text-generate", f"{TEXT}/labels/stable/metadata", 3, "generate", _PROMPT | _CONTROLS, _TEXT, "text"),
    get("metadata-initializer", _METADATA, f"{CONTRACT}/metadata",
        ok_that("the initializer's signature, as in the SavedModel",
                lambda v: "__saved_model_init_op" in v["metadata"]["signature_def"]["signature_def"])),
]  # fmt: skip
_PACKED = gzip.compress(encode(X), mtime=0)
TRANSPORT = [
    predict("type-on-success", _HEADERS, X, with_header(GOOD, "content-type", JSON_TYPE)),
    predict("type-on-error", _HEADERS, b"", with_header(error(400), "content-type", JSON_TYPE)),
    get("type-on-status", _HEADERS, CONTRACT, with_header(_available(2, 1), "content-type", JSON_TYPE)),
    get("type-on-malformed", _HEADERS, "/v1/x", with_header(error(400), "content-type", JSON_TYPE)),
    predict("gzip", _GZIP, _PACKED, GOOD, headers=(("Content-Encoding", "gzip"),)),
    predict("gzip-x", _GZIP, _PACKED, GOOD, headers=(("Content-Encoding", "x-gzip"),)),
    predict("gzip-header-name-case", _GZIP, _PACKED, GOOD, headers=(("CONTENT-ENCODING", "gzip"),)),
    predict("gzip-large", _GZIP, gzip.compress(encode({"pad": "x" * 2_000_000, **X}), mtime=0), GOOD,
            headers=(("Content-Encoding", "gzip"),)),
    predict("gzip-upper-case-is-no-gzip", _GZIP, _PACKED, error(400, "JSON Parse error"),
            headers=(("Content-Encoding", "GZIP"),)),
    predict("gzip-undeclared", _GZIP, _PACKED, error(400, "JSON Parse error")),
    predict("gzip-untrue", _GZIP, encode(X), error(400), headers=(("Content-Encoding", "gzip"),)),
    predict("gzip-cut", _GZIP, _PACKED[:20], error(400), headers=(("Content-Encoding", "gzip"),)),
    predict("gzip-not-deflate", _GZIP, X, GOOD, headers=(("Content-Encoding", "deflate"),)),
    predict("gzip-no-answer", _GZIP, X, with_header(GOOD, "content-encoding", None),
            headers=(("Accept-Encoding", "gzip, deflate, br"),)),
    predict("body-chunked", _HTTP, b"8\r\n" + encode(X)[:8] + b"\r\n%x\r\n" % (len(encode(X)) - 8) + encode(X)[8:]
            + b"\r\n0\r\n\r\n", GOOD, headers=(("Transfer-Encoding", "chunked"),)),
    predict("body-expect-continue", _HTTP, X, GOOD, headers=(("Expect", "100-continue"),)),
    predict("header-accept-ignored", _HEADERS, X, GOOD, headers=(("Accept", "text/html"),)),
    predict("header-unknown", _HEADERS, X, GOOD, headers=(("X-Anything", "a" * 2000),)),
    predict("header-close", _HTTP, X, GOOD, headers=(("Connection", "close"),)),
    Case("get-with-body", _HEADERS, "GET", CONTRACT, encode(X), (_available(2, 1),)),
]  # fmt: skip
CASES = STATUS + METADATA + TRANSPORT
