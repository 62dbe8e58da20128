"""A good export passes; each kind of broken export is rejected with the reason."""

import functools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_log_pb2

from serving.graph import signatures, warmup
from serving.graph.one_step import Defaults, OneStep, Weights
from serving.probe import in_process
from serving.probe.in_process import InvalidExport, probe
from transform.vocabulary import Vocabulary

pytestmark = pytest.mark.integration

CHARACTERS = " etaé\nThnd."
ALL = (*signatures.SERVING_SIGNATURES, signatures.EVAL_SIGNATURE)


class Tiny(OneStep):
    """A model with random weights; subclasses break one method."""

    def __init__(self, bias: float = 0.0, **defaults: Any) -> None:
        random = np.random.default_rng(1)

        def normal(*shape: int) -> Any:
            return np.asarray(random.standard_normal(shape), np.float32)

        ids, units = len(CHARACTERS) + 1, 5
        weights = Weights(
            embedding=normal(ids, 4),
            layers=[(normal(4, 3 * units), normal(units, 3 * units), normal(2, 3 * units))],
            projection=normal(units, ids),
            projection_bias=normal(ids) + np.float32(bias),
        )
        chosen = Defaults(**{"num_chars": 5, "temperature": 0.8, "top_k": 0, "max_chars": 100, **defaults})
        super().__init__(weights, Vocabulary(tuple(map(ord, CHARACTERS))), chosen)


@functools.cache
def good_signatures() -> tuple[OneStep, dict[str, Any]]:
    """A good model and its signatures, traced once."""
    model = Tiny()
    return model, {name: built.get_concrete_function() for name, built in signatures.build(model).items()}


@pytest.fixture(scope="module", autouse=True)
def _let_go_of_graphs(without_graph_optimizer: None) -> Iterator[None]:
    yield
    good_signatures.cache_clear()  # TensorFlow complains when they live until the interpreter ends


def save(model: OneStep, directory: Path, own: tuple[str, ...] = ALL) -> str:
    """Save a model with its own signatures of these names; the others are those of the good model."""
    model.good, others = good_signatures()
    built = signatures.build(model)
    tf.saved_model.save(model, str(directory), signatures={**others, **{name: built[name] for name in own}})
    warmup.write(str(directory), "mine", model.state_size)
    return str(directory)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(save(Tiny(), tmp_path_factory.mktemp("good") / "model", own=()))


@pytest.fixture
def export(good: Path, tmp_path: Path) -> Path:
    """A copy of the good export, for a test to break."""
    return Path(shutil.copytree(good, tmp_path / "model"))


def write_requests(export: Path, *requests: tuple[str, dict[str, Any]]) -> None:
    with tf.io.TFRecordWriter(str(export / warmup.PLACE)) as writer:
        for signature, inputs in requests:
            request = predict_pb2.PredictRequest(model_spec=model_pb2.ModelSpec(signature_name=signature))
            for name, value in inputs.items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
            log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
            writer.write(log.SerializeToString())


def usual(export: Path) -> list[tuple[str, dict[str, Any]]]:
    return warmup.read(str(export))


def test_a_good_export_is_accepted(good: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in good.rglob("*")}
    probe(str(good))
    assert {path: path.stat().st_mtime_ns for path in good.rglob("*")} == before


# Broken files


def truncate_weights(export: Path) -> None:
    (data,) = export.glob("variables/variables.data-*")
    data.write_bytes(data.read_bytes()[:-40])


def garble_weights(export: Path) -> None:
    index = export / "variables" / "variables.index"
    index.write_bytes(index.read_bytes()[::-1])


def garble_warmup(export: Path) -> None:
    path = export / warmup.PLACE
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def request_an_unknown_signature(export: Path) -> None:
    write_requests(export, ("classify", {"prompt": np.array([b"T"], object)}), *usual(export))


def request_without_an_input(export: Path) -> None:
    write_requests(export, ("generate", {"prompt": np.array([b"T"], object)}), *usual(export))


def leave_out_score(export: Path) -> None:
    write_requests(export, *(request for request in usual(export) if request[0] != "score"))


@pytest.mark.parametrize(
    ("breaks", "reason"),
    [
        (lambda export: (export / "saved_model.pb").unlink(), "the SavedModel does not load: "),
        (lambda export: (export / "saved_model.pb").write_bytes(b"garbage"), "the SavedModel does not load: "),
        (lambda export: shutil.rmtree(export / "variables"), "the SavedModel does not load: "),
        (truncate_weights, "the SavedModel does not load: "),
        (garble_weights, "the SavedModel does not load: "),
        (lambda export: (export / warmup.PLACE).unlink(), "The warm-up file cannot be read: "),
        (garble_warmup, "The warm-up file cannot be read: "),
        (lambda export: (export / warmup.PLACE).write_bytes(b""), "The warm-up file holds no request"),
        (request_an_unknown_signature, "the warm-up file requests the signature classify, which the model does not"),
        (request_without_an_input, "the signature generate fails: "),
        (leave_out_score, "the warm-up file has no request for score"),
    ],
)
def test_broken_files_are_rejected_with_the_reason(export: Path, breaks: Callable[[Path], Any], reason: str) -> None:
    breaks(export)
    with pytest.raises(InvalidExport) as rejected:
        probe(str(export))
    assert str(rejected.value).startswith(reason)
    assert "\n" not in str(rejected.value)


# Broken models


@pytest.mark.parametrize("missing", ["generate_from_state", "eval_nll"])
def test_a_missing_signature_is_rejected_by_name(tmp_path: Path, missing: str) -> None:
    model, good = good_signatures()
    present = {name: signature for name, signature in good.items() if name != missing}
    tf.saved_model.save(model, str(tmp_path), signatures=present)
    with pytest.raises(InvalidExport, match=f"^the signature {missing} is missing$"):
        probe(str(tmp_path))


class Short(Tiny):
    """Generates one character fewer than requested."""

    def generate_from_state(
        self, prompt: Any, state: Any, num_chars: Any, temperature: Any, top_k: Any, seed: Any, read: Any = None
    ) -> Any:
        return super().generate_from_state(prompt, state, tf.maximum(num_chars - 1, 0), temperature, top_k, seed, read)


class Random(Tiny):
    """Ignores the seed."""

    def generate_from_state(
        self, prompt: Any, state: Any, num_chars: Any, temperature: Any, top_k: Any, seed: Any, read: Any = None
    ) -> Any:
        another = tf.random.uniform(tf.shape(seed), maxval=1 << 60, dtype=tf.int64)
        return super().generate_from_state(prompt, state, num_chars, temperature, top_k, another, read)


class Unchecked(Tiny):
    """Accepts any parameter."""

    def _checks(self, *inputs: Any) -> list[Any]:
        return []


class Nameless(Tiny):
    """Rejects a bad parameter without naming it."""

    def _checks(self, *inputs: Any) -> list[Any]:
        return [tf.debugging.Assert(tf.reduce_all(inputs[2] >= 0.0), ["no"])]


class Deaf(Tiny):
    """Ignores the stop string."""

    def sample_from_state(self, *inputs: Any, read: Any = None) -> Any:
        *others, stop, seed = inputs
        return super().sample_from_state(*others, tf.fill(tf.shape(stop), ""), seed, read)


class Optimist(Tiny):
    """Reports a lower loss to the Evaluator than to `score`."""

    def eval_nll(self, examples: Any, score: Any) -> Any:
        outputs = super().eval_nll(examples, score)
        return {**outputs, "nll_sum": outputs["nll_sum"] * 0.9}


@pytest.mark.parametrize(
    ("model", "own", "reason"),
    [
        (lambda: Short(), ("generate",), "generate must return 12 and 5 characters. Received: [11, 4]"),
        (lambda: Random(), ("generate",), "generate returns different texts for the same seed"),
        (lambda: Unchecked(), ("generate",), "generate accepts a negative temperature"),
        (lambda: Nameless(), ("generate",), "generate rejects a negative temperature without naming it"),
        (lambda: Deaf(), ("sample",), "sample with a stop string must return "),
        (lambda: Optimist(), ("eval_nll",), "score returns "),
        (lambda: Tiny(bias=np.nan), ALL, "the output nll"),
        (
            lambda: Tiny(num_chars=200),
            ("serving_default",),
            "the signature serving_default fails: num_chars must be from 0 to 100. ",
        ),
    ],
    ids=["short", "random", "unchecked", "nameless", "deaf", "optimist", "not finite", "default out of range"],
)
def test_a_model_that_does_not_work_is_rejected_with_the_reason(
    tmp_path: Path, model: Callable[[], OneStep], own: tuple[str, ...], reason: str
) -> None:
    with pytest.raises(InvalidExport) as rejected:
        probe(save(model(), tmp_path / "model", own))
    assert str(rejected.value).startswith(reason)


@pytest.mark.parametrize("reason", ["", "the signature score is missing"])
def test_check_returns_the_reason(monkeypatch: pytest.MonkeyPatch, reason: str) -> None:
    def probed(directory: str) -> None:
        assert directory == "somewhere"
        if reason:
            raise InvalidExport(reason)

    monkeypatch.setattr(in_process, "probe", probed)
    assert in_process.check("somewhere") == reason
