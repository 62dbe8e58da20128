"""Retries and the meaning of responses, by driving the generators without a network."""

import json
from typing import Any

import pytest

from serving.client.errors import BadAnswer, ModelUnavailable, NotReachable, ServerError, Unsupported
from serving.client.options import GenerateOptions
from serving.client.protocol import Pause, Protocol, Request, Steps
from serving.client.responses import Failure, Response
from serving.client.status import VersionStatus
from serving.client.values import Alternative, Continuation, Score


def drive(steps: Steps[Any], *outcomes: Response | Failure) -> tuple[Any, list[Request | Pause]]:
    """Run the steps with these outcomes of their requests; return their result and everything that they yielded."""
    yielded: list[Request | Pause] = []
    left = list(outcomes)
    outcome: Response | Failure | None = None
    try:
        while True:
            yielded.append(steps.send(outcome))
            outcome = left.pop(0) if isinstance(yielded[-1], Request) else None
    except StopIteration as end:
        assert not left
        return end.value, yielded


def metadata(**state_sizes: int) -> Response:
    """The metadata of version 7, which has these signatures; 0: one without a state."""
    sizes = {name: [{"size": "-1"}, {"size": str(size)}] for name, size in state_sizes.items()}
    signatures = {name: {"inputs": {"state": {"tensor_shape": {"dim": dim}}}} for name, dim in sizes.items()}
    return answer({"model_spec": {"version": "7"}, "metadata": {"signature_def": {"signature_def": signatures}}})


def sent(yielded: list[Request | Pause]) -> list[tuple[str, list[Any]]]:
    """Signature and instances of each prediction."""
    bodies = [json.loads(step.body) for step in yielded if isinstance(step, Request) and step.body]
    return [(body["signature_name"], body["instances"]) for body in bodies]


def answer(body: Any, status: int = 200, **how: Any) -> Response:
    return Response(status, json.dumps(body).encode(), **how)


OPTIONS = GenerateOptions(5, 0.8, 0, 1)
BUSY = answer({"error": "busy"}, 503)
TEXT = answer({"predictions": ["text"]})


def test_back_off_is_exponential_with_jitter() -> None:
    protocol = Protocol("http://x", "m", retries=5)
    runs = [drive(protocol.generate(["A"], OPTIONS), *[BUSY] * 5, TEXT)[1] for _ in range(3)]
    pauses = [[step.seconds for step in run if isinstance(step, Pause)] for run in runs]
    for run in pauses:
        assert all(0.05 * 2**i <= seconds <= 0.1 * 2**i for i, seconds in enumerate(run))
    assert len({tuple(run) for run in pauses}) == 3
    assert all(step == runs[0][0] for run in runs for step in run if isinstance(step, Request))


def test_longest_pause_is_bounded_for_any_number_of_retries() -> None:
    retries = 1_100  # 2.0 ** 1024 overflows
    _, yielded = drive(Protocol("http://x", "m", retries=retries).generate(["A"], OPTIONS), *[BUSY] * retries, TEXT)
    pauses = [step.seconds for step in yielded if isinstance(step, Pause)]
    assert len(pauses) == retries
    assert all(5.0 <= seconds <= 10.0 for seconds in pauses[7:])
    assert len(set(pauses[7:])) > 100  # the longest pause has jitter, too


def test_retry_after_is_honored_up_to_a_limit() -> None:
    protocol = Protocol("http://x", "m", retries=2)
    _, yielded = drive(
        protocol.generate(["A"], OPTIONS),
        answer({}, 503, retry_after=3.0),
        answer({}, 429, retry_after=9_999.0),
        TEXT,
    )
    assert [step.seconds for step in yielded if isinstance(step, Pause)] == [3.0, 10.0]


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [(BUSY, ModelUnavailable), (Failure("connection", "reset"), NotReachable)],
)
def test_last_failure_is_raised_after_all_retries(outcome: Response | Failure, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        drive(Protocol("http://x", "m", retries=2).generate(["A"], OPTIONS), outcome, outcome, outcome)


def test_untrusted_certificate_is_not_retried() -> None:
    with pytest.raises(NotReachable, match="verify="):
        drive(Protocol("http://x", "m", retries=2).status(), Failure("certificate", "self-signed"))


@pytest.mark.parametrize(
    ("protocol", "url"),
    [
        (Protocol("http://x", "a b/c?d:e%"), "http://x/v1/models/a%20b%2Fc%3Fd%3Ae%25"),
        (Protocol("http://x/y", "m", version=0), "http://x/y/v1/models/m/versions/0"),
        (Protocol("http://x", "m", label="ä/:"), "http://x/v1/models/m/labels/%C3%A4%2F%3A"),
    ],
)
def test_names_are_percent_encoded(protocol: Protocol, url: str) -> None:
    assert protocol.model_url() == url


def test_initial_state_has_the_size_in_the_metadata() -> None:
    steps = Protocol("http://x", "m").generate_from_state(["A", ""], None, OPTIONS)
    row = {"text": "t", "state": [1, 2.5, 0.0]}
    result, yielded = drive(steps, metadata(generate_from_state=3), answer({"predictions": [row, row]}))
    assert result == [Continuation("t", (1.0, 2.5, 0.0))] * 2  # type: ignore[arg-type]
    assert [text.seed for text, _ in result] == [1, 2]
    ((_, instances),) = sent(yielded)
    assert [row["state"] for row in instances] == [[0.0] * 3] * 2


def test_model_without_state_is_an_error() -> None:
    with pytest.raises(BadAnswer, match="serving_default"):
        drive(Protocol("http://x", "m").generate_from_state(["A"], None, OPTIONS), metadata(serving_default=0))


STOP = GenerateOptions(5, 0.8, 0, 1, stop="xt")
CONTROLS = GenerateOptions(5, 0.8, 0, 1, top_p=0.5, stop="xt")
NO_SIGNATURE = answer({"error": 'Serving signature name: "sample" not found in signature def'}, 400)
OLD = {"generate": 0, "generate_from_state": 3}
NEW = {**OLD, "sample": 0, "sample_from_state": 4, "alternatives": 0}


def test_controls_are_sent_to_sample_and_the_stop_string_is_left_out() -> None:
    rows = [{"text": "next", "stopped": True}, {"text": "other", "stopped": False}]
    result, yielded = drive(Protocol("http://x", "m").generate(["A", "B"], CONTROLS), answer({"predictions": rows}))
    assert len(yielded) == 1
    assert sent(yielded) == [("sample", CONTROLS.rows(["A", "B"]))]
    assert [(text, text.seed, text.stopped) for text in result] == [("ne", 1, True), ("other", 2, False)]


def test_continuation_includes_the_stop_string() -> None:
    steps = Protocol("http://x", "m").generate_from_state(["A"], None, CONTROLS)
    row = {"text": "next", "state": [1, 2, 3, 4], "stopped": True}
    ((text, state),), yielded = drive(steps, metadata(**NEW), answer({"predictions": [row]}))
    assert (text, text.stopped, state) == ("next", True, (1.0, 2.0, 3.0, 4.0))
    assert sent(yielded) == [("sample_from_state", [{**CONTROLS.rows(["A"])[0], "state": [0.0] * 4}])]


@pytest.mark.parametrize(
    ("work", "outcomes"),
    [
        (lambda protocol: protocol.generate("A", CONTROLS), [NO_SIGNATURE, metadata(**OLD)]),
        (lambda protocol: protocol.generate_from_state(["A"], None, CONTROLS), [metadata(**OLD)]),
        (lambda protocol: protocol.generate_from_state(["A"], [[0.0]], CONTROLS), [NO_SIGNATURE, metadata(**OLD)]),
        (lambda protocol: protocol.generate_from_state(["A"], None, STOP), [metadata(**OLD)]),
        (lambda protocol: protocol.alternatives("A", 2), [NO_SIGNATURE, metadata(**OLD)]),
    ],
)
def test_older_export_is_an_error_that_names_what_it_lacks(work: Any, outcomes: list[Response]) -> None:
    with pytest.raises(
        Unsupported, match="Version 7 of m was exported before .* existed. Run the pipeline.*Received: "
    ):
        drive(work(Protocol("http://x", "m")), *outcomes)


def test_older_export_generates_the_complete_text_and_the_client_finds_the_stop_string() -> None:
    outcomes = NO_SIGNATURE, metadata(**OLD), answer({"predictions": ["next", "other"]})
    result, yielded = drive(Protocol("http://x", "m").generate(["A", "B"], STOP), *outcomes)
    assert [(text, text.seed, text.stopped) for text in result] == [("ne", 1, True), ("other", 2, False)]
    assert sent(yielded) == [("sample", STOP.rows(["A", "B"])), ("generate", OPTIONS.rows(["A", "B"]))]


def test_rejection_by_a_newer_export_is_raised_unchanged() -> None:
    rejection = answer({"error": "assertion failed: [top_p must be above 0 and at most 1] [0]"}, 400)
    with pytest.raises(ServerError, match="400: top_p must be above 0 and at most 1. Received: 0") as caught:
        drive(Protocol("http://x", "m").generate("A", CONTROLS), rejection, metadata(**NEW))
    assert type(caught.value) is ServerError
    with pytest.raises(ModelUnavailable):  # which is no reason to ask for signatures
        drive(Protocol("http://x", "m").generate("A", CONTROLS), answer({"error": "Servable not found"}, 404))


def test_padding_of_alternatives_is_removed() -> None:
    rows = [
        {"characters": [["a", "b"], ["c", ""]], "probabilities": [[0.5, 0.25], [1, 0.0]], "num_chars": 2},
        {"characters": [["é", "\0"], ["", ""]], "probabilities": [[0.75, 0.25], [0.0, 0.0]], "num_chars": 1},
    ]
    expected = [[[("a", 0.5), ("b", 0.25)], [("c", 1.0)]], [[("é", 0.75), ("\0", 0.25)]]]
    result, yielded = drive(Protocol("http://x", "m").alternatives(["xy", "z"], 2), answer({"predictions": rows}))
    assert result == expected
    assert all(type(one) is Alternative for text in result for place in text for one in place)
    assert sent(yielded) == [("alternatives", [{"text": "xy", "top_n": 2}, {"text": "z", "top_n": 2}])]
    assert drive(Protocol("http://x", "m").alternatives("xy", 2), answer({"predictions": rows[:1]}))[0] == expected[0]


@pytest.mark.parametrize(
    "row",
    [None, {}, {"characters": [], "probabilities": []}, {"characters": 1, "probabilities": [], "num_chars": 0}]
    + [{"characters": [[1]], "probabilities": [[1.0]], "num_chars": 1}]
    + [{"characters": ["a"], "probabilities": [1.0], "num_chars": 1}]
    + [{"characters": [3], "probabilities": [[1.0]], "num_chars": 1}]
    + [{"characters": [["a"]], "probabilities": [[]], "num_chars": 1}]
    + [{"characters": [["a"]], "probabilities": [["1"]], "num_chars": 1.0}],
)
def test_malformed_alternatives_are_an_error(row: Any) -> None:
    with pytest.raises(BadAnswer, match="Received: "):
        drive(Protocol("http://x", "m").alternatives(["a"], 1), answer({"predictions": [row]}))


@pytest.mark.parametrize("top_n", [0, -1, 1.5, "3", 2**31])
def test_impossible_number_of_alternatives_is_named(top_n: Any) -> None:
    with pytest.raises(ValueError, match="top_n.*Received: top_n="):
        drive(Protocol("http://x", "m").alternatives("a", top_n))


def test_padding_of_scores_is_removed() -> None:
    body = {
        "predictions": [
            {"num_chars": 2, "nll": [1, 0.5, 0.0], "nll_sum": 1.5},
            {"nll_sum": 0, "num_chars": 0, "nll": [0.0, 0.0, 0.0]},
        ]
    }
    result, yielded = drive(Protocol("http://x", "m").score(["abc", ""]), answer(body))
    assert result == [Score((1.0, 0.5), 1.5, 2), Score((), 0.0, 0)]
    assert json.loads(yielded[0].body)["instances"] == [{"text": "abc"}, {"text": ""}]


@pytest.mark.parametrize(
    "row",
    [None, "x", {}, {"nll": 1, "nll_sum": 1, "num_chars": 1}, {"nll": [1], "nll_sum": "1", "num_chars": 1}]
    + [{"nll": [True], "nll_sum": 1, "num_chars": 1}, {"nll": [1], "nll_sum": 1, "num_chars": 1.0}],
)
def test_malformed_score_is_an_error(row: Any) -> None:
    with pytest.raises(BadAnswer, match="Received: "):
        drive(Protocol("http://x", "m").score(["ab"]), answer({"predictions": [row]}))


def test_infinite_version_is_an_error() -> None:
    infinite = Response(200, b'{"model_version_status": [{"version": Infinity, "state": "END"}]}')
    with pytest.raises(BadAnswer, match="Infinity"):
        drive(Protocol("http://x", "m").status(), infinite)


def test_status_is_parsed() -> None:
    full = {"version": "12", "state": "END", "status": {"error_code": "UNKNOWN", "error_message": "broken"}}
    result, yielded = drive(
        Protocol("http://x", "m").status(),
        answer({"model_version_status": [full, {"version": "3", "state": "AVAILABLE"}]}),
    )
    assert result == [VersionStatus(12, "END", "UNKNOWN", "broken"), VersionStatus(3, "AVAILABLE", "OK", "")]
    assert yielded == [Request("GET", "http://x/v1/models/m")]


@pytest.mark.parametrize("body", [{}, {"model_version_status": [{}]}, {"model_version_status": 3}])
def test_malformed_status_is_an_error(body: Any) -> None:
    with pytest.raises(BadAnswer):
        drive(Protocol("http://x", "m").status(), answer(body))


def test_one_state_per_prompt() -> None:
    with pytest.raises(ValueError, match="2 prompts"):
        drive(Protocol("http://x", "m").generate_from_state(["A", "B"], [[0.0]], OPTIONS))
