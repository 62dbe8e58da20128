"""What is measured of a model whose texts are known."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from components.evaluate.generalization import Generalization
from serving.graph.generation_config import Limits
from trainer.data.documents import Split
from trainer.generalization import measure
from transform.vocabulary import Vocabulary

pytestmark = pytest.mark.integration
LIMITS = Limits(300, 0.8, 0, max_chars=100_000, state_size=9, max_batch_chars=2_000_000)
LINE = "the quick brown fox jumps over the lazy dog\n"


class Model:
    """A model that repeats one text in every row."""

    def __init__(self, text: str) -> None:
        self.text, self.calls = text, list[dict[str, Any]]()

    def __call__(self, **inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        self.calls.append({name: value.numpy() for name, value in inputs.items()})
        repeated = self.text * 512
        return {"text": tf.constant([repeated[:length] for length in self.calls[-1]["num_chars"]])}


def measured(model: Callable[..., Any], text: str, limits: Limits = LIMITS) -> Generalization:
    vocabulary = Vocabulary(tuple(sorted(map(ord, set(text)))))
    train = Split(("a.txt",), np.array([len(text)]), np.array(vocabulary.encode(text), np.uint8))
    return measure.measure(model, limits, vocabulary, train, (1.0, 1.5), 20_000, seed=7)


def test_model_that_repeats_the_training_text_copies_all_of_it() -> None:
    found = measured(Model(LINE), LINE * 40)
    assert found.copied == {20: 1.0, 50: 1.0, 100: 1.0}
    assert (found.longest_copy, found.copied_from) == ((LINE * 12)[:512], "a.txt")
    assert (found.train_nats, found.eval_nats, found.generated_chars) == (1.0, 1.5, 20_480)
    assert (found.generated_documents, found.copied_documents) == (0, None)


def test_generated_documents_are_compared_with_those_of_the_training_text() -> None:
    found = measured(Model("emma\x03olivi\x03"), "\x03ava\x03emma\x03olivia\x03")
    assert found.copied == {20: None, 50: None, 100: None}
    assert found.longest_copy == "olivi"
    assert found.copied_documents == pytest.approx(0.5, abs=0.01)
    assert found.generated_documents == 40 * 93


@pytest.mark.parametrize(
    ("bounds", "temperatures", "length"),
    [({}, [0.5, 0.8, 1.0], 400), ({"max_temperature": 0.7, "max_batch_chars": 20}, [0.5, 0.7], 10)],
    ids=["defaults", "narrow"],
)
def test_samples_are_within_the_limits_of_the_export(
    bounds: dict[str, float], temperatures: list[float], length: int
) -> None:
    model = Model(LINE)
    found = measure.sample(model, dataclasses.replace(LIMITS, **bounds))
    assert found == dict.fromkeys(temperatures, (LINE * 20)[:length])
    (call,) = model.calls
    np.testing.assert_allclose(call["temperature"], temperatures)


@pytest.mark.parametrize("bounds", [{"max_chars": 100}, {"max_batch_chars": 1_100}, {"max_batch_chars": 100}], ids=str)
def test_calls_are_within_the_limits_of_the_export_and_their_seeds_differ(bounds: dict[str, int]) -> None:
    model, limits = Model(LINE), dataclasses.replace(LIMITS, **bounds)
    assert measured(model, LINE, limits).generated_chars >= 20_000
    rows = [len(call["num_chars"]) for call in model.calls]
    assert max(rows) <= 40
    for call in model.calls:
        length = call["num_chars"].max()
        # A request for one row is bounded by `max_chars` alone.
        assert length <= limits.max_chars
        assert len(call["num_chars"]) == 1 or len(call["num_chars"]) * length <= limits.max_batch_chars
    seeds = np.concatenate([call["seed"] for call in model.calls])
    assert len(set(seeds.tolist())) == len(seeds)
