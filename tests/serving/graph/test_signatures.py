"""The signatures of the SavedModel: names, shapes and types for REST, and the same texts as before saving."""

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2, saved_model_pb2

from serving.graph import signatures
from serving.graph.one_step import Defaults, OneStep, Weights
from tests import warm
from transform.vocabulary import Vocabulary

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[3]
CHARACTERS = " etaé\nT"
PROMPTS = ["T", "", "xü tea"]


def tiny(layers: int, **defaults: Any) -> OneStep:
    random = np.random.default_rng(layers)

    def normal(*shape: int) -> Any:
        return np.asarray(random.standard_normal(shape), np.float32)

    ids, units = len(CHARACTERS) + 1, 5
    inputs = [4] + [units] * (layers - 1)
    gru = [(normal(size, 3 * units), normal(units, 3 * units), normal(2, 3 * units)) for size in inputs]
    weights = Weights(normal(ids, 4), gru, normal(units, ids), normal(ids))
    chosen = Defaults(**{"num_chars": 40, "temperature": 0.8, "top_k": 0, "max_chars": 1000, **defaults})
    return OneStep(weights, Vocabulary(tuple(map(ord, CHARACTERS))), chosen)


def controls(rows: int) -> dict[str, tf.Tensor]:
    return {
        "num_chars": tf.range(20, 20 + rows),
        "temperature": tf.fill([rows], 0.9),
        "top_k": tf.range(rows),
        "seed": tf.range(rows, dtype=tf.int64),
    }


def example(text: str) -> bytes:
    feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[text.encode()]))
    return bytes(tf.train.Example(features=tf.train.Features(feature={"text": feature})).SerializeToString())


@pytest.fixture(scope="module", params=[1, 2])
def made(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[OneStep, str, dict[str, Any]]:
    """A model, where it is saved, and its signatures before saving."""
    model, directory = tiny(request.param), str(tmp_path_factory.mktemp("saved") / "model")
    return model, directory, signatures.save(model, directory)


@pytest.fixture(scope="module")
def saved(made: tuple[OneStep, str, dict[str, Any]]) -> tuple[OneStep, str]:
    return made[:2]


@pytest.fixture(scope="module")
def loaded(saved: tuple[OneStep, str]) -> Any:
    """The signatures of the saved model."""
    return tf.saved_model.load(saved[1]).signatures


def test_signatures_are_complete_and_no_others(loaded: Any) -> None:
    generating = {"generate", "generate_from_state", "sample", "sample_from_state"}
    assert set(loaded) == {"serving_default", *generating, "score", "alternatives", "eval_nll"}
    assert set(signatures.SERVING_SIGNATURES) | {signatures.EVAL_SIGNATURE} == set(loaded)


def test_inputs_and_outputs_are_as_documented(saved: tuple[OneStep, str], loaded: Any) -> None:
    model, _ = saved
    prompt = {"prompt": (tf.string, ())}
    asked = {
        "num_chars": (tf.int32, ()),
        "temperature": (tf.float32, ()),
        "top_k": (tf.int32, ()),
        "seed": (tf.int64, ()),
    }
    more = {"top_p": (tf.float32, ()), "repetition_penalty": (tf.float32, ()), "stop": (tf.string, ())}
    state, text, stopped = (
        {"state": (tf.float32, (model.state_size,))},
        {"text": (tf.string, ())},
        {"stopped": (tf.bool, ())},
    )
    wide = {"state": (tf.float32, (model.sample_state_size,))}
    ranked = {"characters": (tf.string, (None, None)), "probabilities": (tf.float32, (None, None))}
    sums = ("nll_sum", "num_chars", "num_unknown")
    expected: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "serving_default": (prompt, text),
        "generate": (prompt | asked, text),
        "generate_from_state": (prompt | state | asked, text | state),
        "sample": (prompt | asked | more, text | stopped),
        "sample_from_state": (prompt | wide | asked | more, text | wide | stopped),
        "alternatives": (text | {"top_n": (tf.int32, ())}, ranked | {"num_chars": (tf.int32, ())}),
        "score": (text, {"nll": (tf.float32, (None,)), "nll_sum": (tf.float32, ()), "num_chars": (tf.int32, ())}),
        "eval_nll": (
            {"examples": (tf.string, ())},
            dict.fromkeys(sums, (tf.float32, ())) | {"nll": (tf.float32, (None,))},
        ),
    }
    for name, function in loaded.items():
        given = function.structured_input_signature[1]
        for actual, promised in zip((given, function.structured_outputs), expected[name]):
            # Rows come first, and their number is free.
            assert {key: (spec.dtype, tuple(spec.shape)) for key, spec in actual.items()} == {
                key: (dtype, (None, *inner)) for key, (dtype, inner) in promised.items()
            }
            assert not [key for key in actual if key.endswith("_bytes")]  # TF Serving takes them for base64


def test_loaded_model_gives_the_same_results(made: tuple[OneStep, str, dict[str, Any]], loaded: Any) -> None:
    model, _, before = made
    state = tf.constant(np.tile(np.linspace(0, 1, model.state_size, dtype=np.float32), (3, 1)))
    calls = {
        "generate": {"prompt": tf.constant(PROMPTS), **controls(3)},
        "generate_from_state": {"prompt": tf.constant(PROMPTS), "state": state, **controls(3)},
        "sample_from_state": {
            "prompt": tf.constant(PROMPTS),
            "state": tf.tile(state[:, :1], (1, model.sample_state_size)),
            "top_p": tf.fill([3], 0.9),
            "repetition_penalty": tf.fill([3], 1.5),
            "stop": tf.constant(["", "a", "te"]),
            **controls(3),
        },
        "alternatives": {"text": tf.constant(PROMPTS), "top_n": tf.constant([1, 3, 2])},
        "score": {"text": tf.constant(PROMPTS)},
        "eval_nll": {"examples": tf.constant([example(text) for text in PROMPTS])},
    }
    for name, inputs in calls.items():
        expected, actual = before[name](**inputs), loaded[name](**inputs)
        assert set(expected) == set(actual)
        for key in expected:
            np.testing.assert_array_equal(actual[key], expected[key], err_msg=f"{name}: {key}")


def test_signatures_share_the_graphs_that_read_write_and_score(saved: tuple[OneStep, str]) -> None:
    graphs = saved_model_pb2.SavedModel.FromString(Path(saved[1], "saved_model.pb").read_bytes()).meta_graphs[0]
    nodes = [node for function in graphs.graph_def.library.function for node in function.node_def]
    assert sum(node.op in ("While", "StatelessWhile") for node in nodes) == 7
    # One reads, two write, two score, two rank.


def test_functions_turn_off_the_graph_optimizer_and_the_process_keeps_it(saved: tuple[OneStep, str]) -> None:
    assert not tf.config.optimizer.get_experimental_options()["disable_meta_optimizer"]
    graphs = saved_model_pb2.SavedModel.FromString(Path(saved[1], "saved_model.pb").read_bytes()).meta_graphs[0]
    calls = [node.attr["config_proto"].s for node in graphs.graph_def.node if node.op == "StatefulPartitionedCall"]
    options = [config_pb2.ConfigProto.FromString(call).graph_options.rewrite_options for call in calls]
    assert len(options) >= len(signatures.build(saved[0]))
    assert all(option.disable_meta_optimizer for option in options)


def test_generate_equals_generate_from_state_with_zeros(saved: tuple[OneStep, str], loaded: Any) -> None:
    model, _ = saved
    inputs = {"prompt": tf.constant(PROMPTS), **controls(3)}
    stateful = loaded["generate_from_state"](state=tf.zeros((3, model.state_size)), **inputs)
    np.testing.assert_array_equal(stateful["text"], loaded["generate"](**inputs)["text"])


# serving_default


def test_default_generates_the_configured_length_and_a_new_text_per_row_and_request() -> None:
    function = signatures.build(tiny(1, num_chars=60, temperature=1.0))["serving_default"]
    texts = [text.decode() for _ in range(5) for text in function(prompt=tf.constant(["T"] * 4))["text"].numpy()]
    assert {len(text) for text in texts} == {60}
    assert len(set(texts)) == 20


def test_default_uses_the_configured_temperature_and_top_k() -> None:
    prompt = tf.constant(["T"] * 3)
    greedy = signatures.build(tiny(1))["generate"](
        prompt=prompt, **{**controls(3), "num_chars": tf.fill([3], 40), "temperature": tf.zeros(3)}
    )["text"]
    for defaults in ({"temperature": 1e-7}, {"top_k": 1, "temperature": 5.0}):
        texts = signatures.build(tiny(1, **defaults))["serving_default"](prompt=prompt)["text"]
        np.testing.assert_array_equal(texts, greedy)


EXPORT = """
import sys
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2, saved_model_pb2
sys.path.insert(0, sys.argv[2])
import numpy as np
from serving.graph import signatures
from serving.graph.one_step import Defaults, OneStep, Weights
from transform.vocabulary import Vocabulary

tf.random.set_seed(1)
tf.config.experimental.enable_op_determinism()
ones = lambda *shape: np.ones(shape, np.float32)
weights = Weights(ones(3, 2), [(ones(2, 6), ones(2, 6), ones(2, 6))], ones(2, 3), ones(3))
model = OneStep(weights, Vocabulary((97, 98)), Defaults(64, 1.0, 0, 100))
signatures.save(model, sys.argv[1])
"""


def test_servers_of_a_reproducible_training_start_with_different_texts(tmp_path: Path) -> None:
    directory = str(tmp_path / "model")
    subprocess.run([warm.python(), "-c", EXPORT, directory, str(ROOT)], check=True, capture_output=True)
    starts = [tf.saved_model.load(directory).signatures["serving_default"] for _ in range(3)]
    texts = {start(prompt=tf.constant(["a"]))["text"].numpy()[0] for start in starts}
    assert len(texts) == 3
