"""Method and raw path, parsed by TF Serving's two regular expressions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.embedded.rest.routes import Route, is_api, route
from serving.embedded.statuses import RequestError


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("POST", "/v1/models/m:predict", Route("predict", "m")),
        ("POST", "/V1/MODELS/m:predict", Route("predict", "m")),
        ("POST", "/v1/models/m/versions/12:predict", Route("predict", "m", 12)),
        ("POST", "/v1/models/m/versions/007:predict", Route("predict", "m", 7)),
        ("POST", "/v1/models/m/labels/stable:predict", Route("predict", "m", None, "stable")),
        ("POST", "/v1/models/m/labels/a%20b:classify", Route("classify", "m", None, "a b")),
        ("POST", "/v1/models/m:regress", Route("regress", "m")),
        ("GET", "/v1/models/m", Route("status", "m")),
        ("GET", "/v1/models/m%21%23", Route("status", "m!#")),
        ("GET", "/v1/models/m/versions/9223372036854775807", Route("status", "m", 2**63 - 1)),
        ("GET", "/v1/models/m/labels/canary", Route("status", "m", None, "canary")),
        ("GET", "/v1/models/m/metadata", Route("metadata", "m")),
        ("GET", "/v1/models/m/METADATA", Route("status", "m")),
        ("GET", "/v1/models/m/versions/1/metadata", Route("metadata", "m", 1)),
        ("GET", "/v1/models/foo?x=1", Route("status", "foo?x=1")),
    ],
)
def test_well_formed_requests(method: str, path: str, expected: Route) -> None:
    assert route(method, path) == expected


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/models/m:predict"),
        ("POST", "/v1/models/m"),
        ("POST", "/v1/models/m:PREDICT"),
        ("POST", "/v1/models/m:predict?x=1"),
        ("POST", "/v1/models/m:predict/"),
        ("POST", "/v1/models/m/metadata"),
        ("POST", "/v1/models/m/versions/1/labels/a:predict"),
        ("POST", "/v1/models/m/versions/HELLO:predict"),
        ("POST", "/v1/models/m/versions/-1:predict"),
        ("POST", "/v1/models/m/versions/٣:predict"),
        ("GET", "/v1/models/m/version/50"),
        ("GET", "/v1/models/m/"),
        ("GET", "/v1/"),
        ("HEAD", "/v1/models/m"),
        ("PUT", "/v1/models/m:predict"),
        ("DELETE", "/v1/models/m"),
        ("PATCH", "/v1/models/m"),
    ],
)
def test_malformed_requests(method: str, path: str) -> None:
    with pytest.raises(RequestError) as caught:
        route(method, path)
    assert (caught.value.code, caught.value.message) == ("INVALID_ARGUMENT", f"Malformed request: {method} {path}")


def test_there_is_no_list_of_models() -> None:
    with pytest.raises(RequestError, match="Missing model name in request"):
        route("GET", "/v1/models")


@pytest.mark.parametrize("number", [str(2**63), "9" * 30, "1" * 5_000])
def test_a_version_has_64_bits(number: str) -> None:
    with pytest.raises(RequestError, match=f"Failed to convert version: {number} to numeric"):
        route("POST", f"/v1/models/m/versions/{number}:predict")


@pytest.mark.parametrize(
    ("path", "expected"), [("/v1/", True), ("/V1/x", True), ("/v1", False), ("/", False), ("", False)]
)
def test_which_paths_belong_to_the_api(path: str, expected: bool) -> None:
    assert is_api(path) is expected


@given(st.sampled_from(["GET", "POST", "PUT"]), st.text(max_size=60))
def test_any_path_is_a_route_or_rejected(method: str, rest: str) -> None:
    try:
        outcome: object = route(method, f"/v1/models/{rest}").model
    except RequestError as error:
        outcome = error.http
    assert outcome == 400 or isinstance(outcome, str)
