"""The key by which the registry knows models that came of the same run."""

import pytest

from pipeline.config import overrides
from pipeline.config.run import Config
from pipeline.create import run_key

pytestmark = pytest.mark.integration  # TFX brings TensorFlow

CORPUS = "/state/corpus/0123456789abcdef"
# One value of every section that decides the trained model, and of every section that does not.
DECIDING = (
    "model_name=poems",
    "seed=1",
    "corpus.passage_length=1000",
    "corpus.eval_fraction=0.2",
    "corpus.test_fraction=0.1",
    "vocabulary.min_count=2",
    "model.units=64",
    "training.steps=7",
    "tuner.enabled=true",
    "export.temperature=0.5",
)
OTHERS = (
    "root=elsewhere",
    "serving_dir=elsewhere",
    'beam_args=["--direct_num_workers=2"]',
    "corpus.source=another/name/of/the/same/text.txt",
    "evaluation.threshold=9",
    "serving.volume_claim=another",
    "cluster.workers=2",
)


def key(*settings: str) -> str:
    return run_key(overrides.load("quick", settings), CORPUS)


@pytest.mark.parametrize("setting", DECIDING)
def test_what_decides_the_model_changes_the_key(setting: str) -> None:
    assert key(setting) != key()


@pytest.mark.parametrize("setting", OTHERS)
def test_what_does_not_decide_the_model_leaves_the_key(setting: str) -> None:
    assert key(setting) == key()


def test_the_text_changes_the_key_and_the_folder_that_holds_it_does_not() -> None:
    config = overrides.load("quick")
    assert run_key(config, "/state/corpus/fedcba9876543210") != key()
    assert run_key(config, "/other/corpus/0123456789abcdef") == key()


def test_every_section_of_the_configuration_is_known_to_decide_or_not() -> None:
    assert {setting.partition("=")[0].partition(".")[0] for setting in DECIDING + OTHERS} == Config.model_fields.keys()
