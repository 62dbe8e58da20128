"""A shard is answered line by line as single requests would be, whatever is wrong with other lines."""

import json
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies

from serving.bulk import inference
from serving.bulk.inference import Model
from serving.bulk.lines import Task
from serving.client.options import GenerateOptions
from serving.commands.shared.local_model import LocalModel
from serving.graph import generation_config
from serving.graph.generation_config import Limits

pytestmark = pytest.mark.integration
GENERATE = Task(GenerateOptions(num_chars=12, seed=7))
SCORE = Task()


@pytest.fixture(scope="module")
def model(pushed: str, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """The small export, which states that it writes at most 50 characters."""
    directory = shutil.copytree(f"{pushed}/serving/tiny/3", tmp_path_factory.mktemp("export") / "3")
    generation_config.write(str(directory), Limits(40, 0.8, 0, 50, 18, max_batch_chars=2_000, max_score_chars=500_000))
    return Model(str(directory))


def answer(model: Model, contents: Sequence[dict[str, Any] | str], task: Task, first: int = 1) -> list[dict[str, Any]]:
    encoded = [(one if isinstance(one, str) else json.dumps(one)).encode() for one in contents]
    return [json.loads(line) for line in model.answer(first, encoded, task)]


def test_rows_with_different_options_are_those_of_single_requests(model: Model) -> None:
    single = LocalModel(model._signatures)
    rows: list[dict[str, Any]] = [
        {"prompt": "ROMEO:", "num_chars": 40, "temperature": 0.5},
        {"prompt": "the", "top_k": 3},
        {"prompt": "", "num_chars": 5, "seed": -3, "id": "x"},
        {"prompt": "é", "top_p": 0.5, "repetition_penalty": 1.5, "num_chars": 30},
        {"prompt": "the", "num_chars": 0},
    ]
    (text,) = single.generate(["lord"], num_chars=40, seed=50)
    rows.append({"prompt": "lord", "num_chars": 40, "seed": 50, "stop": text[20:22]})
    answers = answer(model, rows, GENERATE, 11)
    for number, (row, found) in enumerate(zip(rows, answers, strict=True), 11):
        options = {key: value for key, value in row.items() if key not in ("prompt", "id")}
        seed = options.pop("seed", 7 + number - 1)
        (expected,) = single.generate([row["prompt"]], **{"num_chars": 12, **options, "seed": seed})
        assert found == {
            "line": number,
            **({"id": row["id"]} if "id" in row else {}),
            "prompt": row["prompt"],
            "seed": seed,
            "text": expected,
            "stopped": expected.stopped,
        }
    assert answers[-1]["text"] == text[: text.index(text[20:22])]
    assert answers[-1]["stopped"]


def test_scores_are_those_of_single_requests(model: Model) -> None:
    texts = ["ROMEO: the\n", "x", "", "the lord"]
    answers = answer(model, [{"text": text} for text in texts], SCORE)
    for text, found in zip(texts, answers, strict=True):
        (expected,) = LocalModel(model._signatures).score([text])
        assert found["nats"] == pytest.approx(expected.nll_sum, rel=1e-5)
        assert found["predicted"] == max(len(text) - 1, 0)
        assert found["perplexity"] == (pytest.approx(expected.perplexity, rel=1e-5) if len(text) > 1 else None)


@hypothesis.settings(max_examples=15)
@hypothesis.given(
    strategies.lists(
        strategies.sampled_from(
            [
                ('{"prompt": "the", "num_chars": 3}', True),
                ('{"prompt": "", "num_chars": 2, "top_p": 0.5}', True),
                ('{"prompt": "é", "num_chars": 0, "top_k": 2}', True),
                ('{"prompt": "the", "num_chars": 51}', False),
                ('{"prompt": "the", "temperature": 101}', False),
                ('{"prompt": "the", "top_p": 2}', False),
                ('{"text": "the"}', False),
                ("", False),
            ]
        ),
        max_size=9,
    ),
    strategies.integers(1, 2**40),
)
def test_every_line_has_one_answer_in_its_place(model: Model, chosen: list[tuple[str, bool]], first: int) -> None:
    answers = answer(model, [content for content, _ in chosen], GENERATE, first)
    assert [one["line"] for one in answers] == list(range(first, first + len(chosen)))
    assert ["error" not in one for one in answers] == [good for _, good in chosen]


def test_limits_of_the_export_are_stated(model: Model) -> None:
    first, second = answer(model, [{"prompt": "a", "num_chars": 51}, {"prompt": "a", "temperature": 101}], GENERATE)
    assert first["error"] == "num_chars must be from 0 to 50, as this model was exported. Received: num_chars=51"
    assert second["error"].startswith("temperature must be from 0 to 100, as this model was exported. ")


def test_batches_are_within_the_bound_and_of_similar_length(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[tuple[str, list[int]]] = []
    monkeypatch.setattr(model, "_signatures", {name: recorded(batches, name) for name in model._signatures})
    rows = [{"prompt": "", "num_chars": 5 + 45 * (number % 2)} for number in range(150)]
    rows += [{"prompt": "", "num_chars": 5, "top_k": 1}] * 3 + [{"prompt": "", "num_chars": 5, "stop": "x"}] * 2
    answer(model, rows, GENERATE)
    assert Counter(name for name, _ in batches) == {"generate": 5, "sample": 1}
    assert sorted(map(len, (lengths for _, lengths in batches))) == [2, 3, 6, 40, 40, 64]
    assert all(len(lengths) * max(lengths) <= 2_000 for _, lengths in batches)
    assert sum(max(lengths) - min(lengths) > 0 for _, lengths in batches) <= 1


def recorded(batches: list[tuple[str, list[int]]], name: str) -> Any:
    import tensorflow as tf

    def call(**inputs: Any) -> dict[str, Any]:
        batches.append((name, inputs["num_chars"].numpy().tolist()))
        return {"text": tf.fill(inputs["num_chars"].shape, "x")}

    return call


def test_row_that_the_graph_rejects_fails_alone(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "_MAX_SCORE_CHARS", 10**9)
    monkeypatch.setattr(model, "_limits", None)
    texts = ["the lord", "e" * 500_001, "ROMEO:"]
    answers = answer(model, [{"text": text, "id": len(text)} for text in texts], SCORE)
    assert [one.get("predicted") for one in answers] == [7, None, 5]
    assert answers[1]["error"].startswith("The model rejects the line: score takes at most 500000 characters: number")
    assert (answers[1]["line"], answers[1]["id"]) == (2, 500_001)


def test_older_export_without_the_controls(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    old = {name: model._signatures[name] for name in ("generate", "generate_from_state", "score")}
    monkeypatch.setattr(model, "_signatures", old)
    (plain,) = answer(model, [{"prompt": "lord", "num_chars": 40}], GENERATE)
    stop = plain["text"][20:22]
    stopped, refused = answer(
        model, [{"prompt": "lord", "num_chars": 40, "seed": 7, "stop": stop}, {"prompt": "", "top_p": 0.5}], GENERATE
    )
    assert (stopped["text"], stopped["stopped"]) == (plain["text"][: plain["text"].index(stop)], True)
    assert refused["error"].startswith("The model was exported before top_p existed.")


def test_files_of_the_export_are_all_that_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="SavedModel"):
        Model(str(tmp_path))
