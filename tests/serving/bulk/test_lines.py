"""A line of the input becomes a row or an error, never an exception; each is one line of JSON in the output."""

import json
import math
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies

from serving.bulk import lines
from serving.bulk.lines import BadLine, Row, Task
from serving.client.options import GenerateOptions
from serving.client.values import Score

GENERATE = Task(GenerateOptions(num_chars=30, temperature=0.5, stop="x", seed=7))
SCORE = Task()


def line(**values: Any) -> bytes:
    return json.dumps(values).encode()


def test_line_states_its_options_and_inherits_the_others() -> None:
    row = lines.parse(3, line(prompt="A", top_k=4, temperature=1, stop=None, id="a"), GENERATE)
    assert row == Row(3, "A", GenerateOptions(num_chars=30, temperature=1, top_k=4, stop="x", seed=9), "a")
    assert lines.parse(3, line(prompt="", seed=-1), GENERATE).options == GenerateOptions(30, 0.5, seed=-1, stop="x")
    assert lines.parse(1, b'\xef\xbb\xbf{"text": "\xc3\xa9"}\r\n', SCORE) == Row(1, "é", None, None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "The line is not JSON: Expecting value: line 1 column 1 (char 0). Received: "),
        (b"\xff", "The line is not UTF-8: invalid start byte. Received: b'\\xff'"),
        (b"[" * 100_000, "The line is not JSON: maximum recursion depth exceeded"),
        (b'"ROMEO:"', "The line must be a JSON object. Received: ROMEO:"),
        (line(text="A"), "A line may have the keys id, prompt, num_chars, temperature, top_k, seed, top_p"),
        (line(top_k=1), "A line must have the key \"prompt\". Received: {'top_k': 1}"),
        (line(prompt=None), "prompt must be a string. Received: None"),
        (line(prompt="\ud800"), "A prompt contains half a character"),
        (line(prompt="A", num_chars=-1), "num_chars must be from 0 to 2147483647. Received: num_chars=-1"),
        (line(prompt="A", num_chars=1.5), "num_chars must be an integer. Received: num_chars=1.5"),
        (b'{"prompt": "A", "temperature": NaN}', "temperature must be a finite number from 0"),
        (line(prompt="A", top_p="0.5"), "top_p must be a number. Received: top_p='0.5'"),
        (line(prompt="A", seed=[1]), "seed must be an integer. Received: seed=[1]"),
        (line(prompt="A", seed=2**63), "seed must be a signed 64-bit integer"),
        (line(prompt="A", id=[1]), "id must be a string or an integer. Received: [1]"),
        (line(prompt="A", id=True), "id must be a string or an integer. Received: True"),
    ],
)
def test_bad_lines_state_what_is_wrong(content: bytes, message: str) -> None:
    with pytest.raises(BadLine) as caught:
        lines.parse(1, content, GENERATE)
    assert str(caught.value).startswith(message)
    assert len(str(caught.value)) < 500


def test_error_of_a_line_keeps_its_id() -> None:
    with pytest.raises(BadLine) as caught:
        lines.parse(1, line(text="A", num_chars=5, id=8), SCORE)
    assert str(caught.value) == "A line may have the keys id, text. Received: num_chars"
    assert json.loads(lines.error(1, "bad", caught.value.id)) == {"line": 1, "error": "bad", "id": 8}


def test_lines_of_the_output() -> None:
    row = Row(5, "é", GenerateOptions(seed=7), "a")
    assert lines.generated(row, "\u2028b", True) == (
        '{"line": 5, "id": "a", "prompt": "é", "seed": 7, "text": "\u2028b", "stopped": true}\n'.encode()
    )
    scored = json.loads(lines.scored(Row(1, "ab", None, None), Score((), 2.0, 1)))
    assert scored.pop("bits_per_character") == pytest.approx(2 / math.log(2))
    assert scored == {"line": 1, "predicted": 1, "nats": 2.0, "nats_per_character": 2.0, "perplexity": math.exp(2)}
    nothing = json.loads(lines.scored(Row(1, "a", None, None), Score((), 0.0, 0)))
    assert (nothing["perplexity"], nothing["nats"], nothing["predicted"]) == (None, 0.0, 0)


KEYS = strategies.sampled_from(["prompt", "id", "seed", "num_chars", "temperature", "top_k", "top_p", "stop", "other"])
VALUES = strategies.none() | strategies.integers() | strategies.floats() | strategies.text() | strategies.just([1])
OBJECTS = strategies.dictionaries(KEYS, VALUES).map(lambda values: line(**values))


@hypothesis.given(strategies.binary() | strategies.text().map(str.encode) | OBJECTS)
def test_any_line_is_a_row_or_an_error(content: bytes) -> None:
    try:
        answer = lines.generated(lines.parse(2, content, GENERATE), "text", False)
    except BadLine as bad:
        answer = lines.error(2, str(bad), bad.id)
    assert answer.count(b"\n") == 1
    assert answer.endswith(b"\n")
    assert json.loads(answer)["line"] == 2
