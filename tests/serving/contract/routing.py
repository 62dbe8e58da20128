"""Paths and methods, and the responses to those that are not served."""

from tests.serving.contract.case import (
    CONTRACT,
    Case,
    any_body,
    empty,
    empty_page,
    encode,
    error,
    get,
    ok,
    ok_that,
    page,
    predict,
    with_header,
)

_REGEX = "model_servers/http_rest_api_util.cc kPredictionApiGegex"
_STATUS_REGEX = "model_servers/http_rest_api_util.cc kModelStatusApiRegex"
_DISPATCH = "model_servers/http_server.cc RestApiRequestDispatcher::Dispatch"
_VERB = "model_servers/http_rest_api_handler.cc ProcessRequest"
_VERSION = "model_servers/http_rest_api_util.cc ParseModelInfo"
_DECODE = "model_servers/http_rest_api_util.cc DecodeArg"
_OPTIONS = "model_servers/http_server.cc RestApiRequestDispatcher::ProcessRequest (CORS)"
_URI = "libevent http.c evhttp_uri_parse"
_METHODS = "util/net_http/server/internal/evhttp_server.cc Initialize"

X = {"instances": [1.0]}
BODY = encode(X)
V1, V2 = {"predictions": [2.5]}, {"predictions": [3.5]}
SERVED = ok_that("versions 2 and 1", lambda v: [s["version"] for s in v["model_version_status"]] == ["2", "1"])
LATEST = ok_that("version 2 alone", lambda v: [s["version"] for s in v["model_version_status"]] == ["2"])
NOT_FOUND = page(404, "404", "Not Found")


def _malformed(method: str, target: str) -> tuple:
    return (error(400, f"Malformed request: {method} {target}"),)


def _post(id: str, source: str, target: str, *answers) -> Case:  # type: ignore[no-untyped-def]
    return predict(id, source, BODY, *answers, target=target)


def _post_malformed(id: str, target: str, source: str = _REGEX) -> Case:
    return _post(id, source, target, *_malformed("POST", target))


def _get_malformed(id: str, target: str) -> Case:
    return get(id, _STATUS_REGEX, target, *_malformed("GET", target))


def _other(method: str, target: str) -> Case:
    return Case(f"method-{method.lower()}", _VERB, method, target, BODY, _malformed(method, target))


_TOO_LARGE = "9223372036854775808"
# The handler returns before it writes the message (ParseModelInfo fails inside TF_RETURN_IF_ERROR), so the body is
# empty in the sources read; a body with the message is conforming as well.
_NOT_NUMERIC = (error(400, f"Failed to convert version: {_TOO_LARGE} to numeric."), empty(400))

PREDICT = [
    _post("predict-newest", _REGEX, f"{CONTRACT}:predict", ok(V2)),
    _post("predict-version-1", _REGEX, f"{CONTRACT}/versions/1:predict", ok(V1)),
    _post("predict-version-2", _REGEX, f"{CONTRACT}/versions/2:predict", ok(V2)),
    _post("predict-version-zeros", _VERSION, f"{CONTRACT}/versions/0001:predict", ok(V1)),
    _post("predict-label-stable", _REGEX, f"{CONTRACT}/labels/stable:predict", ok(V1)),
    _post("predict-label-canary", _REGEX, f"{CONTRACT}/labels/canary:predict", ok(V2)),
    _post("predict-label-encoded", _DECODE, f"{CONTRACT}/labels/sta%62le:predict", ok(V1)),
    _post("predict-name-encoded", _DECODE, "/v1/models/%63ontract:predict", ok(V2)),
    _post("predict-name-special", _DECODE, "/v1/models/latest%21%23:predict", ok(V2)),
    _post("predict-name-not-encoded", _DECODE, "/v1/models/latest!%23:predict", ok(V2)),
    _post("path-upper-case", _REGEX, "/V1/MODELS/contract:predict", ok(V2)),
    _post("path-upper-case-versions", _REGEX, "/v1/models/contract/VERSIONS/1:predict", ok(V1)),
    _post("path-upper-case-labels", _REGEX, "/v1/models/contract/Labels/stable:predict", ok(V1)),
    _post_malformed("verb-upper-case", f"{CONTRACT}:PREDICT", _VERB),
    _post_malformed("verb-mixed-case", f"{CONTRACT}:Predict", _VERB),
    _post_malformed("verb-unknown", f"{CONTRACT}:generate"),
    _post_malformed("verb-missing", CONTRACT),
    _post_malformed("verb-with-slash", f"{CONTRACT}:predict/"),
    _post_malformed("verb-twice", f"{CONTRACT}:predict:predict"),
    _post_malformed("query-on-predict", f"{CONTRACT}:predict?x=1"),
    _post_malformed("query-empty-on-predict", f"{CONTRACT}:predict?"),
    _post_malformed("version-is-a-word", f"{CONTRACT}/versions/HELLO:predict"),
    _post_malformed("version-is-negative", f"{CONTRACT}/versions/-1:predict"),
    _post_malformed("version-is-empty", f"{CONTRACT}/versions/:predict"),
    _post_malformed("version-singular", f"{CONTRACT}/version/1:predict"),
    _post_malformed("label-is-empty", f"{CONTRACT}/labels/:predict"),
    _post_malformed("version-and-label", f"{CONTRACT}/versions/1/labels/stable:predict"),
    _post_malformed("label-and-version", f"{CONTRACT}/labels/stable/versions/1:predict"),
    _post_malformed("name-is-empty", "/v1/models/:predict"),
    _post_malformed("name-with-slash", "/v1/models/a/contract:predict"),
    _post_malformed("slash-twice-inside", "/v1/models//contract:predict"),
    _post_malformed("post-on-status", f"{CONTRACT}/versions/1"),
    _post_malformed("post-on-metadata", f"{CONTRACT}/metadata"),
    _post_malformed("post-on-nothing", "/v1/"),
    _post("version-too-large", _VERSION, f"{CONTRACT}/versions/{_TOO_LARGE}:predict", *_NOT_NUMERIC),
]
GET = [
    get("status", _STATUS_REGEX, CONTRACT, SERVED),
    get("status-upper-case", _STATUS_REGEX, "/V1/Models/contract", SERVED),
    get("status-name-special", _DECODE, "/v1/models/latest%21%23", LATEST),
    get("status-absolute-form", _URI, f"http://localhost{CONTRACT}", SERVED),
    get(
        "status-no-name",
        "model_servers/http_rest_api_handler.cc ProcessModelStatusRequest",
        "/v1/models",
        error(400, "Missing model name in request."),
    ),
    get("status-version-no-name", _STATUS_REGEX, "/v1/models/versions/1", error(400, "Missing model name in request.")),
    get("status-version-too-large", _VERSION, f"{CONTRACT}/versions/{_TOO_LARGE}", *_NOT_NUMERIC),
    get("status-query", _DISPATCH, f"{CONTRACT}?x=1", error(404, "Could not find any versions of model contract?x=1")),
    get("status-plus-is-no-space", _DECODE, "/v1/models/con+tract", error(404, "any versions of model con+tract")),
    get("status-encoded-slash", _DECODE, "/v1/models/a%2Fb", error(404, "Could not find any versions of model a/b")),
    get("status-name-metadata", _STATUS_REGEX, "/v1/models/metadata", error(404, "any versions of model metadata")),
    get("path-percent-alone", _URI, "/v1/models/%zz", any_body(400)),
    _get_malformed("get-on-predict", f"{CONTRACT}:predict"),
    _get_malformed("get-slash-at-the-end", f"{CONTRACT}/"),
    _get_malformed("get-models-slash", "/v1/models/"),
    _get_malformed("get-version-is-a-word", f"{CONTRACT}/versions/HELLO"),
    _get_malformed("get-version-singular", f"{CONTRACT}/version/50"),
    _get_malformed("get-version-and-label", f"{CONTRACT}/versions/1/labels/stable"),
    _get_malformed("get-metadata-slash", f"{CONTRACT}/metadata/"),
    _get_malformed("get-metadata-query", f"{CONTRACT}/versions/1/metadata?x=1"),
    # The expression ignores case but the comparison does not, so this is a status request.
    get("get-metadata-upper-case", _VERB, f"{CONTRACT}/METADATA", SERVED),
    _get_malformed("get-nothing", "/v1/"),
    _get_malformed("get-other", "/v1/anything/at/all"),
]
METHODS = [
    Case("method-head", _VERB, "HEAD", CONTRACT, b"", (any_body(400),)),
    _other("PUT", f"{CONTRACT}:predict"),
    _other("PATCH", f"{CONTRACT}:predict"),
    _other("DELETE", CONTRACT),
    # TF Serving does not let libevent accept it, for any path.
    Case("method-trace", _METHODS, "TRACE", CONTRACT, b"", (page(501, "501 Not Implemented"),)),
    Case("method-trace-elsewhere", _METHODS, "TRACE", "/", b"", (page(501, "501 Not Implemented"),)),
    Case("options-origin-http", _OPTIONS, "OPTIONS", f"{CONTRACT}:predict", b"", (empty_page(200),),
         (("Origin", "http://example.org"),)),
    Case("options-origin-https", _OPTIONS, "OPTIONS", CONTRACT, b"", (empty_page(200),),
         (("Origin", "https://example.org"),)),
    Case("options-no-origin", _OPTIONS, "OPTIONS", f"{CONTRACT}:predict", b"", (empty_page(400),)),
    Case("options-origin-null", _OPTIONS, "OPTIONS", f"{CONTRACT}:predict", b"", (empty_page(400),),
         (("Origin", "null"),)),
    predict("cors-off-by-default", _OPTIONS, X, with_header(ok(V2), "access-control-allow-origin", None),
            headers=(("Origin", "http://example.org"),)),
]  # fmt: skip
ELSEWHERE = [
    get("page-root", _DISPATCH, "/", NOT_FOUND),
    get("page-v1", _DISPATCH, "/v1", NOT_FOUND),
    get("page-v2", _DISPATCH, "/v2/models/contract", NOT_FOUND),
    get("page-slash-twice", _URI, "//v1/models/contract", NOT_FOUND),
    get("page-encoded-v1", _DISPATCH, "/%761/models/contract", NOT_FOUND),
    get("page-below", _DISPATCH, "/x/v1/models/contract", NOT_FOUND),
    get("page-query", _DISPATCH, "/?/v1/models/contract", NOT_FOUND),
    Case("page-post", _DISPATCH, "POST", "/predict", BODY, (NOT_FOUND,)),
    # No monitoring configuration: no metrics.
    get("page-metrics-off", "model_servers/http_server.cc CreateAndStartHttpServer", "/monitoring/prometheus/metrics",
        NOT_FOUND),
]  # fmt: skip
CASES = PREDICT + GET + METHODS + ELSEWHERE
