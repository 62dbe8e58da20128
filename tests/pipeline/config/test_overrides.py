"""Defaults, presets, settings and options join into one configuration; every bad input is one clear `UserError`."""

import doctest
from pathlib import Path
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


@pytest.fixture
def presets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory of presets."""
    monkeypatch.setattr(overrides, "PRESETS", tmp_path)
    return tmp_path


def test_docstring_examples_run() -> None:
    assert doctest.testmod(overrides).failed == 0


def test_quick_is_the_defaults_with_a_time_limit() -> None:
    assert overrides.load("quick") == overrides.replace(Config(), {"training.max_minutes": 5.0})


@pytest.mark.parametrize("name", overrides.preset_names())
def test_every_preset_is_a_valid_configuration(name: str) -> None:
    assert overrides.load(name) != Config()


def test_several_presets_are_joined_and_later_ones_win(presets: Path) -> None:
    (presets / "a.toml").write_text("[training]\nsteps = 5\n[model]\nunits = 8\n")
    (presets / "b.toml").write_text('extends = "c"\n[training]\nepochs = 2\n')
    (presets / "c.toml").write_text("[model]\nlayers = 2\n")
    config = overrides.load("a,b", ["model.units=9"])
    assert (config.training.steps, config.training.epochs, config.model.layers, config.model.units) == (None, 2, 2, 9)


@pytest.mark.parametrize("names", ["best,", ",best", "best,nope", "best, spot", ""])
def test_every_name_of_several_presets_must_be_known(names: str) -> None:
    assert f"Received: --preset {names}" in refused(preset=names)


def test_tutorial_has_the_model_and_training_of_the_tutorial() -> None:
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
def test_setting_is_parsed_by_the_type_of_its_key(setting: str, section: str, name: str, value: object) -> None:
    actual = getattr(getattr(overrides.load("quick", [setting]), section), name)
    assert actual == value
    assert type(actual) is type(value)


def test_list_becomes_beam_arguments() -> None:
    config = overrides.load("quick", ['beam_args=["--runner=DirectRunner", "--direct_num_workers=2"]'])
    assert config.beam_args == ("--runner=DirectRunner", "--direct_num_workers=2")


def test_name_of_a_directory_may_be_a_number() -> None:
    config = overrides.load("quick", ["root=2024", "serving_dir=2025"])
    assert (config.root, config.serving_dir) == ("2024", "2025")


def test_options_win_over_settings_and_settings_over_presets_and_later_settings_over_earlier_ones() -> None:
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


@pytest.mark.parametrize(
    ("preset", "settings", "minutes"),
    [
        ("quick", [], 5.0),
        ("quick", ["training.steps=7"], None),
        ("quick", ["training.epochs=7"], None),
        ("quick", ["training.steps=auto"], 5.0),
        ("quick", ["training.steps=7", "training.max_minutes=2"], 2.0),
        ("best", ["training.max_minutes=2"], 2.0),
    ],
)
def test_number_of_steps_is_exact_unless_a_limit_is_set_with_it(
    preset: str, settings: list[str], minutes: float | None
) -> None:
    assert overrides.load(preset, settings).training.max_minutes == minutes


def test_dickens_is_the_tutorial_with_other_epochs_temperature_and_corpus() -> None:
    settings = ["training.epochs=45", "export.temperature=0.5", "corpus.source=great_expectations"]
    assert overrides.load("dickens") == overrides.load("tutorial", settings)


def test_preset_extends_another_and_its_own_values_win(presets: Path) -> None:
    (presets / "base.toml").write_text("seed = 1\n[model]\nunits = 8\nlayers = 2\n[training]\nepochs = 3\n")
    (presets / "middle.toml").write_text('extends = "base"\n[model]\nunits = 16\n')
    (presets / "top.toml").write_text('extends = "middle"\nseed = 2\n[training]\nsteps = 5\n')
    config = overrides.load("top", ["model.embedding=4"])
    assert (config.seed, config.model.units, config.model.layers, config.model.embedding) == (2, 16, 2, 4)
    assert (config.training.steps, config.training.epochs) == (5, None)
    assert overrides.load("middle").training.epochs == 3


@pytest.mark.parametrize("value", ['"bse"', '"../base"', "5", '["base"]', "{}"])
def test_unknown_preset_in_extends_is_an_error_with_file_value_and_known_names(presets: Path, value: str) -> None:
    (presets / "base.toml").touch()
    (presets / "top.toml").write_text(f"extends = {value}\n")
    message = refused(preset="top")
    assert message.startswith(f"{presets / 'top.toml'}: extends should be one of: base. Received: extends=")
    assert value.strip('"[]') in message


@pytest.mark.parametrize(("cycle", "shown"), [("a", "a extends a"), ("ab", "a extends b extends a")])
def test_cycle_of_presets_is_an_error_that_shows_it(presets: Path, cycle: str, shown: str) -> None:
    for name, base in zip(cycle, cycle[1:] + cycle[:1]):
        (presets / f"{name}.toml").write_text(f'extends = "{base}"\n')
    (presets / "other.toml").touch()
    assert refused(preset="a") == (
        f"{presets / cycle[-1]}.toml: extends should be one of: other. That is a cycle: {shown}. Received: extends='a'"
    )


@pytest.mark.parametrize(
    ("text", "message"), [("[model]\nunit = 8\n", "Did you mean model.units"), ("seed = \n", "line 1, column 8")]
)
def test_unknown_key_or_bad_syntax_in_a_preset_is_an_error_with_the_file(
    presets: Path, text: str, message: str
) -> None:
    (presets / "base.toml").write_text(text)
    (presets / "top.toml").write_text('extends = "base"\n')
    error = refused(preset="top")
    assert error.startswith(f"{presets / 'base.toml'}: ")
    assert message in error


def test_unknown_preset_is_an_error_with_the_known_names() -> None:
    message = refused(preset="qiuck")
    assert "--preset qiuck" in message
    assert all(name in message for name in overrides.preset_names())


def test_path_is_not_a_preset() -> None:
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
def test_unknown_key_is_an_error_with_similar_keys(setting: str, hint: str) -> None:
    message = refused(setting)
    assert hint in message
    assert message.endswith(f"Received: {setting.partition('=')[0]}")


@pytest.mark.parametrize("setting", ["training.steps", "=5", "  =5", ""])
def test_setting_without_key_or_value_is_an_error(setting: str) -> None:
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
        ("corpus.suffixes=[.py]", 'a list such as \'["a", "b"]\'', "corpus.suffixes='[.py]'"),
        ("model.units=none", "a valid integer", "model.units=None"),
        ("model_name=1st", "should be text that matches the pattern '^[A", "model_name='1st'"),
        ("serving.host=", "should be text of at least 1 character", "serving.host=''"),
        ('cluster.pods.default.secret_variables=[{name="A", secret="b"}]', "should be given with key.", "'b'},)"),
        ('cluster.pods.default.tolerations=[{keys="a"}]', "should be given without keys.", "({'keys': 'a'},)"),
    ],
)
def test_bad_value_is_an_error_with_key_value_and_what_was_expected(setting: str, expected: str, received: str) -> None:
    message = refused(setting)
    assert message.startswith(setting.partition("=")[0] + " should be ")
    assert expected in message
    assert "Received: " in message
    assert message.endswith(received)


def test_all_bad_values_are_reported_at_once() -> None:
    message = refused("model.units=0", "training.clip_norm=-1")
    assert "model.units=0" in message
    assert "training.clip_norm=-1" in message


def test_steps_and_epochs_together_are_an_error() -> None:
    message = refused("training.steps=5", "training.epochs=2")
    assert "exactly one" in message
    assert "training.steps=5, training.epochs=2" in message


@given(st.integers(1, 10**9), st.floats(0, 1e6, exclude_min=True), st.booleans())
def test_numbers_and_booleans_are_parsed_exactly(steps: int, rate: float, best: bool) -> None:
    settings = [f"training.steps={steps}", f"training.learning_rate={rate!r}", f"training.restore_best={best}".lower()]
    training = overrides.load("quick", settings).training
    assert (training.steps, training.learning_rate, training.restore_best) == (steps, rate, best)


@given(st.text(min_size=1).filter(lambda text: text.lower() not in ("none", "null")))
def test_any_text_is_a_corpus_name_as_it_is_written(name: str) -> None:
    assert overrides.load("quick", [f"corpus.source={name}"]).corpus.source == name


@given(st.sampled_from(["training.steps", "beam_args", "evaluation.threshold", "corpus.checksum", "seed"]), st.text())
def test_any_text_as_a_value_is_valid_or_a_user_error(key: str, value: str) -> None:
    try:
        overrides.load("quick", [f"{key}={value}"])
        message = f"{key} is valid"
    except UserError as error:
        message = str(error)
    assert key in message


@given(st.text())
def test_any_text_as_an_unknown_setting_is_a_user_error(setting: str) -> None:
    with pytest.raises(UserError):
        overrides.load("quick", [f"?{setting}"])
