"""Defaults, preset, settings and options join into one configuration; every mistake is one clear `UserError`."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import UserError
from pipeline.config import overrides
from pipeline.config.run import Config


def refused(*settings: str, preset: str = "quick", explicit: dict[str, Any] | None = None) -> str:
    with pytest.raises(UserError) as error:
        overrides.load(preset, settings, explicit)
    return str(error.value)


def test_quick_is_the_defaults() -> None:
    assert overrides.load("quick") == Config()


@pytest.mark.parametrize("name", overrides.preset_names())
def test_every_preset_is_a_valid_configuration(name: str) -> None:
    assert (overrides.load(name) == Config()) is (name == "quick")


def test_tutorial_is_the_tutorials_model_and_training() -> None:
    config = overrides.load("tutorial")
    assert (config.model.embedding, config.model.units, config.model.layers) == (256, 1024, 1)
    assert (config.training.batch_size, config.training.sequence_length) == (64, 100)
    assert (config.training.steps, config.training.epochs) == (None, 20)
    assert (config.training.optimizer, config.training.schedule, config.training.learning_rate) == (
        "adam",
        "constant",
        1e-3,
    )


@pytest.mark.parametrize(
    ("setting", "section", "name", "value"),
    [
        ("training.steps=5_000", "training", "steps", 5000),
        ("training.learning_rate=1", "training", "learning_rate", 1.0),
        ("training.learning_rate = 2e-3", "training", "learning_rate", 2e-3),
        ("training.restore_best=false", "training", "restore_best", False),
        ("training.precision=float32", "training", "precision", "float32"),
        ('training.precision="float32"', "training", "precision", "float32"),
        ("training.eval_every=None", "training", "eval_every", None),
        ("evaluation.threshold=4.5", "evaluation", "threshold", 4.5),
        ("evaluation.threshold=auto", "evaluation", "threshold", "auto"),
        ("corpus.source=2024", "corpus", "source", "2024"),
        ("corpus.source=a=b.txt", "corpus", "source", "a=b.txt"),
        ("corpus.checksum=" + "12" * 32, "corpus", "checksum", "12" * 32),
        ("corpus.checksum=" + "1" * 30 + "e" + "3" * 33, "corpus", "checksum", "1" * 30 + "e" + "3" * 33),
    ],
)
def test_a_setting_is_read_as_its_key_wants_it(setting: str, section: str, name: str, value: object) -> None:
    actual = getattr(getattr(overrides.load("quick", [setting]), section), name)
    assert actual == value
    assert type(actual) is type(value)


def test_a_list_becomes_beam_arguments() -> None:
    config = overrides.load("quick", ['beam_args=["--runner=DirectRunner", "--direct_num_workers=2"]'])
    assert config.beam_args == ("--runner=DirectRunner", "--direct_num_workers=2")


def test_a_directory_may_be_called_like_a_number() -> None:
    config = overrides.load("quick", ["root=2024", "serving_dir=2025"])
    assert (config.root, config.serving_dir) == ("2024", "2025")


def test_options_win_over_settings_and_settings_over_the_preset_and_later_ones_over_earlier_ones() -> None:
    settings = ["model.units=8", "model.units=16", "seed=1", "root=settings"]
    config = overrides.load("tutorial", settings, {"root": "options", "serving_dir": None})
    assert (config.model.units, config.model.embedding) == (16, 256)
    assert (config.root, config.seed, config.serving_dir) == ("options", 1, None)


@pytest.mark.parametrize(
    ("preset", "setting", "steps", "epochs"),
    [
        ("quick", "training.epochs=3", None, 3),
        ("tutorial", "training.steps=7", 7, None),
        ("tutorial", "training.epochs=2", None, 2),
    ],
)
def test_steps_and_epochs_replace_each_other(preset: str, setting: str, steps: int | None, epochs: int | None) -> None:
    training = overrides.load(preset, [setting]).training
    assert (training.steps, training.epochs) == (steps, epochs)


def test_an_unknown_preset_is_refused_with_the_known_ones() -> None:
    message = refused(preset="qiuck")
    assert "--preset qiuck" in message
    assert all(name in message for name in overrides.preset_names())


def test_a_preset_is_a_name_and_not_a_path() -> None:
    assert "Unknown preset" in refused(preset="../presets/quick")


@pytest.mark.parametrize(
    ("setting", "hint"),
    [
        ("training.step=5", "training.steps"),
        ("units=5", "model.units"),
        ("trainign.units=5", "model.units"),
        ("corpus.source.path=x", "corpus.source is a single value"),
        ("training=5", "training.steps"),
        ("xyzzy=5", "Sections:"),
    ],
)
def test_an_unknown_key_is_refused_with_what_may_have_been_meant(setting: str, hint: str) -> None:
    message = refused(setting)
    assert hint in message
    assert message.endswith(f"Received: {setting.partition('=')[0]}")


@pytest.mark.parametrize("setting", ["training.steps", "=5", "  =5", ""])
def test_a_setting_without_key_or_value_is_refused(setting: str) -> None:
    assert refused(setting).endswith(f"Received: --set {setting}")


@pytest.mark.parametrize(
    ("setting", "expected", "received"),
    [
        ("training.steps=many", "a valid integer", "training.steps='many'"),
        ("training.steps=1.5", "a valid integer", "training.steps=1.5"),
        ("training.restore_best=yes", "a valid boolean", "training.restore_best='yes'"),
        ("training.learning_rate=nan", "a finite number", "training.learning_rate=nan"),
        ("training.precision=fp16", "'float32'", "training.precision='fp16'"),
        ("evaluation.threshold=-1", "'auto' or greater than 0", "evaluation.threshold=-1"),
        ("beam_args=[1]", "a valid string", "beam_args=(1,)"),
        ("model.units=none", "a valid integer", "model.units=None"),
    ],
)
def test_a_bad_value_is_refused_with_key_value_and_what_was_expected(
    setting: str, expected: str, received: str
) -> None:
    message = refused(setting)
    assert message.startswith(setting.partition("=")[0] + " should be ")
    assert expected in message
    assert message.endswith("Received: " + received)


def test_all_mistakes_are_told_at_once() -> None:
    message = refused("model.units=0", "training.clip_norm=-1")
    assert "model.units=0" in message
    assert "training.clip_norm=-1" in message


def test_values_that_exclude_each_other_are_refused() -> None:
    message = refused("training.steps=5", "training.epochs=2")
    assert "exactly one" in message
    assert "training.steps=5, training.epochs=2" in message


@given(st.integers(1, 10**9), st.floats(0, 1e6, exclude_min=True), st.booleans())
def test_numbers_and_truths_arrive_as_they_were_written(steps: int, rate: float, best: bool) -> None:
    settings = [f"training.steps={steps}", f"training.learning_rate={rate!r}", f"training.restore_best={best}".lower()]
    training = overrides.load("quick", settings).training
    assert (training.steps, training.learning_rate, training.restore_best) == (steps, rate, best)


@given(st.text(min_size=1).filter(lambda text: text.lower() not in ("none", "null")))
def test_the_name_of_a_corpus_arrives_letter_by_letter(name: str) -> None:
    assert overrides.load("quick", [f"corpus.source={name}"]).corpus.source == name


@given(st.sampled_from(["training.steps", "beam_args", "evaluation.threshold", "corpus.checksum", "seed"]), st.text())
def test_whatever_is_written_as_a_value_either_fits_or_is_a_users_mistake(key: str, value: str) -> None:
    try:
        overrides.load("quick", [f"{key}={value}"])
        told = f"{key} fits"
    except UserError as error:
        told = str(error)
    assert key in told


@given(st.text())
def test_whatever_is_written_as_a_setting_is_a_users_mistake_at_worst(setting: str) -> None:
    with pytest.raises(UserError):
        overrides.load("quick", [f"?{setting}"])
