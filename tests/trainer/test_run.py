"""The parts of `run_fn` that decide what is trained again and who writes; the whole of it runs in tests/test_e2e.py."""

import copy
import json
from typing import Any

import numpy as np
import pytest

from trainer import fitting, run
from trainer.data.documents import Split
from trainer.model import LanguageModel
from trainer.warm_start import Beginning
from transform.vocabulary import Vocabulary

pytestmark = pytest.mark.integration

VOCABULARY = Vocabulary(tuple(map(ord, "\nabc")))
CONFIG: dict[str, Any] = {
    "sources": "digest",
    "export_sources": "another digest",
    "seed": 1,
    "model_name": "char_rnn",
    "model": {"units": 4},
    "training": {"steps": 10},
    "export": {"num_chars": 5},
    "checkpoints": "anywhere",
}


def split(text: str) -> Split:
    return Split(("one",), np.array([len(text)]), np.array(VOCABULARY.encode(text), np.uint8))


def key(config: dict[str, Any] = CONFIG, train: str = "abcabc", evaluation: str = "abc") -> str:
    return run._key(config, fitting.learned(VOCABULARY, split(train), split(evaluation)), None)


@pytest.mark.parametrize("place", [("seed",), ("sources",), ("model", "units"), ("training", "steps")])
def test_whatever_decides_the_model_decides_the_key(place: tuple[str, ...]) -> None:
    changed = copy.deepcopy(CONFIG)
    section = changed
    for name in place[:-1]:
        section = section[name]
    section[place[-1]] = "another"
    assert key(changed) != key()


def test_what_training_begins_from_decides_the_key() -> None:
    learned = fitting.learned(VOCABULARY, split("abcabc"), split("abc"))
    beginnings = [None, Beginning("here", 1, "some"), Beginning("here", 1, "other")]
    assert len({run._key(CONFIG, learned, beginning) for beginning in beginnings}) == 3
    assert run._key(CONFIG, learned, Beginning("elsewhere", 2, "some")) == run._key(CONFIG, learned, beginnings[1])


def test_what_only_the_export_depends_on_trains_nothing_again() -> None:
    for name in ("export", "export_sources", "model_name"):
        changed = {**CONFIG, name: "another"}
        assert key(changed) == key()
        assert run._export_key(changed) != run._export_key(CONFIG)
    watched = {**CONFIG, "training": {**CONFIG["training"], "sample_chars": 7, "log_every": 1}}
    assert key(watched) == key()


def test_asking_for_a_checkpoint_of_every_epoch_trains_again_to_have_them() -> None:
    wanted = {**CONFIG, "training": {**CONFIG["training"], "keep_every_epoch": True}}
    assert key(wanted) != key()


def test_data_decide_the_key_and_the_place_does_not() -> None:
    assert key(train="abcabb") != key()
    assert key(evaluation="abb") != key()
    assert key({**CONFIG, "checkpoints": "elsewhere"}) == key()


@pytest.mark.parametrize(
    ("tf_config", "chief"),
    [
        (None, True),
        ({"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 0}}, True),
        ({"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}, False),
        ({"cluster": {"chief": ["a:1"], "worker": ["b:1"]}, "task": {"type": "chief", "index": 0}}, True),
        ({"cluster": {"chief": ["a:1"], "worker": ["b:1"]}, "task": {"type": "worker", "index": 0}}, False),
    ],
)
def test_one_worker_writes(tf_config: dict[str, Any] | None, chief: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if tf_config is not None:
        monkeypatch.setenv("TF_CONFIG", json.dumps(tf_config))
    assert run.is_chief() is chief


def test_samples_are_text_of_the_vocabulary_and_repeat() -> None:
    model = LanguageModel(VOCABULARY.size, embedding=3, units=4)
    sampler = fitting.sampler(model, VOCABULARY, 40, seed=5)
    text = sampler(10)
    assert len(text) == 40
    assert set(text) <= set(VOCABULARY.characters)
    assert sampler(10) == text
    assert sampler(20) != text
    assert fitting.sampler(model, VOCABULARY, 0, seed=5) is None
