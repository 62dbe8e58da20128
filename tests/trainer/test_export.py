"""An export scores texts as the trained model does, and is complete or does not exist."""

import math
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.evaluate import reference as reference_model
from serving.graph import signatures, warmup
from serving.graph.one_step import Defaults, OneStep
from tests import gru, numeric
from tests.gru import Gru
from trainer import export
from trainer.checkpoint import Checkpoints, Position
from trainer.model import LanguageModel
from transform.vocabulary import Vocabulary

pytestmark = pytest.mark.integration

CHARACTERS = "\n aeéx語😀"
VOCABULARY = Vocabulary(tuple(map(ord, CHARACTERS)))
DEFAULTS = Defaults(num_chars=7, temperature=0.5, top_k=3, max_chars=50)
TEXTS = ["a xx\né語😀e ", "ex", "a", "", "a☃e☃☃x", "語" * 40]


def trained(layers: int = 2, **settings: Any) -> LanguageModel:
    model = LanguageModel(VOCABULARY.size, 4, 6, layers, **settings)
    random = np.random.default_rng(1)
    for variable in model.trainable_variables:
        variable.assign(random.normal(0.0, 0.7, variable.shape))
    return model


def reference(model: LanguageModel) -> Gru:
    return Gru(gru.weights_of(model.trainable_variables), CHARACTERS)


def nats(model: LanguageModel, text: str) -> list[float]:
    """Cross-entropy of each character but the first, by the language model itself."""
    ids = VOCABULARY.encode(text)
    if len(ids) < 2:
        return []
    logits, _ = model(tf.constant([ids[:-1]], tf.int32), model.zero_state(1))
    costs = tf.nn.sparse_softmax_cross_entropy_with_logits([ids[1:]], logits)[0].numpy()
    surcharge = math.log(VOCABULARY.unknown_characters)
    return [float(cost) + surcharge * (i == VOCABULARY.out_of_vocabulary) for cost, i in zip(costs, ids[1:])]


def assert_scores(actual: dict[str, tf.Tensor], model: LanguageModel) -> None:
    for row, text in enumerate(TEXTS):
        predicted, runs = max(0, len(text) - 1), reference(model).nll(text)
        numeric.close(nats(model, text), runs, "the language model's nats")
        numeric.close(actual["nll"][row, :predicted], runs, "the export's nats")
        assert not actual["nll"][row, predicted:].numpy().any()
        numeric.close(actual["nll_sum"][row], reference(model).nll_sum(text))
        assert int(actual["num_chars"][row]) == predicted


@pytest.mark.numeric
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("stock_layer", [False, True])
def test_export_scores_as_the_language_model(layers: int, stock_layer: bool) -> None:
    model = trained(layers, stock_layer=stock_layer)
    assert_scores(export.one_step(model, VOCABULARY, DEFAULTS).score(tf.constant(TEXTS)), model)


@pytest.mark.numeric
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_export_computes_in_float32_for_every_training_precision(precision: str) -> None:
    exported = export.one_step(trained(precision=precision), VOCABULARY, DEFAULTS)
    assert {variable.dtype for variable in exported.variables if variable.dtype.is_floating} == {tf.float32}
    assert_scores(exported.score(tf.constant(TEXTS)), trained())


def saved(directory: Path) -> OneStep:
    exported = export.one_step(trained(), VOCABULARY, DEFAULTS)
    export.save(exported, str(directory), "a_model", reference_nats=2.5)
    return exported


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[OneStep, Path]:
    """An export, before and after saving; an earlier save of it was interrupted."""
    directory = tmp_path_factory.mktemp("made") / "export"
    left = directory.with_name("export.partial")
    left.mkdir()
    (left / "rest").write_text("of an interrupted save")
    return saved(directory), directory


@pytest.fixture(scope="module")
def loaded(made: tuple[OneStep, Path]) -> Any:
    return tf.saved_model.load(str(made[1]))


@pytest.mark.numeric
def test_loaded_export_scores_the_same(loaded: Any) -> None:
    assert_scores(loaded.signatures["score"](text=tf.constant(TEXTS)), trained())
    serialized = [
        tf.train.Example(
            features=tf.train.Features(
                feature={"text": tf.train.Feature(bytes_list=tf.train.BytesList(value=[text.encode()]))}
            )
        ).SerializeToString()
        for text in TEXTS
    ]
    sums = loaded.signatures["eval_nll"](examples=tf.constant(serialized))
    numeric.close(sums["nll_sum"], np.stack([reference(trained()).nll_sum(text) for text in TEXTS], 1))
    predicted = [max(0, len(text) - 1) for text in TEXTS]
    np.testing.assert_array_equal(sums["num_chars"], predicted)


def test_cross_entropy_of_the_reference_model_is_next_to_the_export(made: tuple[OneStep, Path]) -> None:
    assert reference_model.read(str(made[1])) == 2.5


def test_configured_defaults_are_served(loaded: Any) -> None:
    texts = loaded.signatures["serving_default"](prompt=tf.constant(["a", "語x"]))["text"].numpy()
    assert [len(text.decode()) for text in texts] == [7, 7]


def test_warm_up_requests_fit_the_model(made: tuple[OneStep, Path], loaded: Any) -> None:
    exported, directory = made
    replayed = warmup.read(str(directory))
    assert {signature for signature, _ in replayed} == set(loaded.signatures) - {"eval_nll"}
    states = [inputs["state"].shape for _, inputs in replayed if "state" in inputs]
    assert states == [(1, exported.state_size), (1, exported.sample_state_size)]


def test_leftovers_of_an_interrupted_save_are_not_exported(made: tuple[OneStep, Path]) -> None:
    directory = made[1]
    assert [path.name for path in directory.parent.iterdir()] == ["export"]
    assert not (directory / "rest").exists()


def test_interrupted_save_leaves_no_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(signatures, "save", tf.saved_model.save)  # without signatures, which take seconds
    monkeypatch.setattr(warmup, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        saved(tmp_path / "export")
    assert not (tmp_path / "export").exists()


@pytest.mark.numeric
def test_checkpoint_export_and_stock_keras_layers_give_the_same_logits(tmp_path: Path, loaded: Any) -> None:
    """Compares log-probabilities of every id after a prefix, which are logits up to a constant."""
    model = trained()
    kept = Checkpoints(str(tmp_path / "checkpoints"), model, keras.optimizers.SGD(), 1, True, False)
    kept.save(Position(), [np.zeros((1, model.units), np.float32)] * 2)

    restored = LanguageModel(VOCABULARY.size, 4, 6, 2, seed=99)
    assert Checkpoints(str(tmp_path / "checkpoints"), restored, keras.optimizers.SGD(), 1, True, False).restore()
    stock = keras.Sequential(
        [
            keras.layers.Embedding(VOCABULARY.size, 4),
            keras.layers.GRU(6, return_sequences=True),
            keras.layers.GRU(6, return_sequences=True),
            keras.layers.Dense(VOCABULARY.size),
        ]
    )
    prefix = "a x☃\né語"
    ids = tf.constant([VOCABULARY.encode(prefix)], tf.int32)
    stock.build(ids.shape)
    stock.set_weights([variable.numpy() for variable in model.trainable_variables])
    following = [*map(chr, VOCABULARY.code_points), "☃"]  # the last one stands for the out-of-vocabulary id
    runs = np.stack([reference(model).nll(prefix + character)[:, -1] for character in following], 1)
    runs[:, -1] -= math.log(VOCABULARY.unknown_characters)
    numeric.close(-tf.nn.log_softmax(stock(ids)[0, -1]), runs, "stock layers")

    logits, _ = restored(ids, restored.zero_state(1))
    numeric.close(-tf.nn.log_softmax(logits[0, -1]), runs, "restored")
    texts = tf.constant([prefix + character for character in following])
    nll = loaded.signatures["score"](text=texts)["nll"].numpy()[:, -1]
    nll[-1] -= math.log(VOCABULARY.unknown_characters)
    numeric.close(nll, runs, "export")
