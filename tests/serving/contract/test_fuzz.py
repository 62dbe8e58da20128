"""For any input, the server responds in time, without an unknown 5xx status, and stays alive.

These tests are skipped for an external server: older TF Serving releases crash on some of the inputs.
"""

import http.client
import json
import os
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.serving.contract import exports, sampling, shapes, values, wire
from tests.serving.contract.case import CONTRACT, TEXT, encode

pytestmark = pytest.mark.integration

# Data types and methods that are not implemented. Other 5xx statuses need overload or an expired time limit.
KNOWN_5XX = {501}
VALID = sorted({case.body for case in [*shapes.CASES, *values.CASES, *exports.CASES] if 2 < len(case.body) < 400})
SIGNATURES = sorted({found[1].decode() for body in VALID if (found := re.search(rb'"signature_name": "(\w+)"', body))})


def some(examples: int) -> Any:
    """A share of these examples, as of the default number."""
    share = settings.default.max_examples / 100
    return settings(max_examples=max(1, round(examples * share)), suppress_health_check=list(HealthCheck))


@pytest.fixture(autouse=True)
def alive(server: wire.Server) -> Iterator[None]:
    """After each test the same process serves the same models."""
    if server.pid is None:
        pytest.skip("an external server")
    yield
    os.kill(server.pid, 0)
    assert Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    response = server.send("POST", f"{CONTRACT}:predict", encode({"instances": [1.0]}))
    assert response.json() == {"predictions": [3.5]}


def answered(server: wire.Server, request: bytes) -> wire.Response | None:
    """The response; None if the server closes the connection, as HTTP allows for invalid input. A hang is an error."""
    try:
        response = server.exchange(request)
    except (http.client.HTTPException, ConnectionError):
        return None
    assert response.status < 500 or response.status in KNOWN_5XX, (request[:500], response)
    return response


def ended(server: wire.Server, request: bytes) -> None:
    """Send the bytes and no more: the server responds or closes the connection, and does not wait forever."""
    with server.connect() as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        try:
            response = wire.read(connection)
        except (http.client.HTTPException, ConnectionError):
            return
    assert response.status < 500 or response.status in KNOWN_5XX, (request[:500], response)


def predicted(server: wire.Server, body: bytes, target: str = f"{CONTRACT}:predict") -> None:
    """A predict request that is proper HTTP gets a JSON answer."""
    response = answered(server, wire.request(server, "POST", target, body))
    assert response is not None
    content = json.loads(response.body.decode("utf-8", "replace"))
    keys = {"predictions", "outputs"} if response.status == 200 else {"error"}
    assert len(content) == 1
    assert set(content) <= keys


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.integers(),
    st.sampled_from([2**31, 2**63, 2**64, 10**40, 10**400, -(10**400)]),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from([{"b64": "YQ=="}, {"b64": "*"}, {"b64": None}]),
)
keys = st.one_of(
    st.sampled_from(["x", "a", "b", "b64", "instances", "prompt", "num_chars", "state"]), st.text(max_size=5)
)
anything = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=4)),
    max_leaves=12,
)
requests = st.fixed_dictionaries(
    {},
    optional={
        "signature_name": st.one_of(st.sampled_from(SIGNATURES), anything),
        "instances": st.one_of(st.lists(anything, max_size=4), anything),
        "inputs": anything,
    },
)


@some(200)
@given(anything)
def test_any_json(server: wire.Server, value: Any) -> None:
    predicted(server, encode(value))


@some(400)
@given(requests, st.sampled_from([CONTRACT, TEXT]))
def test_any_request_object(server: wire.Server, request_: dict[str, Any], model: str) -> None:
    predicted(server, encode(request_), f"{model}:predict")


@some(300)
@given(st.sampled_from(SIGNATURES), st.lists(anything, min_size=1, max_size=3), st.booleans())
def test_any_values_for_a_signature(server: wire.Server, signature: str, items: list[Any], rows: bool) -> None:
    predicted(server, encode({"signature_name": signature, "instances" if rows else "inputs": items}))


@some(300)
@given(
    st.fixed_dictionaries(
        {
            "prompt": st.one_of(st.text(max_size=20), scalars),
            "num_chars": st.one_of(st.integers(-2, 1100), scalars),
            "temperature": st.one_of(st.floats(-1, 101), scalars),
            "top_k": st.one_of(st.integers(-2, 50), scalars),
            "seed": st.one_of(st.integers(-(2**63), 2**63 - 1), scalars),
        }
    )
)
def test_any_parameters_of_generate(server: wire.Server, row: dict[str, Any]) -> None:
    predicted(server, encode({"signature_name": "generate", "instances": [row]}), f"{TEXT}:predict")


PREDICTED = "serving_default", "generate", "generate_from_state", "sample", "sample_from_state", "score", "alternatives"
column = st.lists(st.integers(0, 3), max_size=3).map(tuple)


@some(150)
@given(
    st.sampled_from([*PREDICTED, "eval_nll"]),
    st.fixed_dictionaries(dict.fromkeys([*sampling.ROW, "state", "text", "top_n", "examples"], column)),
)
def test_any_shapes_for_an_export(server: wire.Server, signature: str, shapes_: dict[str, tuple[int, ...]]) -> None:
    # The graph decides about shapes: no kernel of it may end the process.
    value = sampling.ROW | {"state": 0.0, "text": "ab", "top_n": 2, "examples": ""}
    inputs = {name: np.full(shape, value[name], object).tolist() for name, shape in shapes_.items()}
    predicted(server, encode({"signature_name": signature, "inputs": inputs}), f"{TEXT}:predict")


@some(400)
@given(
    st.sampled_from(VALID),
    st.integers(0, 400),
    st.integers(0, 6),
    st.binary(max_size=6),
    st.sampled_from([CONTRACT, TEXT]),
)
def test_a_valid_request_with_some_bytes_changed(
    server: wire.Server, body: bytes, place: int, removed: int, added: bytes, model: str
) -> None:
    place %= len(body)
    predicted(server, body[:place] + added + body[place + removed :], f"{model}:predict")


@some(150)
@given(st.binary(max_size=200), st.sampled_from([(), (("Content-Encoding", "gzip"),)]))
def test_any_bytes_as_a_body(server: wire.Server, body: bytes, headers: tuple[tuple[str, str], ...]) -> None:
    assert answered(server, wire.request(server, "POST", f"{CONTRACT}:predict", body, headers)) is not None


@some(150)
@given(st.binary(max_size=200))
@example(b"GET / HTTP/9.9\r\n\r\n")
@example(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")  # the beginning of a TLS handshake
def test_any_bytes_instead_of_http(server: wire.Server, content: bytes) -> None:
    ended(server, content + b"\r\n\r\n")


pieces = st.one_of(
    st.sampled_from(
        ["/", "//", "v1", "models", "contract", "text", "versions", "labels", "stable", "1", "metadata", ":predict",
         "..", ":", "?", "#", "%00", "%2e%2e", "%2F", "%zz", "%", "9" * 30, "\x7f", "é"]
    ),
    st.text(st.characters(min_codepoint=33, max_codepoint=255), max_size=6),
)  # fmt: skip


@some(400)
@given(
    st.sampled_from(["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "FOO", "get"]),
    st.lists(pieces, max_size=8).map("".join),
    st.booleans(),
)
def test_any_path(server: wire.Server, method: str, path: str, below: bool) -> None:
    target = ("/v1/models/" if below else "/") + path
    answered(server, wire.request(server, method, target, encode({"instances": [1.0]})))


@some(200)
@given(
    st.lists(
        st.tuples(
            st.one_of(
                st.sampled_from(["Content-Type", "Content-Encoding", "Accept-Encoding", "Connection", "Expect",
                                 "Origin", "Transfer-Encoding", "Upgrade", "Host", "Content-Length", "X"]),
                st.text(st.characters(min_codepoint=33, max_codepoint=255), min_size=1, max_size=8),
            ),
            st.one_of(
                st.sampled_from(["gzip", "chunked", "close", "identity", "websocket", "100-continue", "h2c", "-1", "0",
                                 "+5", "0x10", "1e3", "", "keep-alive, Upgrade", "99999999999999999999"]),
                st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=12),
            ),
        ),
        max_size=4,
    )
)  # fmt: skip
def test_any_headers(server: wire.Server, headers: list[tuple[str, str]]) -> None:
    # Some headers announce a longer body than is sent.
    ended(server, wire.request(server, "POST", f"{CONTRACT}:predict", encode({"instances": [1.0]}), tuple(headers)))


@pytest.mark.parametrize("length", ["1", "18", "20", "21", "1000", "20, 20"])
def test_a_wrong_content_length(server: wire.Server, length: str) -> None:
    headers = (("Content-Length", length),)
    ended(server, wire.request(server, "POST", f"{CONTRACT}:predict", encode({"instances": [1.0]}), headers))


@pytest.mark.parametrize("depth", [200, 300, 2_000, 100_000])
@pytest.mark.parametrize(
    "shape",
    ['{"inputs": %s1%s}', '{"instances": [%s1%s]}', '{"x": %s1%s, "instances": [1.0]}', '{"instances": %s', "%s"],
)
@pytest.mark.parametrize("brackets", [("[", "]"), ('{"x":', "}")], ids=["lists", "objects"])
def test_deep_nesting(server: wire.Server, depth: int, shape: str, brackets: tuple[str, str]) -> None:
    opened, closed = (bracket * depth for bracket in brackets)
    parts = (opened, closed)[: shape.count("%s")]
    predicted(server, (shape % parts).encode())


@pytest.mark.parametrize("number", ["9" * 100_000, "-" + "9" * 5000, "0." + "1" * 100_000, "1e99999999", "1e-99999999"])
@pytest.mark.parametrize("signature", ["echo_float", "echo_double", "echo_int32", "echo_uint64", "echo_string"])
def test_huge_numbers(server: wire.Server, number: str, signature: str) -> None:
    predicted(server, f'{{"signature_name": "{signature}", "inputs": [{number}]}}'.encode())


@pytest.mark.parametrize("values_", [[], [[]] * 5, [1.0] * 200_000, [[1.0] * 1000] * 100])
def test_large_lists(server: wire.Server, values_: list[Any]) -> None:
    predicted(server, encode({"signature_name": "echo_float", "inputs": values_}))


def test_the_server_waits_for_a_slow_body(server: wire.Server) -> None:
    request = wire.request(server, "POST", f"{CONTRACT}:predict", encode({"instances": [1.0]}))
    with server.connect() as connection:
        for place in range(0, len(request), 40):
            connection.sendall(request[place : place + 40])
            time.sleep(0.1)
        assert wire.read(connection).json() == {"predictions": [3.5]}


def test_clients_that_disconnect_or_stall_do_no_harm(server: wire.Server) -> None:
    request = wire.request(
        server, "POST", f"{TEXT}:predict", encode({"signature_name": "generate", "instances": [exports.GOOD]})
    )
    stalled = [server.connect() for _ in range(20)]
    for number, connection in enumerate(stalled):
        connection.sendall(request[: len(request) * number // 20])
    for number in range(20):
        with server.connect() as connection:
            connection.sendall(request if number % 2 else request[:-10])
    assert server.send("GET", CONTRACT).status == 200
    for connection in stalled:
        connection.close()
