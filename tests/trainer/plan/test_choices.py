"""What is chosen for "auto": more text, more steps and less dropout; what is configured stays."""

import doctest
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.overrides import load
from pipeline.config.training import TrainingConfig
from trainer.plan import choices
from trainer.plan.sizes import Size

SIZES = (20_000, 130_000, 1_000_000, 10_000_000)


def size(characters: int, step: int = 6_400, evaluation_batches: int = 1, documents: int = 1) -> Size:
    return Size(characters, documents, 64, step, math.ceil(characters / step), 64, evaluation_batches)


def chosen(characters: int, *settings: str, stock_layer: bool = False) -> dict[str, Any]:
    found = choices.model_and_batch(load("quick", settings), characters, 66, stock_layer)
    return {choice.key: choice.value for choice in found}


def test_examples() -> None:
    assert doctest.testmod(choices).failed == 0


def test_the_less_text_the_more_dropout_and_the_smaller_the_batches() -> None:
    rates = [chosen(characters)["model.output_dropout"] for characters in SIZES]
    rows = [chosen(characters)["training.batch_size"] for characters in SIZES]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] > rates[-1]
    assert rows == sorted(rows)
    assert rows[0] < rows[-1]


@pytest.mark.parametrize("key", list(chosen(1_000)))
def test_configured_value_is_kept_and_the_others_are_chosen(key: str) -> None:
    positive = key.endswith(("batch_size", "sequence_length", "softmax"))
    value = "zero" if key.endswith("bias") else 2 if positive else 0.0
    found = chosen(130_000, f"{key}={value}")
    assert set(found) == set(chosen(130_000)) - {key}


@pytest.mark.parametrize("preset", ["best", "tutorial", "dickens", "char_rnn_series"])
def test_model_and_batch_of_the_other_presets_do_not_depend_on_the_text(preset: str) -> None:
    found = {choice.key for choice in choices.model_and_batch(load(preset), 130_000, 66)}
    names = {"weight_decay", "sequence_length", "sampled_softmax", "initial_bias"}
    assert found <= {f"training.{name}" for name in names}


def test_the_tutorial_has_the_full_softmax_and_zero_biases_for_any_vocabulary() -> None:
    found = choices.model_and_batch(load("tutorial"), 130_000, 20_000)
    assert {choice.key for choice in found} & {"training.sampled_softmax", "training.initial_bias"} == set()


def test_only_a_large_vocabulary_has_a_sampled_softmax_and_biases_from_frequencies() -> None:
    limit = choices.LARGEST_FULL_SOFTMAX
    assert [choices.sampled_softmax(size)[0] for size in (66, limit, limit + 1)] == [0, 0, choices.SAMPLED]
    assert [choices.initial_bias(size)[0] for size in (66, limit, limit + 1)] == ["zero", "zero", "frequencies"]


def test_windows_of_short_documents_are_short_and_many() -> None:
    text = np.random.default_rng(1).integers(3, 12, 1_000)
    length = choices.window_length(text)
    found = {choice.key: choice for choice in choices.model_and_batch(load("quick"), 10**5, 66, length=length)}
    assert found["training.sequence_length"].value == length < 12
    assert "short" in found["training.sequence_length"].reason
    step = found["training.batch_size"].value * length
    assert chosen(10**5)["training.batch_size"] * choices.LONGEST_WINDOW == pytest.approx(step, abs=length)
    assert chosen(10**5)["training.sequence_length"] == choices.LONGEST_WINDOW
    assert choices.window_length(np.array([1])) >= 2


def test_short_documents_are_read_more_often_with_more_dropout() -> None:
    documents = 10**6 // 8
    assert choices.automatic_steps(size(10**6, documents=documents)) > choices.automatic_steps(size(10**6))
    assert choices.dropout_rate(10**6, documents) > choices.dropout_rate(10**6, 2_000) == choices.dropout_rate(10**6)
    training, of_short = TrainingConfig(), size(10**6, documents=documents)
    plan = choices.plan(training, choices.automatic_steps(of_short), of_short)
    reason = choices.explain(training, plan, of_short)[0].reason
    assert reason.endswith(", short documents")


def test_layer_of_a_gpu_keeps_its_speed() -> None:
    assert chosen(130_000, stock_layer=True)["model.recurrent_dropout"] == 0.0


def test_chosen_values_replace_auto_only() -> None:
    config = load("quick", ["model.output_dropout=0.3"])
    made = choices.apply(config, choices.model_and_batch(config, 130_000, 66))
    assert made.model.output_dropout == 0.3
    assert "auto" not in (made.model.recurrent_dropout, made.training.weight_decay, made.training.batch_size)


@given(st.integers(100, 10**9), st.integers(100, 10**5))
def test_smaller_steps_read_the_same_text(characters: int, step: int) -> None:
    steps = choices.automatic_steps(size(characters, step))
    assert steps >= choices.FEWEST_STEPS
    if steps > choices.FEWEST_STEPS:
        assert steps * step == pytest.approx(choices.automatic_steps(size(characters, 1)), abs=step)


def test_evaluations_are_rarer_where_they_take_long() -> None:
    training = TrainingConfig()
    assert choices.plan(training, 1_200, size(1_000_000)).eval_every == 1_200 / choices.EVALUATIONS
    large = size(10**7, evaluation_batches=150)
    every = choices.plan(training, 1_200, large).eval_every
    assert large.evaluation_time / every <= choices.EVALUATION_SHARE
    assert choices.plan(training, 1_200, replace(large, full_softmax=20_000)).eval_every > 5 * every


def test_configured_interval_and_patience_are_kept() -> None:
    plan = choices.plan(TrainingConfig(eval_every=7, early_stopping=0), 100, size(10_000))
    assert plan == choices.Plan(100, 7, 0)
    assert choices.plan(TrainingConfig(eval_every=None), 100, size(10_000)).eval_every == 2  # an epoch
    assert choices.explain(TrainingConfig(steps=100, eval_every=7, early_stopping=0), plan, size(10_000)) == []


def test_every_choice_is_one_line_with_its_reason() -> None:
    training = TrainingConfig()
    lines = [
        str(choice) for choice in choices.explain(training, choices.plan(training, 1_000, size(10**6)), size(10**6))
    ]
    assert [line.partition("=")[0] for line in lines] == [
        "training.steps",
        "training.eval_every",
        "training.early_stopping",
    ]
    assert lines[0] == "training.steps=1000: 1,000,000 training characters, 6,400 in a step"


def test_steps_that_a_time_limit_lowered_are_explained_with_the_setting_that_repeats_them() -> None:
    training = TrainingConfig(steps=7_000, max_minutes=10, eval_every=7, early_stopping=0)
    (only,) = choices.explain(training, choices.plan(training, 640, size(10**6)), size(10**6))
    assert (only.key, only.value) == ("training.steps", 640)
    assert "7,000" in only.reason
    assert "--set training.steps=640" in only.reason
