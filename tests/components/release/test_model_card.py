"""The model card states what is known, in the format of Hugging Face's cards, and shows every text as text."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.evaluate import samples
from components.evaluate.evaluation import Figures
from components.evaluate.generalization import Generalization
from components.models import training, versions
from components.release import model_card

pytestmark = pytest.mark.integration
FIGURES = Figures(
    perplexity=4.5,
    bits_per_character=2.17,
    reference_perplexity=6.0,
    eval_chars=111_539,
    out_of_vocabulary_rate=0.0,
    baseline_perplexity=None,
    by_document={"easy.txt": 3.5, "hard_one.txt": 5.5},
    generalization=Generalization(1.25, 1.5, 20_480, {20: 0.03, 50: 0.001, 100: None}, "to be ```", "easy.txt"),
)
ORIGIN = model_card.Origin("char_rnn", 3, "2026-01-02T03:04:05+00:00", "d1", "a | b", "e1", "7,8")


def facts(tmp_path: Path, figures: Figures = FIGURES, **changes: str) -> dict[str, Any]:
    samples.write(str(tmp_path / "export"), {0.8: "The sea\n# no heading"})
    (tmp_path / "export" / "assets.extra" / "trained_on.json").write_text('{"data": "t1"}')
    training.describe(str(tmp_path / "run"), steps=200, seconds=12.5, cpu_seconds=20.25, network="gru 1x64")
    origin = dataclasses.replace(ORIGIN, model_run=str(tmp_path / "run"), **changes)
    return model_card.facts(str(tmp_path / "export"), figures, origin)


def test_card_has_data_figures_memorization_cost_sample_and_calls(tmp_path: Path) -> None:
    text = model_card.text(facts(tmp_path))
    for shown in (
        "# char\\_rnn, version 3",
        "| corpus | a \\| b |\n| spans | 7,8 |\n| train digest | t1 |\n| eval digest | e1 |",
        "The license of the training text is not recorded.",
        "| perplexity of the eval split | 4.5 |",
        "| hard\\_one.txt | 5.5 |\n| easy.txt | 3.5 |",
        "3.00% of 20 characters, 0.10% of 50 characters.",
        "````text\nto be ```\n````",
        "| steps | 200 |\n| seconds | 12.5 |\n| CPU-seconds | 20.25 |",
        "Temperature 0.8:\n\n```text\nThe sea\n# no heading\n```",
        "http://127.0.0.1:8501/v1/models/char_rnn/versions/3:predict",
        'Client("http://127.0.0.1:8501", model="char_rnn", version=3)',
    ):
        assert shown in text


def test_json_has_the_same_facts_and_no_number_that_json_lacks(tmp_path: Path) -> None:
    figures = dataclasses.replace(FIGURES, perplexity=math.inf, by_document={"a": math.nan, "b": 1.0})
    made = model_card.files(facts(tmp_path, figures))
    stated = json.loads(made[versions.CARD_JSON], parse_constant=pytest.fail)
    assert (stated["version"], stated["evaluation"]["perplexity"]) == (3, None)
    assert stated["evaluation"]["by_document"] == {"a": None, "b": 1.0}
    assert stated["training"]["steps"] == 200
    assert "| a | - |\n| b | 1 |" in made[versions.CARD]


def test_card_without_measurements_states_that(tmp_path: Path) -> None:
    figures = dataclasses.replace(FIGURES, by_document={}, generalization=None)
    text = model_card.text(model_card.facts(str(tmp_path), figures, ORIGIN))
    for section, stated in (("Memorization", "Not measured."), ("Training", "Not recorded."), ("Samples", "None was")):
        assert f"## {section}\n\n{stated}" in text


def test_library_of_hugging_face_reads_the_card(tmp_path: Path) -> None:
    hub = pytest.importorskip("huggingface_hub", reason="huggingface_hub is in the group dev only")
    card = hub.ModelCard(model_card.text(facts(tmp_path)), ignore_metadata_errors=False)
    assert card.data.pipeline_tag == "text-generation"
    found = {one.metric_type: (one.metric_value, one.dataset_name) for one in card.data.eval_results}
    assert found == {"perplexity": (4.5, "a | b"), "bits_per_character": (2.17, "a | b")}
    assert yaml.safe_load(str(card).split("---\n")[1]) == card.data.to_dict()
