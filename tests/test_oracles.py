"""The pipeline's results against computations that share no code with it: NumPy on raw text and exported weights.

The run of `undisturbed.py`, on two documents whose eval parts have characters that their train parts do not have.
Nothing of `trainer`, `components`, or `serving` is imported here.
"""

import collections
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests import numeric, undisturbed
from tests.undisturbed import PASSAGE, UNITS

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def documents() -> dict[str, str]:
    return undisturbed.documents()


@pytest.fixture(scope="module")
def summary() -> dict[str, Any]:
    return undisturbed.run().summary


def _split(text: str) -> tuple[str, str]:
    """Return train and eval part: the last tenth is held out."""
    boundary = len(text) * 9 // 10
    return text[:boundary], text[boundary:]


def _vocabulary(documents: dict[str, str]) -> list[str]:
    """Return the characters by frequency; ties by descending code point, as tf.Transform sorts."""
    counts: collections.Counter[str] = collections.Counter()
    for text in documents.values():
        counts.update(_split(text)[0])
    return sorted(counts, key=lambda character: (counts[character], ord(character)), reverse=True)


def _passages(text: str) -> list[str]:
    """Cut a text into passages of nearly equal length that overlap by one character."""
    targets = len(text) - 1
    count = math.ceil(targets / PASSAGE)
    cuts = [targets * i // count for i in range(count + 1)]
    return [text[a : b + 1] for a, b in zip(cuts, cuts[1:])]


def _nats(passage: str, ids: dict[str, int], variables: dict[str, np.ndarray]) -> float:
    """Return the sum over all characters of a passage but the first, from the zero state, in float64."""
    unknown = len(ids)
    layers = [i for i in range(9) if f"recurrent_kernels/{i}" in variables]
    states = [np.zeros(UNITS) for _ in layers]
    total = 0.0
    codes = [ids.get(character, unknown) for character in passage]
    for now, following in zip(codes, codes[1:]):
        x = variables["table"][now]
        for i in layers:
            if i:
                x = states[i - 1] @ variables[f"kernels/{i - 1}"] + variables[f"input_biases/{i - 1}"]
            xz, xr, xc = np.split(x, 3)
            rz, rr, rc = np.split(states[i] @ variables[f"recurrent_kernels/{i}"], 3)
            rc = rc + variables[f"recurrent_biases/{i}"]
            update, reset = 1 / (1 + np.exp(-(xz + rz))), 1 / (1 + np.exp(-(xr + rr)))
            states[i] = update * states[i] + (1 - update) * np.tanh(xc + reset * rc)
        logits = states[-1] @ variables["projection"] + variables["projection_bias"]
        largest = logits.max()
        total += largest + math.log(np.exp(logits - largest).sum()) - logits[following]
        if following == unknown:
            total += math.log(0x110000 - len(ids))
    return total


@pytest.mark.numeric
def test_perplexity_and_unknown_rate_agree_with_numpy(documents: dict[str, str], summary: dict[str, Any]) -> None:
    reader = tf.train.load_checkpoint(str(Path(summary["model"], "variables", "variables")))
    suffix = "/.ATTRIBUTES/VARIABLE_VALUE"
    names = [name for name in reader.get_variable_to_shape_map() if name.endswith(suffix)]
    variables = {name.removesuffix(suffix): reader.get_tensor(name).astype(np.float64) for name in names}
    ids = {character: i for i, character in enumerate(_vocabulary(documents))}
    assert summary["vocabulary_size"] == len(ids)
    nats, chars, unknown = {}, {}, 0
    for name, text in documents.items():
        held_out = _split(text)[1]
        nats[name] = sum(_nats(passage, ids, variables) for passage in _passages(held_out))
        chars[name] = len(held_out) - 1
        unknown += sum(character not in ids for character in held_out[1:])
    assert unknown >= 4
    total = sum(chars.values())
    assert summary["eval_chars"] == total
    summed = numeric.relative(PASSAGE)
    assert math.log(summary["perplexity"]) == pytest.approx(sum(nats.values()) / total, rel=summed)
    assert summary["bits_per_char"] == pytest.approx(sum(nats.values()) / total / math.log(2), rel=summed)
    assert summary["out_of_vocabulary_rate"] == pytest.approx(unknown / total, rel=1e-6)
    assert summary["perplexity_by_document"].keys() == documents.keys()
    for name, value in summary["perplexity_by_document"].items():
        assert math.log(value) == pytest.approx(nats[name] / chars[name], rel=summed)


@pytest.mark.numeric
def test_trigram_threshold_agrees_with_dictionaries(documents: dict[str, str], summary: dict[str, Any]) -> None:
    known = set(_vocabulary(documents))
    one, two, three = collections.Counter(), collections.Counter(), collections.Counter()
    for text in documents.values():
        train = _split(text)[0]
        one.update(train[1:])
        two.update(zip(train, train[1:]))
        three.update(zip(train, train[1:], train[2:]))

    def estimate(grams: collections.Counter, context: tuple[str, ...], character: str, lower: float) -> float:
        following = {gram: count for gram, count in grams.items() if tuple(gram)[:-1] == context}
        n, t = sum(following.values()), len(following)
        own = grams["".join((*context, character)) if not context else (*context, character)]
        return (own + t * lower) / (n + t) if n else lower

    cache: dict[Any, float] = {}
    nats = chars = 0.0
    for text in documents.values():
        held_out = [character if character in known else "unknown" for character in _split(text)[1]]
        for place in range(1, len(held_out)):
            gram = tuple(held_out[max(0, place - 2) : place + 1])
            if gram not in cache:
                p = estimate(one, (), gram[-1], 1 / (len(known) + 1))
                p = estimate(two, gram[-2:-1], gram[-1], p)
                if len(gram) == 3:
                    p = estimate(three, gram[:2], gram[-1], p)
                cache[gram] = -math.log(p) + (math.log(0x110000 - len(known)) if gram[-1] == "unknown" else 0)
            nats += cache[gram]
            chars += 1
    # The run has a numeric threshold; the trigram perplexity is reported next to it.
    # The export carries it in float32, multiplied by a passage's characters.
    assert math.log(summary["trigram_perplexity"]) == pytest.approx(nats / chars, rel=numeric.relative(3))
