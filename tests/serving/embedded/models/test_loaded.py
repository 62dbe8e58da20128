"""A SavedModel in a session: its signatures, its outputs, and the errors of broken ones."""

import ctypes
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import tensorflow as tf

from serving.embedded.models import loaded as loaded_module
from serving.embedded.models.loaded import LoadedModel
from serving.embedded.statuses import RequestError
from serving.graph import generation_config, warmup
from serving.graph.signatures import EVAL_SIGNATURE, SERVING_SIGNATURES
from tests import numeric
from tests.gru import Gru

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def loaded(export_dir: Path) -> Iterator[LoadedModel]:
    one = LoadedModel(str(export_dir))
    yield one
    one.close()


@pytest.fixture
def copy(export_dir: Path, tmp_path: Path) -> Path:
    shutil.copytree(export_dir, tmp_path / "1")
    return tmp_path / "1"


def prompts(*values: bytes) -> dict[str, np.ndarray]:
    return {"prompt": np.array(values, object)}


def test_signatures_and_limits_match_the_export(loaded: LoadedModel) -> None:
    initial = {"__saved_model_init_op"}  # among the signatures of the file, and in TF Serving's responses
    assert set(loaded.signatures) == {*SERVING_SIGNATURES, EVAL_SIGNATURE} | initial
    assert loaded.limits is not None
    assert (loaded.limits.num_chars, loaded.limits.max_chars) == (40, 5_000)
    assert loaded.limits.max_temperature == 20.0
    assert loaded.warm_up_seconds is not None
    assert loaded.warm_up_seconds > 0
    state = loaded.signature("generate_from_state").inputs["state"]
    assert (state.dtype, state.enum, state.shape) == ("float", "DT_FLOAT", (-1, loaded.limits.state_size))
    with pytest.raises(RequestError, match='Serving signature name: "x" not found in signature def'):
        loaded.signature("x")


@pytest.mark.parametrize(("cores", "small", "threads"), [(1, True, 1), (2, True, 1), (2, False, 2), (8, True, 8)])
def test_one_core_for_each_operation_of_a_small_model_on_two(
    export_dir: Path, monkeypatch: pytest.MonkeyPatch, cores: int, small: bool, threads: int
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    monkeypatch.setattr(loaded_module, "_SMALL_MATRIX", 10**6 if small else 10)
    assert loaded_module._threads_per_operation(str(export_dir)) == threads
    assert loaded_module._threads_per_operation("no such directory") == cores


def test_metadata_has_tf_servings_form(loaded: LoadedModel) -> None:
    described = loaded.metadata["serving_default"]
    assert described["method_name"] == "tensorflow/serving/predict"
    assert described["inputs"]["prompt"] | {"name": ""} == {
        "dtype": "DT_STRING",
        "tensor_shape": {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False},
        "name": "",
    }


@pytest.mark.numeric
def test_outputs_equal_those_of_the_saved_model(loaded: LoadedModel, export_dir: Path, exported: Any) -> None:
    inputs = {"text": np.array([b"The tea", b"a"], object)}
    expected = tf.saved_model.load(str(export_dir)).signatures["score"](text=tf.constant(inputs["text"]))
    outputs = loaded.run("score", inputs)
    assert set(outputs) == set(expected) == {"nll", "nll_sum", "num_chars"}
    for found in (outputs, expected):
        numeric.close(found["nll"][0], Gru(*exported).nll("The tea"))
        numeric.close(found["nll_sum"][0], Gru(*exported).nll_sum("The tea"))
        np.testing.assert_array_equal(found["nll"][1], np.zeros(6))
        np.testing.assert_array_equal(found["num_chars"], [6, 0])


def test_inputs_that_the_signature_does_not_have_are_rejected(loaded: LoadedModel) -> None:
    expected = "input size does not match signature: 1!=1 .* Sent extra: {x}. Missing but required: {prompt}."
    with pytest.raises(RequestError, match=expected):
        loaded.run("serving_default", {"x": np.zeros(1)})


@pytest.mark.parametrize("array", [np.zeros((2, 2), object), np.zeros((), object)])
def test_a_wrong_shape_is_an_invalid_argument(loaded: LoadedModel, array: np.ndarray) -> None:
    array = np.full(array.shape, b"x", object)
    with pytest.raises(RequestError) as caught:
        loaded.run("serving_default", {"prompt": array})
    assert caught.value.http == 400


def test_a_message_that_quotes_bytes_is_kept(loaded: LoadedModel) -> None:
    with pytest.raises(RequestError) as caught:
        loaded.run("eval_nll", {"examples": np.array([b"\xff"], object)})
    assert caught.value.http == 400
    message = caught.value.message.encode("utf-8", "surrogateescape")
    assert b"Could not parse example input, value: '\xff'" in message


def test_the_graphs_error_has_no_stack_trace(loaded: LoadedModel) -> None:
    inputs = {
        **prompts(b"x"),
        "num_chars": np.array([1], np.int32),
        "temperature": np.array([-1], np.float32),
        "top_k": np.array([0], np.int32),
        "seed": np.array([0], np.int64),
    }
    with pytest.raises(RequestError, match="temperature must be from 0 to 20") as caught:
        loaded.run("generate", inputs)
    assert "stack" not in caught.value.message


def load_error(directory: Path) -> RequestError:
    with pytest.raises(RequestError) as caught:
        LoadedModel(str(directory))
    return caught.value


def test_a_directory_without_a_saved_model(tmp_path: Path) -> None:
    assert "SavedModel" in load_error(tmp_path).message
    assert load_error(tmp_path / "nowhere").code in ("NOT_FOUND", "INVALID_ARGUMENT")


def test_missing_or_truncated_weights(copy: Path) -> None:
    data = next((copy / "variables").glob("*.data-*"))
    whole = data.read_bytes()
    data.write_bytes(whole[: len(whole) // 2])
    assert load_error(copy).http >= 400
    data.unlink()
    assert load_error(copy).http >= 400
    data.write_bytes(whole)
    LoadedModel(str(copy)).close()


def test_a_truncated_graph(copy: Path) -> None:
    graph = copy / "saved_model.pb"
    graph.write_bytes(graph.read_bytes()[:5_000])
    assert load_error(copy).message


def test_a_warm_up_file_that_fails_or_cannot_be_read(copy: Path) -> None:
    path = copy / warmup.PLACE
    path.write_bytes(b"no records, but many bytes of something else")
    assert "warm-up file cannot be read" in load_error(copy).message
    warmup.write(str(copy), "m", state_size=3)  # a state of another size
    assert load_error(copy).http == 400


def test_too_many_warm_up_requests(copy: Path) -> None:
    path = copy / warmup.PLACE
    path.write_bytes(path.read_bytes() * 201)
    assert "exceeds the maximum (1000)" in load_error(copy).message


def test_a_model_without_warm_up_and_limits_is_served(copy: Path) -> None:
    (copy / warmup.PLACE).unlink()
    (copy / generation_config.PLACE).unlink()
    one = LoadedModel(str(copy))
    assert (one.limits, one.warm_up_seconds) == (None, None)
    assert len(one.run("serving_default", prompts(b"a", b"b"))["text"]) == 2
    one.close()


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="a C library without malloc_trim")
def test_freed_memory_returns_to_the_system_with_the_next_unload(tmp_path: Path) -> None:
    """glibc keeps freed blocks below one that is in use, so that a server that loads versions would grow."""
    libc, process = ctypes.CDLL(None), psutil.Process()
    libc.malloc.restype = ctypes.c_void_p
    blocks = [libc.malloc(2_048) for _ in range(30_000)]
    for block in blocks:
        ctypes.memset(block, 1, 2_048)
    last = blocks.pop()
    for block in blocks:
        libc.free(ctypes.c_void_p(block))
    before = process.memory_info().rss
    with pytest.raises(RequestError):
        LoadedModel(str(tmp_path))  # there is none: it is unloaded
    assert before - process.memory_info().rss > 40 * 2**20
    libc.free(ctypes.c_void_p(last))
