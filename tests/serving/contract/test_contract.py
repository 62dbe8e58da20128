"""TF Serving's REST contract, case by case against a running server, and properties of several requests."""

from typing import Any

import pytest

from tests.serving.contract import exports, limits, lookups, resources, routing, sampling, shapes, syntax, values, wire
from tests.serving.contract.case import CONTRACT, TEXT, Case, encode, unique

TABLES = routing, syntax, shapes, values, lookups, resources, exports, sampling
CASES = unique([table.CASES for table in TABLES])


@pytest.mark.integration
@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_the_response_conforms(server: wire.Server, case: Case) -> None:
    complaint = case.complaint(server.send(case.method, case.target, case.body, case.headers))
    assert not complaint, complaint


def test_the_table_has_at_least_200_cases_with_sources() -> None:
    assert len(CASES) >= 200
    assert all(case.source and case.answers for case in CASES)


def _predict(server: wire.Server, target: str, **body: Any) -> Any:
    response = server.send("POST", f"{target}:predict", encode(body))
    assert response.status == 200, response.text()
    return response.json()


def _generate(server: wire.Server, place: str = "", **changes: Any) -> str:
    instance = exports.GOOD | changes
    return str(_predict(server, TEXT + place, signature_name="generate", instances=[instance])["predictions"][0])


@pytest.mark.integration
def test_a_seed_repeats_its_text_and_another_seed_changes_it(server: wire.Server) -> None:
    assert _generate(server, num_chars=200) == _generate(server, num_chars=200)
    assert _generate(server, num_chars=200) != _generate(server, num_chars=200, seed=8)


@pytest.mark.integration
def test_the_default_signature_uses_a_new_seed_for_each_request(server: wire.Server) -> None:
    texts = {_predict(server, TEXT, instances=["a"])["predictions"][0] for _ in range(4)}
    assert len(texts) > 1


@pytest.mark.integration
def test_rows_and_columns_give_the_same_text(server: wire.Server) -> None:
    columns = _predict(server, TEXT, signature_name="generate", inputs=exports.CONTROLS)
    assert columns == {"outputs": [_generate(server)]}


@pytest.mark.integration
def test_a_row_does_not_depend_on_the_other_rows(server: wire.Server) -> None:
    others = [exports.GOOD | {"seed": n, "prompt": "x" * n, "num_chars": 3 * n} for n in range(5)]
    together = _predict(server, TEXT, signature_name="generate", instances=[*others, exports.GOOD])
    assert together["predictions"][-1] == _generate(server)


@pytest.mark.integration
def test_versions_and_labels_are_different_models(server: wire.Server) -> None:
    old, new = (_generate(server, place, num_chars=200) for place in ("/versions/3", "/versions/7"))
    assert old != new
    assert _generate(server, "/labels/stable", num_chars=200) == old
    assert _generate(server, "/labels/canary", num_chars=200) == new
    assert _generate(server, num_chars=200) == new


@pytest.mark.integration
def test_chunks_join_to_the_same_text_as_one_request(server: wire.Server) -> None:
    expected, text, state, prompt = _generate(server, num_chars=90), "", exports.FRESH, exports.GOOD["prompt"]
    for chunk in (1, 39, 0, 50):
        instance = exports.GOOD | {"prompt": prompt, "state": state, "num_chars": chunk}
        answer = _predict(server, TEXT, signature_name="generate_from_state", instances=[instance])
        (row,) = answer["predictions"]
        text, state, prompt = text + row["text"], row["state"], ""
    assert text == expected


@pytest.mark.integration
def test_a_connection_stays_open_for_further_requests(server: wire.Server) -> None:
    body = encode({"instances": [1.0]})
    with server.connect() as connection:
        for target, status in (
            (f"{CONTRACT}:predict", 200),
            (f"{CONTRACT}:nothing", 400),
            (f"{CONTRACT}:predict", 200),
        ):
            connection.sendall(wire.request(server, "POST", target, body))
            assert wire.read(connection).status == status


@pytest.mark.integration
def test_pipelined_requests_are_answered_in_order(server: wire.Server) -> None:
    with server.connect() as connection, connection.makefile("rb") as stream:
        requests = [
            wire.request(server, "POST", f"{CONTRACT}:predict", encode({"instances": [float(n)]})) for n in range(5)
        ]
        connection.sendall(b"".join(requests))
        for n in range(5):
            assert b"200" in stream.readline()
            length = 0
            while (line := stream.readline()).strip():
                name, _, value = line.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            assert b"%.1f" % (n / 2 + 3) in stream.read(length)


@pytest.mark.integration
def test_http_1_0_is_supported(server: wire.Server) -> None:
    body = encode({"instances": [1.0]})
    head = f"POST {CONTRACT}:predict HTTP/1.0\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    assert server.exchange(head + body).json() == {"predictions": [3.5]}


def _counters(server: wire.Server) -> dict[str, float]:
    """Values of the metrics page by name and labels."""
    page = server.send("GET", limits.METRICS_PATH)
    assert (page.status, page.headers["content-type"].split(";")[0]) == (200, "text/plain")
    lines = [line.rpartition(" ") for line in page.text().splitlines() if line and not line.startswith("#")]
    return {name.removeprefix(":tensorflow:serving:"): float(value) for name, _, value in lines}


@pytest.mark.integration
def test_requests_are_counted_and_timed_by_the_verb_of_their_path(server: wire.Server) -> None:
    """Source: model_servers/http_server.cc ProcessRequest; only a prediction's path has a verb."""
    before = _counters(server)
    for method, target in (
        ("POST", f"{CONTRACT}:predict"),
        ("GET", CONTRACT),
        ("GET", f"{CONTRACT}/versions/1"),
        ("GET", f"{CONTRACT}/metadata"),
        ("GET", f"{CONTRACT}/versions/50"),
    ):
        server.send(method, target, encode({"instances": [1.0]}) if method == "POST" else b"")
    after = _counters(server)
    added = {name: value - before.get(name, 0.0) for name, value in after.items() if value != before.get(name, 0.0)}
    assert {
        name: count for name, count in added.items() if name.startswith(("request_count", "request_latency_c"))
    } == {
        'request_count{model_name="contract",status="OK"}': 4,
        'request_count{model_name="contract",status="NOT_FOUND"}': 1,
        'request_latency_count{model_name="contract",API="predict",entrypoint="REST"}': 1,
        'request_latency_count{model_name="contract",API="",entrypoint="REST"}': 3,
    }
