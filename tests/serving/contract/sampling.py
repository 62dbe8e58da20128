"""The sampling controls and the alternatives of this project's export, as a client calls them."""

from typing import Any

from tests.serving.contract.case import TEXT, Answer, Case, error, ok, ok_that, predict
from tests.serving.contract.exports import FRESH, GOOD
from tests.serving.contract.limits import MAX_SCORE_CHARS

_SIGNATURES = "serving/graph/signatures.py (this repository)"
_CHECKS = "serving/graph/checks.py (this repository)"
_BOUND = "serving/graph/network.py Network.encode (this repository)"
_ROWS = "util/json_tensor.cc FillTensorMapFromInstancesList"
ROW = GOOD | {"top_p": 0.9, "repetition_penalty": 1.2, "stop": ""}
WIDE = [*FRESH, *[0.0] * 64]
TOP_P, PENALTY = "top_p must be above 0 and at most 1", "repetition_penalty must be above 0 and at most 10"


def _predict(id: str, signature: str, body: Any, answer: Answer, source: str = _SIGNATURES) -> Case:
    return predict(id, source, body, answer, signature=signature, target=f"{TEXT}:predict")


def _sample(id: str, answer: Answer, source: str = _SIGNATURES, **changes: Any) -> Case:
    return _predict(f"sample-{id}", "sample", {"instances": [ROW | changes]}, answer, source)


def _alternatives(id: str, text: Any, top_n: Any, answer: Answer, source: str = _SIGNATURES) -> Case:
    return _predict(
        f"alternatives-{id}", "alternatives", {"instances": [{"text": text, "top_n": top_n}]}, answer, source
    )


def _is_text(value: Any, length: int) -> bool:
    (row,) = value["predictions"]
    return set(row) == {"text", "stopped"} and len(row["text"]) == length and row["stopped"] is False


def _is_ranked(value: Any, time: int, top_n: int) -> bool:
    (row,) = value["predictions"]
    return (
        row["num_chars"] == time == len(row["characters"]) == len(row["probabilities"])
        and all(len(set(characters)) == top_n for characters in row["characters"])
        and all(values == sorted(values, reverse=True) for values in row["probabilities"])
    )


_TEXT = ok_that("a text of 12 characters", lambda v: _is_text(v, 12))
CASES = [
    _sample("good", _TEXT),
    _sample("all-off", _TEXT, top_p=1, repetition_penalty=1),
    _sample("no-characters", ok_that("an empty text", lambda v: _is_text(v, 0)), num_chars=0),
    _sample("unknown-stop", _TEXT, stop="\U0010ffff"),
    _sample("longest-stop", _TEXT, stop="é" * 64),
    _sample("smallest-top-p", _TEXT, top_p=1e-30),
    _sample("smallest-penalty", _TEXT, repetition_penalty=1e-30),
    _sample("largest-penalty", _TEXT, repetition_penalty=10.0),
    _sample("stop-too-long", error(400, "stop must have at most 64 characters"), _CHECKS, stop="é" * 65),
    _sample("top-p-zero", error(400, TOP_P), _CHECKS, top_p=0.0),
    _sample("top-p-above-one", error(400, TOP_P), _CHECKS, top_p=1.5),
    _sample("top-p-nan", error(400, TOP_P), _CHECKS, top_p=float("nan")),
    _sample("penalty-zero", error(400, PENALTY), _CHECKS, repetition_penalty=0),
    _sample("penalty-too-large", error(400, PENALTY), _CHECKS, repetition_penalty=10.5),
    _sample("penalty-infinite", error(400, PENALTY), _CHECKS, repetition_penalty=float("inf")),
    _sample("negative-top-k", error(400, "top_k must be 0"), _CHECKS, top_k=-1),
    _predict("sample-no-rows", "sample", {"inputs": {key: [] for key in ROW}},
             ok({"outputs": {"text": [], "stopped": []}})),
    _predict("sample-without-stop", "sample", {"instances": [GOOD]}, error(400, "Failed to process element: 0"), _ROWS),
    _predict("sample-state", "sample_from_state", {"instances": [ROW | {"state": WIDE}]},
             ok_that("a text and a state", lambda v: len(v["predictions"][0]["state"]) == len(WIDE))),
    _predict("sample-state-of-generate", "sample_from_state", {"instances": [ROW | {"state": FRESH}]}, error(400)),
    _predict("sample-state-nan", "sample_from_state", {"instances": [ROW | {"state": [float("nan"), *WIDE[1:]]}]},
             error(400, "state must be one that this signature returned"), _CHECKS),
    _alternatives("good", "the é\U0010ffff", 5, ok_that("five for each", lambda v: _is_ranked(v, 6, 5))),
    _alternatives("empty", "", 1, ok_that("none", lambda v: _is_ranked(v, 0, 1))),
    _alternatives("longest", "a" * (MAX_SCORE_CHARS // 2), 2,
                  ok_that("two for each", lambda v: _is_ranked(v, MAX_SCORE_CHARS // 2, 2))),
    _alternatives("too-long", "a" * (MAX_SCORE_CHARS // 2 + 1), 2,
                  error(400, f"alternatives takes at most {MAX_SCORE_CHARS} characters"), _BOUND),
    _alternatives("none", "a", 0, error(400, "top_n must be from 1 to "), _CHECKS),
    _alternatives("too-many", "a", 10_000, error(400, "top_n must be from 1 to "), _CHECKS),
]  # fmt: skip
