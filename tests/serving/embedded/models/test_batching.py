"""A real export: batched requests return what the graph returns, and other requests run alone."""

import asyncio
import dataclasses
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.embedded.models import batching
from serving.embedded.models.batching import Predictor
from serving.embedded.models.loaded import LoadedModel
from serving.embedded.statuses import RequestError
from tests import gru, numeric

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def predictor(export_dir: Path) -> Iterator[Predictor]:
    with ThreadPoolExecutor(2) as alone:
        one = Predictor(LoadedModel(str(export_dir)), alone, max_rows=8, max_waiting=100)
        yield one
        one.close()


def texts(*values: str | bytes) -> np.ndarray:
    array = np.empty(len(values), object)
    array[:] = [value.encode() if isinstance(value, str) else value for value in values]
    return array


def controls(*counts: int, **changes: Any) -> dict[str, np.ndarray]:
    rows = len(counts)
    return {
        "num_chars": np.array(counts, np.int32),
        "temperature": np.linspace(0.0, 1.5, rows, dtype=np.float32),
        "top_k": np.arange(rows, dtype=np.int32),
        "seed": np.arange(rows, dtype=np.int64) - 1,
        **changes,
    }


def check_same(inputs: dict[str, np.ndarray], some: np.ndarray, others: np.ndarray, exported: Any) -> None:
    """Compare the texts of the same requests; they may differ where rounding decides."""
    how = [inputs[name].tolist() for name in ("prompt", "temperature", "top_k", "seed")]
    for one, other, prompt, *rest in zip(some, others, *how, strict=True):
        prompt = prompt.decode(errors="replace")
        gru.assert_same_text(one.decode(), other.decode(), *exported, prompt, *rest)


LONG = ["the oat " * 90, "a" * 257, b"\xff\xc3" * 300]
PROMPTS = st.text("The tea\n\u00e9x", max_size=9) | st.binary(max_size=6) | st.sampled_from(LONG)
REQUEST = st.lists(st.tuples(PROMPTS, st.integers(0, 70)), min_size=1, max_size=4)


@pytest.mark.numeric
@settings(max_examples=8)
@given(st.lists(REQUEST, min_size=1, max_size=4))
def test_batched_texts_equal_one_call_of_the_graph(predictor: Predictor, exported: Any, requests: Any) -> None:
    asked = [
        {"prompt": texts(*(prompt for prompt, _ in rows)), **controls(*(count for _, count in rows))}
        for rows in requests
    ]

    async def together() -> list[dict[str, np.ndarray]]:
        return await asyncio.gather(*(predictor.run("generate", inputs) for inputs in asked))

    for inputs, outputs in zip(asked, asyncio.run(together())):
        assert set(outputs) == {"text"}
        check_same(inputs, outputs["text"], predictor.model.run("generate", inputs)["text"], exported)


@pytest.mark.numeric
def test_generation_continues_from_a_state(predictor: Predictor, exported: Any) -> None:
    zeros = np.zeros((2, predictor.model.limits.state_size), np.float32)  # type: ignore[union-attr]
    inputs = {"prompt": texts("The ", ""), "state": zeros, **controls(80, 50)}
    expected = predictor.model.run("generate_from_state", inputs)
    outputs = asyncio.run(predictor.run("generate_from_state", inputs))
    check_same(inputs, outputs["text"], expected["text"], exported)
    for prompt, text, state in zip(("The ", "\n"), outputs["text"], outputs["state"], strict=True):
        exact = gru.Gru(*exported)
        for character in (prompt + text.decode())[:-1]:
            exact.read(character)
        numeric.close(state[:-2], exact.hidden[0][:, 0])
    np.testing.assert_array_equal(outputs["state"][:, -1], inputs["num_chars"])  # number of samples


@pytest.mark.numeric
def test_sampling_controls_are_batched(predictor: Predictor, exported: Any) -> None:
    rows = ("The ", "", LONG[0], "tea")
    more = {
        "top_p": np.array([1.0, 0.9, 0.8, 1.0], np.float32),
        "repetition_penalty": np.array([1.0, 1.3, 0.9, 1.0], np.float32),
        "stop": texts("", "t", "ea", "e"),
    }
    inputs = {"prompt": texts(*rows), **controls(70, 50, 60, 40), **more}

    async def one_by_one() -> list[dict[str, np.ndarray]]:
        split = [{name: array[row : row + 1] for name, array in inputs.items()} for row in range(len(rows))]
        return await asyncio.gather(*(predictor.run("sample", row) for row in split))

    outputs = asyncio.run(one_by_one())
    for row, output in enumerate(outputs):
        assert set(output) == {"text", "stopped"}
        assert output["stopped"].dtype == bool
        assert bool(output["stopped"][0]) == output["text"][0].endswith(more["stop"][row] or b"none")
    # Without a penalty and a limit, the texts are those of `generate` up to the stop string.
    for row in (0, 3):
        plain = {name: array[row : row + 1] for name, array in inputs.items() if name not in more}
        stop = more["stop"][row]
        whole = predictor.model.run("generate", plain)["text"][0]
        end = whole.index(stop) + len(stop) if stop and stop in whole else len(whole)
        check_same(plain, outputs[row]["text"], np.array([whole[:end]], object), exported)
    assert not outputs[0]["stopped"][0]


def test_the_default_signature_uses_a_new_seed_for_each_row(predictor: Predictor) -> None:
    outputs = asyncio.run(predictor.run("serving_default", {"prompt": texts(*["The"] * 6)}))
    assert set(outputs) == {"text"}
    assert {len(text.decode()) for text in outputs["text"]} == {40}
    assert len(set(outputs["text"])) == 6


def test_other_signatures_run_in_the_graph(predictor: Predictor) -> None:
    inputs = {"text": texts("The tea", "at")}
    np.testing.assert_equal(asyncio.run(predictor.run("score", inputs)), predictor.model.run("score", inputs))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"num_chars": np.array([5_001], np.int32)}, "num_chars must be from 0 to 5000"),
        ({"temperature": np.array([-1], np.float32)}, "temperature must be from 0 to 20"),
        ({"temperature": np.array([21], np.float32)}, "temperature must be from 0 to 20"),
        ({"top_k": np.array([-1], np.int32)}, "top_k must be 0"),
    ],
)
def test_the_graphs_error_is_returned_for_an_invalid_row(
    predictor: Predictor, changes: dict[str, np.ndarray], expected: str
) -> None:
    with pytest.raises(RequestError, match=expected) as caught:
        asyncio.run(predictor.run("generate", {"prompt": texts("x"), **controls(1, **changes)}))
    assert caught.value.http == 400


@pytest.mark.parametrize("large", [("é" * 2_001,), ("a" * 30, *[""] * 70)])
def test_score_is_bounded_by_the_graph(
    predictor: Predictor, large: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "_MAX_PADDED_CHARACTERS", 1_000)  # the server's own bound, in bytes, is not for this
    asyncio.run(predictor.run("score", {"text": texts("é" * 2_000)}))
    with pytest.raises(RequestError, match="score takes at most 2000 characters") as caught:
        asyncio.run(predictor.run("score", {"text": texts(*large)}))
    assert caught.value.http == 400  # not 429 or 503: a retry would fail as well


@pytest.mark.parametrize("large", [("a" * 600_000,), ("a" * 30_000, *[""] * 100)])
def test_a_text_that_needs_too_much_memory_is_rejected_for_an_export_without_a_bound(
    predictor: Predictor, large: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert predictor.model.limits is not None
    monkeypatch.setattr(predictor.model, "limits", dataclasses.replace(predictor.model.limits, max_score_chars=0))
    with pytest.raises(RequestError, match="characters, need too much memory") as caught:
        asyncio.run(predictor.run("score", {"text": texts(*large)}))
    assert caught.value.http == 400


def test_a_model_without_limits_runs_without_batching(export_dir: Path) -> None:
    loaded = LoadedModel(str(export_dir))
    loaded.limits = None
    with ThreadPoolExecutor(1) as alone:
        seconds: list[float] = []
        predictor = Predictor(loaded, alone, 8, 100, seconds.append)
        assert not predictor.batched
        inputs = {"prompt": texts("The"), **controls(9)}
        outputs = asyncio.run(predictor.run("generate", inputs))
        np.testing.assert_array_equal(outputs["text"], loaded.run("generate", inputs)["text"])
        assert len(seconds) == 1
        assert seconds[0] > 0
        predictor.close()
