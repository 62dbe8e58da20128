"""The signatures of this project's export, as a client calls them."""

from typing import Any

from tests.serving.contract.case import TEXT, Answer, Case, error, error_bytes, error_in_order, ok, ok_that, predict
from tests.serving.contract.limits import DEFAULT_CHARS, MAX_CHARS, MAX_SCORE_CHARS, STATE_SIZE

_SIGNATURES = "serving/graph/signatures.py (this repository)"
_CHECKS = "serving/graph/one_step.py OneStep._checks (this repository)"
_BOUND = "serving/graph/network.py Network.encode (this repository)"
_ROWS = "util/json_tensor.cc FillTensorMapFromInstancesList"
_ADD = "util/json_tensor.cc AddValueToTensor"
_EXAMPLE = "tensorflow core/util/example_proto_fast_parsing.cc"
GOOD = {"prompt": "The ", "num_chars": 12, "temperature": 0.8, "top_k": 0, "seed": 7}
FRESH = [0.0] * STATE_SIZE
CONTROLS = {key: [value] for key, value in GOOD.items()}


def _predict(id: str, signature: str, body: Any, *answers: Answer, source: str = _SIGNATURES, place: str = "") -> Case:
    return predict(id, source, body, *answers, signature=signature, target=f"{TEXT}{place}:predict")


def _generate(id: str, answer: Answer, source: str = _SIGNATURES, **changes: Any) -> Case:
    return _predict(f"generate-{id}", "generate", {"instances": [GOOD | changes]}, answer, source=source)


def _texts(*lengths: int) -> Answer:
    """Texts with these numbers of characters."""
    return ok_that(
        f"texts of {lengths} characters",
        lambda v: list(v) == ["predictions"] and [len(text) for text in v["predictions"]] == list(lengths),
    )


def _without(key: str) -> dict[str, Any]:
    return {k: v for k, v in GOOD.items() if k != key}


def _is_score(value: Any, chars: int) -> bool:
    (row,) = value["predictions"]
    return (
        set(row) == {"nll", "nll_sum", "num_chars"}
        and row["num_chars"] == chars
        and abs(sum(row["nll"]) - row["nll_sum"]) < 1e-3 * (1 + chars)
        and all(nats >= 0 for nats in row["nll"])
        and row["nll"][chars:] == [0.0] * (len(row["nll"]) - chars)
    )


def _score(id: str, text: str, chars: int) -> Case:
    answer = ok_that(f"the score of {chars} characters", lambda v: _is_score(v, chars))
    return _predict(f"score-{id}", "score", {"instances": [text]}, answer)


NUM_CHARS, TEMPERATURE, TOP_K = (
    f"num_chars must be from 0 to {MAX_CHARS}",
    "temperature must be from 0 to 100",
    "top_k must be 0",
)
TOO_LONG = f"score takes at most {MAX_SCORE_CHARS} characters: number of texts times length of the longest"
STATE = "state must be one that this signature returned, or zeros"
NO_INT32 = error(400, "key: num_chars", "is not of expected type: int32")
DEFAULT = [
    _predict("default-plain", "", {"instances": ["The ", ""]}, _texts(DEFAULT_CHARS, DEFAULT_CHARS)),
    _predict("default-named", "serving_default", {"instances": [{"prompt": "The "}]}, _texts(DEFAULT_CHARS)),
    _predict("default-columns", "", {"inputs": {"prompt": ["The "]}},
             ok_that("one text", lambda v: [len(text) for text in v["outputs"]] == [DEFAULT_CHARS])),
    _predict("default-version", "", {"instances": ["The "]}, _texts(DEFAULT_CHARS), place="/versions/3"),
    _predict("default-label", "", {"instances": ["The "]}, _texts(DEFAULT_CHARS), place="/labels/canary"),
    _predict("default-number", "", {"instances": [1]}, error(400, "is not of expected type: string"), source=_ADD),
    _predict("default-no-rows", "", {"inputs": {"prompt": []}}, ok({"outputs": []})),
    _predict("default-wrong-name", "", {"instances": [{"text": "The "}]},
             error(400, "does not have named input: text"), source=_ROWS),
]  # fmt: skip
GENERATE = [
    _generate("good", _texts(12)),
    _generate("no-characters", _texts(0), num_chars=0),
    _generate("most-characters", _texts(MAX_CHARS), num_chars=MAX_CHARS),
    _generate("greedy", _texts(12), temperature=0),
    _generate("hottest", _texts(12), temperature=100.0),
    _generate("int-temperature", _texts(12), temperature=1),
    _generate("top-1", _texts(12), top_k=1),
    _generate("top-k-beyond-vocabulary", _texts(12), top_k=2**31 - 1),
    _generate("seed-smallest", _texts(12), seed=-(2**63)),
    _generate("seed-largest", _texts(12), seed=2**63 - 1),
    _generate("empty-prompt", _texts(12), prompt=""),
    _generate("unicode-prompt", _texts(12), prompt="é日😀\u0301\u2028"),
    _generate("nul-prompt", _texts(12), prompt="a\0b"),
    _generate("unknown-characters", _texts(12), prompt="ЖЖЖ\U0010ffff"),
    _generate("newline-prompt", _texts(12), prompt="a\r\n\tb"),
    _generate("b64-prompt", _texts(12), prompt={"b64": "VGhlIA=="}),
    _generate("long-prompt", _texts(3), prompt="the long way " * 1500, num_chars=3),
    _predict("generate-rows-differ", "generate",
             {"instances": [GOOD | {"num_chars": n, "seed": n, "top_k": n} for n in (0, 5, 30)]}, _texts(0, 5, 30)),
    _predict("generate-columns", "generate", {"inputs": CONTROLS},
             ok_that("one text", lambda v: [len(text) for text in v["outputs"]] == [12])),
    _predict("generate-no-rows", "generate", {"inputs": {key: [] for key in GOOD}}, ok({"outputs": []})),
    _generate("too-many-characters", error(400, NUM_CHARS), _CHECKS, num_chars=MAX_CHARS + 1),
    _generate("negative-characters", error(400, NUM_CHARS), _CHECKS, num_chars=-1),
    _generate("most-negative-characters", error(400, NUM_CHARS), _CHECKS, num_chars=-(2**31)),
    _generate("negative-temperature", error(400, TEMPERATURE), _CHECKS, temperature=-0.1),
    _generate("too-hot", error(400, TEMPERATURE), _CHECKS, temperature=100.1),
    _generate("nan-temperature", error(400, TEMPERATURE), _CHECKS, temperature=float("nan")),
    _generate("infinite-temperature", error(400, TEMPERATURE), _CHECKS, temperature=float("inf")),
    _generate("negative-top-k", error(400, TOP_K), _CHECKS, top_k=-1),
    _predict("generate-one-bad-row", "generate", {"instances": [GOOD, GOOD | {"top_k": -1}]}, error(400, TOP_K),
             source=_CHECKS),
    _generate("fractional-characters", NO_INT32, _ADD, num_chars=1.5),
    _generate("characters-as-float", NO_INT32, _ADD, num_chars=12.0),
    _generate("characters-as-text", NO_INT32, _ADD, num_chars="12"),
    _generate("seed-too-large", error(400, "key: seed", "is not of expected type: int64"), _ADD, seed=2**63),
    _generate("null-seed", error(400, "key: seed", "is not of expected type: int64"), _ADD, seed=None),
    _generate("temperature-as-text", error(400, "is not of expected type: float"), _ADD, temperature="0.8"),
    _generate("prompt-as-number", error(400, "is not of expected type: string"), _ADD, prompt=1),
    _generate("unknown-parameter", error(400, "does not have named input: top_p", "key: top_p"), _ROWS, top_p=0.9),
    *(
        _predict(f"generate-without-{key}", "generate", {"instances": [_without(key)]},
                 error(400, "Failed to process element: 0", "num_chars,prompt,seed,temperature,top_k"), source=_ROWS)
        for key in GOOD
    ),
    _predict("generate-quoted-keys", "generate",
             {"instances": [{"top_k": 0, "prompt": "The ", "num_chars": 12, "seed": 7}]},
             error_in_order(400, "JSON object: {", '"top_k"', '"prompt"', '"num_chars"', '"seed"', "} keys must be"),
             source=_ROWS),
    _predict("generate-columns-without-seed", "generate",
             {"inputs": {key: value for key, value in CONTROLS.items() if key != "seed"}},
             error(400, "Missing named input: seed"), source="util/json_tensor.cc FillTensorMapFromInputsMap"),
    _predict("generate-plain-prompt", "generate", {"instances": ["The "]}, error(400, "instances is a plain list"),
             source=_ROWS),
]  # fmt: skip
STATEFUL = [
    _predict("state-fresh", "generate_from_state", {"instances": [GOOD | {"state": FRESH}]},
             ok_that("a text and a state", lambda v: len(v["predictions"][0]["text"]) == 12
                     and len(v["predictions"][0]["state"]) == STATE_SIZE)),
    _predict("state-columns", "generate_from_state", {"inputs": CONTROLS | {"state": [FRESH]}},
             ok_that("a text and a state", lambda v: set(v["outputs"]) == {"text", "state"}
                     and len(v["outputs"]["state"][0]) == STATE_SIZE)),
    *(
        _predict(f"state-{name}", "generate_from_state", {"instances": [GOOD | {"state": [value, *FRESH[1:]]}]},
                 error(400, STATE), source=_CHECKS)
        for name, value in {"nan": float("nan"), "infinite": float("inf")}.items()
    ),
    _predict("state-too-short", "generate_from_state", {"instances": [GOOD | {"state": FRESH[:3]}]}, error(400)),
    _predict("state-missing", "generate_from_state", {"instances": [GOOD]}, error(400, "Failed to process element: 0"),
             source=_ROWS),
    _predict("state-uneven-rows", "generate_from_state",
             {"instances": [GOOD | {"state": FRESH}, GOOD | {"state": FRESH[1:]}]},
             error(400, "Failed to process element: 1 key: state", "Expecting tensor size: "), source=_ROWS),
]  # fmt: skip
SCORE = [
    _score("text", "the tea", 6),
    _score("one-character", "a", 0),
    _score("empty", "", 0),
    _score("unicode", "é日😀Ж\0", 4),
    _score("longest", "abc " * (MAX_SCORE_CHARS // 4), MAX_SCORE_CHARS - 1),
    _predict("score-too-long", "score", {"instances": ["é" * (MAX_SCORE_CHARS + 1)]}, error(400, TOO_LONG),
             source=_BOUND),
    _predict("score-too-long-when-padded", "score", {"instances": ["a" * 101] + [""] * 39}, error(400, TOO_LONG),
             source=_BOUND),
    _predict("score-padded", "score", {"instances": [{"text": "abcde"}, {"text": "ab"}]},
             ok_that("rows of one length", lambda v: len({len(row["nll"]) for row in v["predictions"]}) == 1
                     and [row["num_chars"] for row in v["predictions"]] == [4, 1])),
    _predict("score-columns", "score", {"inputs": ["ab"]},
             ok_that("three outputs", lambda v: set(v["outputs"]) == {"nll", "nll_sum", "num_chars"}
                     and v["outputs"]["num_chars"] == [1])),
    _predict("eval-not-an-example", "eval_nll", {"instances": [{"b64": "//8="}]},
             error_bytes(400, b"Could not parse example input, value: '\xff\xff'"), source=_EXAMPLE),
]  # fmt: skip
CASES = DEFAULT + GENERATE + STATEFUL + SCORE
