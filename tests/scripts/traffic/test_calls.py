"""Each kind of request reports a response that is not the promised one."""

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from scripts.traffic import calls, wire
from scripts.traffic.calls import Calls
from scripts.traffic.signatures import Input
from serving.client import Client

KNOWN = {"serving_default": {"prompt": Input("DT_STRING", None)}, "score": {"text": Input("DT_STRING", None)}}
SERVED = {1: 0, 2: 1}


class Server:
    """Answers as two exports do; `wrong` replaces the text of an answer, `status` its status."""

    wrong, status = "", 200

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path.endswith("/metadata"):
            inputs = {"prompt": {"dtype": "DT_STRING", "tensor_shape": {"dim": [{"size": "-1"}]}}}
            described = {"signature_def": {name: {"inputs": inputs} for name in KNOWN}}
            spec = {"version": self.wrong or path.split("/")[-2]}
            return httpx.Response(self.status, json={"model_spec": spec, "metadata": {"signature_def": described}})
        if "prometheus" in path:
            return httpx.Response(self.status, text=f':tensorflow:serving:request_count{{status="{self.wrong}"}} 1')
        if request.method == "GET":
            one = {"version": "2", "state": self.wrong or "AVAILABLE", "status": {}}
            return httpx.Response(self.status, json={"model_version_status": [one]})
        version = path.split("/versions/")[1].split(":")[0] if "/versions/" in path else "2"
        rows = json.loads(request.content)["instances"]
        return httpx.Response(self.status, json={"predictions": [self.wrong or f"text {version}"] * len(rows)})


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def asked(server: Server) -> Iterator[Calls]:
    made = Calls("http://127.0.0.1:1", 0, KNOWN)
    made._http = httpx.Client(base_url="http://test", transport=httpx.MockTransport(server))
    made._client = Client("http://test", retries=0, transport=httpx.MockTransport(server))
    for version in SERVED:
        made.record(version)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        ("score", "another text"),
        ("serving_default", "longer than before"),
        (calls.STATUS, "LOADING"),
        (calls.METADATA, "7"),
        (calls.METRICS, "INTERNAL"),
    ],
)
def test_promised_responses_pass_and_others_are_reported(server: Server, asked: Calls, kind: str, wrong: str) -> None:
    send, draw = asked.kinds()[kind], random.Random(0)
    assert [send(draw, SERVED) for _ in range(20)] == [""] * 20
    server.wrong = wrong
    assert all(send(draw, SERVED) for _ in range(20))


def test_status_other_than_200_is_reported(server: Server, asked: Calls) -> None:
    server.status = 503
    for kind in ("score", "serving_default", calls.METADATA, calls.METRICS):
        assert "503" in asked.kinds()[kind](random.Random(0), SERVED)


def test_answer_of_another_version_is_reported(server: Server, asked: Calls) -> None:
    server.wrong = "text 1"  # as if version 2 answered with the other export
    faults = [asked.kinds()["score"](random.Random(seed), SERVED) for seed in range(50)]
    assert all("/versions/2" in fault for fault in faults if fault)
    assert any(faults)


@pytest.mark.parametrize(("status", "body", "fault"), [
    (400, b'{"error": "no"}', False),
    (200, b'{"predictions": []}', True),
    (400, b'{"other": "no"}', True),
    (None, b"", True),
])  # fmt: skip
def test_malformed_requests_must_be_refused_with_an_error(
    asked: Calls, monkeypatch: pytest.MonkeyPatch, status: int | None, body: bytes, fault: bool
) -> None:
    class Connection:
        socket = type("Socket", (), {"sendall": lambda self, data: None})()

        def __init__(self, port: int) -> None: ...
        def __enter__(self) -> "Connection":
            return self

        def __exit__(self, *_: object) -> None: ...
        def read(self, method: str) -> wire.Response | None:
            return wire.Response(status, "application/json", body, closes=False) if status else None

    monkeypatch.setattr(calls.wire, "Connection", Connection)
    monkeypatch.setattr(calls, "_MALFORMED", [one for one in calls._MALFORMED if one[-1] == 400])
    assert bool(asked.kinds()[calls.MALFORMED](random.Random(0), SERVED)) == fault


AGREE: list[tuple[Any, Any, bool]] = [
    ({"a": [1, "b", 0.1]}, {"a": [1, "b", 0.100001]}, True),
    ([0.1], [0.11], False),
    ([1], [1.0], False),
    (["a"], ["a", "a"], False),
    ({"a": 1}, {"b": 1}, False),
    ("a", "b", False),
    ([], {}, False),
]


@pytest.mark.parametrize(("got", "expected", "same"), AGREE)
def test_answers_agree_up_to_rounding(got: Any, expected: Any, same: bool) -> None:
    agrees: Callable[[Any, Any], bool] = calls.agrees
    assert agrees(got, expected) == same
