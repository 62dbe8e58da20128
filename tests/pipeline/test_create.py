"""The key by which the registry recognizes models of the same run."""

import json
from pathlib import Path

import pytest

from pipeline import cache_keys
from pipeline.config import overrides
from pipeline.config.places import Places
from pipeline.config.run import Config
from pipeline.create import Inputs, create_pipeline, run_key

pytestmark = pytest.mark.integration  # TFX imports TensorFlow

CORPUS = "/state/corpus/0123456789abcdef"
# One value of every section that determines the trained model, and of every section that does not.
IN_KEY = (
    "model_name=poems",
    "seed=1",
    "corpus.passage_length=1000",
    "corpus.eval_fraction=0.2",
    "corpus.test_fraction=0.1",
    "corpus.normalization=nfc",
    "corpus.fold_case=true",
    "vocabulary.min_count=2",
    "model.units=64",
    "training.steps=7",
    "tuner.enabled=true",
    "export.temperature=0.5",
)
NOT_IN_KEY = (
    "root=elsewhere",
    "serving_dir=elsewhere",
    'beam_args=["--direct_num_workers=2"]',
    "corpus.source=another/name/of/the/same/text.txt",
    "corpus.holdout=another/name/of/the/same/text.txt",
    "evaluation.threshold=9",
    "validation.drift=stop",
    "evaluation.max_copied=0.05",
    "serving.volume_claim=another",
    "cluster.workers=2",
)


def key(*settings: str) -> str:
    return run_key(overrides.load("quick", settings), CORPUS)


@pytest.mark.parametrize("setting", IN_KEY)
def test_value_that_determines_the_model_changes_the_key(setting: str) -> None:
    assert key(setting) != key()


@pytest.mark.parametrize("setting", NOT_IN_KEY)
def test_other_value_does_not_change_the_key(setting: str) -> None:
    assert key(setting) == key()


def test_edited_search_changes_the_key_of_a_run_that_searches(monkeypatch: pytest.MonkeyPatch) -> None:
    before, searched = key(), key("tuner.enabled=true")
    monkeypatch.setattr(cache_keys, "TUNER", cache_keys.GATE)
    assert key("tuner.enabled=true") != searched
    assert key() == before


def test_text_changes_the_key_and_its_directory_does_not() -> None:
    config = overrides.load("quick")
    assert run_key(config, "/state/corpus/fedcba9876543210") != key()
    assert run_key(config, "/other/corpus/0123456789abcdef") == key()
    held = {run_key(config, CORPUS, f"/state/corpus/{digest * 16}") for digest in "ab"} | {key()}
    assert len(held) == 3


def test_key_of_the_weights_does_not_depend_on_the_export(monkeypatch: pytest.MonkeyPatch) -> None:
    def weights(*settings: str) -> str:
        return run_key(overrides.load("quick", settings), CORPUS, export=False)

    assert [setting for setting in IN_KEY if weights(setting) == weights()] == ["export.temperature=0.5"]
    before = weights()
    monkeypatch.setattr(cache_keys, "EXPORT", cache_keys.Code(("transform",)))
    assert weights() == before


def test_every_section_of_the_configuration_is_covered() -> None:
    keys = [setting.partition("=")[0] for setting in IN_KEY + NOT_IN_KEY]
    assert {key.partition(".")[0] for key in keys} == Config.model_fields.keys()


def test_normalization_of_the_corpus_reaches_trainer_and_tuner(tmp_path: Path) -> None:
    config = overrides.load("quick", ["corpus.normalization=nfc", "corpus.fold_case=true", "tuner.enabled=true"])
    pipeline = create_pipeline(config, Places(config), Inputs(str(tmp_path), "texts", str(tmp_path), "key", ""))
    passed = [one.exec_properties for one in pipeline.components if one.id in ("Tuner", "Trainer")]
    found = [json.loads(properties["custom_config"]) for properties in passed]
    assert [(one["normalization"], one["fold_case"]) for one in found] == [("nfc", True)] * 2
