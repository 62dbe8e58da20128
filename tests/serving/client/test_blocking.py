"""The blocking client against a scripted server, and against a real model in the embedded server."""

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from serving.client.blocking import Client
from serving.client.errors import BadAnswer, ClientError, ModelUnavailable, NotReachable, ServerError, TimedOut
from tests import numeric
from tests.gru import Gru, assert_same_text
from tests.serving.client.examples import run_example

ROOT = Path(__file__).resolve().parents[3]


Connect = Callable[..., Client]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Make clients that are closed after the test."""
    with contextlib.ExitStack() as stack:
        yield lambda *arguments, **how: stack.enter_context(Client(*arguments, **how))


@pytest.fixture(scope="module")
def client(served: Any) -> Iterator[Client]:
    with Client(served.url, served.model) as client:
        yield client


@pytest.mark.integration
def test_request_has_the_instances_of_the_generate_signature(script: Any, connect: Connect) -> None:
    script.then(200, {"predictions": ["one", "two"]})
    texts = connect(script.url, "my model", label="a/b").generate(
        ["A", "é"], num_chars=3, temperature=0.5, top_k=2, seed=7
    )
    assert texts == ["one", "two"]
    assert [text.seed for text in texts] == [7, 8]
    rows = [
        {"prompt": prompt, "num_chars": 3, "temperature": 0.5, "top_k": 2, "seed": seed}
        for prompt, seed in (("A", 7), ("é", 8))
    ]
    path = "/v1/models/my%20model/labels/a%2Fb:predict"
    assert script.asked == [("POST", path, {"signature_name": "generate", "instances": rows})]


@pytest.mark.integration
def test_path_of_a_proxy_is_kept(script: Any) -> None:
    script.then(200, {"predictions": ["x"]})
    Client(f"{script.url}/inner/", "m", version=4).generate("A")
    assert script.asked[0][1] == "/inner/v1/models/m/versions/4:predict"


@pytest.mark.integration
def test_retry_sends_the_same_seed(script: Any, connect: Connect) -> None:
    script.then(503, {"error": "loading"}).then_reset().then(502, b"<html><body>Bad Gateway</body></html>")
    script.then(200, {"predictions": ["text"]})
    text = connect(script.url).generate("A")
    assert text == "text"
    assert len(script.asked) == 4
    assert all(asked == script.asked[0] for asked in script.asked)
    assert script.asked[0][2]["instances"][0]["seed"] == text.seed


@pytest.mark.integration
@pytest.mark.parametrize(
    ("reply", "kind", "message"),
    [
        ((503, {"error": "No room"}), ModelUnavailable, "No room"),
        ((404, {"error": "Servable not found for request: Latest(m)"}), ModelUnavailable, "Latest(m)"),
        ((400, {"error": "Unrecognized servable version label: x"}), ModelUnavailable, "label: x"),
        ((400, {"error": "temperature must be from 0"}), ServerError, "temperature must be"),
        ((404, b"<html><head><title>no</title></head><body><h1>Not &amp; here</h1></body>"), ServerError, "Not & here"),
        ((500, b""), ServerError, "Internal Server Error"),
        ((302, b""), ServerError, "Found"),
        ((200, b"<html>Please log in</html>"), BadAnswer, "Please log in"),
        ((200, b"\xff\xfe"), BadAnswer, "not a JSON object"),
        ((200, b"[" * 100_000), BadAnswer, "not a JSON object"),
        ((200, [1]), BadAnswer, "not a JSON object"),
        ((200, {"outputs": ["x"]}), BadAnswer, "1 predictions"),
        ((200, {"predictions": ["x", "y"]}), BadAnswer, "1 predictions"),
        ((200, {"predictions": [3]}), BadAnswer, "text was expected"),
    ],
)
def test_error_has_the_message_of_the_server(
    script: Any, reply: tuple[Any, ...], kind: type[ClientError], message: str, connect: Connect
) -> None:
    script.then(*reply)
    with pytest.raises(kind, match=r".*") as caught:
        connect(script.url, "m", retries=0).generate("A")
    assert type(caught.value) is kind
    assert message in str(caught.value)
    if isinstance(caught.value, ServerError):
        assert caught.value.status == reply[0]
        assert message in caught.value.message
    assert len(script.asked) == 1


@pytest.mark.integration
def test_undecodable_response_is_an_error(script: Any, connect: Connect) -> None:
    script.then(200, b"garbled", headers={"Content-Encoding": "gzip"})
    with pytest.raises(BadAnswer, match="cannot be decoded"):
        connect(script.url).generate("A")
    assert len(script.asked) == 1


@pytest.mark.integration
def test_rejected_request_is_not_retried(script: Any, connect: Connect) -> None:
    script.then(400, {"error": "no"})
    with pytest.raises(ServerError):
        connect(script.url, retries=5).generate("A")
    assert len(script.asked) == 1


@pytest.mark.integration
def test_timeout_is_not_retried(script: Any, connect: Connect) -> None:
    script.then(200, {"predictions": ["late"]}, delay=1.0)
    began = time.monotonic()
    with pytest.raises(TimedOut):
        connect(script.url, timeout=0.2, retries=3).generate("A")
    assert time.monotonic() - began < 0.9
    assert len(script.asked) == 1


def test_no_server_is_not_reachable(connect: Connect) -> None:
    with pytest.raises(NotReachable, match="Tried 2 times"):
        connect("http://127.0.0.1:1", retries=1).status()


@pytest.mark.integration
def test_nan_and_infinity_are_read(script: Any, connect: Connect) -> None:
    script.then(200, b'{"predictions": [{"nll": [1.5, NaN, 0.0], "nll_sum": Infinity, "num_chars": 2}]}')
    score = connect(script.url).score("abc")
    assert score.nll[0] == 1.5
    assert math.isnan(score.nll[1])
    assert (len(score.nll), score.nll_sum, score.perplexity) == (2, math.inf, math.inf)


@pytest.mark.integration
def test_stream_resumes_without_a_gap_after_an_error(script: Any, connect: Connect) -> None:
    script.then_metadata(8, 2).then_chunk("a" * 16, [1.0, 2.0])
    script.then(503, {"error": "busy"}).then_chunk("b" * 64, [3.0, 4.0])
    script.then(500, {"error": "broken"}).then_chunk("c" * 12, [5.0, 6.0])
    stream = connect(script.url).stream("A", num_chars=92, seed=1)
    assert [next(stream), next(stream)] == ["a" * 16, "b" * 64]
    with pytest.raises(ServerError, match="broken"):
        next(stream)
    assert list(stream) == ["c" * 12]
    assert stream.text == "a" * 16 + "b" * 64 + "c" * 12
    posts = [body["instances"][0] for method, _, body in script.asked if method == "POST"]
    assert [row["state"] for row in posts] == [[0.0, 0.0], [1.0, 2.0], [1.0, 2.0], [3.0, 4.0], [3.0, 4.0]]
    assert [row["prompt"] for row in posts] == ["A", "", "", "", ""]
    assert {row["seed"] for row in posts} == {1}
    assert {path for method, path, _ in script.asked if method == "POST"} == {"/v1/models/char_rnn/versions/8:predict"}


@pytest.mark.integration
def test_stream_joins_to_the_text_of_one_request(client: Client) -> None:
    full = client.generate("ROMEO:", num_chars=700, temperature=0.9, top_k=5, seed=11)
    stream = client.stream("ROMEO:", num_chars=700, temperature=0.9, top_k=5, seed=11)
    chunks = list(stream)
    assert "".join(chunks) == full == stream.text
    assert [len(chunk) for chunk in chunks] == [16, 64, 256, 364]
    assert list(client.stream("ROMEO:", num_chars=3, seed=11, chunk_chars=1)) == list(
        client.generate("ROMEO:", num_chars=3, seed=11)
    )
    assert list(client.stream("ROMEO:", num_chars=0)) == []


@pytest.mark.integration
def test_chunks_follow_the_limit_that_the_served_graph_states(client: Client) -> None:
    stream = client.stream("ROMEO:", num_chars=1_400, seed=11, chunk_chars=2_000)
    assert [len(chunk) for chunk in stream] == [16, 64, 256, 1_000, 64]
    assert stream.text == "".join(client.stream("ROMEO:", num_chars=1_400, seed=11))


@pytest.mark.integration
def test_text_ends_before_the_stop_string(client: Client) -> None:
    how: Any = {"num_chars": 60, "top_p": 0.9, "repetition_penalty": 1.3}
    full, other = client.generate(["ROMEO:", "the"], seed=[7, 8], **how)
    stop = full[20:23]
    texts = client.generate(["ROMEO:", "the"], seed=[7, 8], stop=stop, **how)
    assert texts == [text.partition(stop)[0] for text in (full, other)]
    assert [text.stopped for text in texts] == [stop in text for text in (full, other)]
    full = client.generate("ROMEO:", seed=7, **how)
    stream = client.stream("ROMEO:", seed=7, stop=stop, chunk_chars=7, **how)
    assert "".join(stream) == stream.text == full.partition(stop)[0]
    assert stream.stopped == (stop in full)


@pytest.mark.integration
def test_steps_with_explicit_state_end_with_the_stop_string(client: Client) -> None:
    how: Any = {"num_chars": 2, "top_p": 0.9, "seed": 3}
    full = client.generate("é:", **{**how, "num_chars": 12})
    stop = full[5:8]
    (row,) = client.generate_from_state(["é:"], stop=stop, **how)
    steps = [row.text]
    while not row.text.stopped:
        (row,) = client.generate_from_state([""], [row.state], stop=stop, **how)
        steps.append(row.text)
    assert "".join(steps) == full[: full.index(stop) + 3]


@pytest.mark.integration
def test_alternatives_begin_with_what_a_greedy_continuation_generates(client: Client, tiny: Any) -> None:
    text = "é the"
    places = client.alternatives(text, top_n=3)
    greedy = client.generate([text[:end] for end in range(len(text))], num_chars=1, temperature=0)
    assert [place[0].character for place in places] == greedy
    every, none = client.alternatives([text, ""], top_n=len(tiny[1]))
    assert none == []
    for place, short in zip(every, places, strict=True):
        assert [one.character for one in place[:3]] == [one.character for one in short]
        assert {one.character for one in place} == set(tiny[1])
        chances = [one.probability for one in place]
        assert chances == sorted(chances, reverse=True)
        assert sum(chances) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.integration
def test_steps_with_explicit_state_join_to_one_text(client: Client) -> None:
    full = client.generate("é:", num_chars=12, seed=3)
    (row,) = client.generate_from_state(["é:"], seed=3)
    steps = [row.text]
    while len(steps) < 12:
        (row,) = client.generate_from_state([""], [row.state], seed=3)
        steps.append(row.text)
    assert all(len(step) == 1 for step in steps)
    assert "".join(steps) == full


@pytest.mark.numeric
@pytest.mark.integration
def test_batch_of_prompts_generates_what_each_generates_alone(client: Client, tiny: Any) -> None:
    prompts = ["ROMEO:", "", "語", "the\n", "ROMEO:"]
    texts = client.generate(prompts, num_chars=50, seed=100)
    for seed, (prompt, text) in enumerate(zip(prompts, texts, strict=True), 100):
        assert len(text) == 50
        assert_same_text(text, client.generate(prompt, num_chars=50, seed=seed), *tiny, prompt, 0.8, 0, seed)
    assert texts[0] != texts[4]  # the seed is another one


@pytest.mark.numeric
@pytest.mark.integration
def test_temperature_and_top_k_limit_the_characters(client: Client, tiny: Any) -> None:
    greedy = client.generate("ROMEO:", num_chars=60, temperature=0)
    for text in client.generate(["ROMEO:"] * 2, num_chars=60, top_k=1, temperature=5):
        assert_same_text(text, greedy, *tiny, "ROMEO:", 0.0, 1, 0)
    cold = client.generate(["ROMEO:"] * 8, num_chars=1, temperature=0.1, seed=0)
    hot = client.generate(["ROMEO:"] * 8, num_chars=1, temperature=50, seed=0)
    assert len(set(cold)) < len(set(hot))
    first = [text[0] for text in client.generate(["ROMEO:"] * 64, num_chars=1, top_k=3, temperature=50, seed=0)]
    assert len(set(first)) == 3
    assert greedy[0] in first


@pytest.mark.integration
def test_random_seed_reproduces_the_text(client: Client) -> None:
    text, other = client.generate("A"), client.generate("A")
    assert text.seed != other.seed
    assert client.generate("A", seed=text.seed) == text
    stream = client.stream("A")
    assert "".join(stream) == client.generate("A", seed=stream.seed)


@pytest.mark.numeric
@pytest.mark.integration
def test_scores_equal_the_reference_model(client: Client, tiny: Any) -> None:
    alone, pair = client.score("ROMEO: the\n"), client.score(["ROMEO: the\n", "R"])
    for one in (alone, pair[0]):
        numeric.close(one.nll, Gru(*tiny).nll("ROMEO: the\n"))
        numeric.close(one.nll_sum, Gru(*tiny).nll_sum("ROMEO: the\n"))
    assert (alone.num_chars, len(alone.nll), pair[1].num_chars, pair[1].nll) == (10, 10, 0, ())
    assert alone.perplexity == pytest.approx(math.exp(alone.nll_sum / 10))
    assert alone.bits_per_character == pytest.approx(math.log2(alone.perplexity))
    assert math.isnan(pair[1].perplexity)


@pytest.mark.integration
def test_status_and_metadata(client: Client) -> None:
    assert [(status.version, status.state) for status in client.status()] == [(3, "AVAILABLE")]
    metadata = client.metadata()
    assert metadata.version == 3
    assert {"serving_default", "generate", "generate_from_state", "score"} <= set(metadata.signatures)
    (row,) = client.generate_from_state([""], seed=1)
    assert len(row.state) == metadata.state_size


@pytest.mark.integration
def test_empty_lists_return_empty_lists(client: Client) -> None:
    assert client.generate([]) == []
    assert client.score([]) == []
    assert client.alternatives([]) == []


@pytest.mark.integration
def test_limits_of_the_model_are_reported_by_the_server(client: Client) -> None:
    with pytest.raises(ServerError, match="num_chars must be from 0 to 1000"):
        client.generate("A", num_chars=1_001)
    with pytest.raises(ServerError, match="temperature must be from 0 to 100"):
        client.generate("A", temperature=101)
    with pytest.raises(ServerError, match="temperature must be from 0 to 100. Received: 101. Received from: http"):
        client.generate("A", temperature=101, top_p=0.5)
    with pytest.raises(ServerError, match="top_n must be from 1 to 21"):
        client.alternatives("A", 22)


@pytest.mark.integration
def test_version_or_label_that_is_not_served(served: Any, connect: Connect) -> None:
    with pytest.raises(ModelUnavailable, match="Servable not found"):
        connect(served.url, served.model, version=99).generate("A")
    with pytest.raises(ModelUnavailable, match="missing"):
        connect(served.url, served.model, label="missing").generate("A")
    with pytest.raises(ModelUnavailable):
        connect(served.url, "another").status()


@pytest.mark.integration
def test_example_of_the_client(served: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run_example(Client, served.url, served.model)
    assert len(capsys.readouterr().out) == 5_000


@pytest.mark.integration
def test_example_of_alternatives(client: Client, served: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run_example(Client.alternatives, served.url, served.model, client=client)
    lines = capsys.readouterr().out.splitlines()
    assert [line[:4].rstrip() for line in lines] == ["'T'", "'o'", "' '", "'b'", "'e'"]
    assert all(line.count("%") == 3 for line in lines)
