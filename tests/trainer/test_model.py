import doctest
import math
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from serving.graph.cells import KINDS
from tests import numeric, reference
from trainer import engine
from trainer import model as module
from trainer.engine.layout import Layout
from trainer.model import LanguageModel, State

pytestmark = pytest.mark.integration

VOCABULARY, EMBEDDING, UNITS, BATCH, TIME = 7, 5, 8, 3, 12


def create(layers: int = 2, embedding: int = EMBEDDING, **settings: object) -> LanguageModel:
    model = LanguageModel(VOCABULARY, embedding, UNITS, layers, **settings)  # type: ignore[arg-type]
    random = np.random.default_rng(1)
    for variable in model.trainable_variables:  # biases as well: with zeros, a missing one would not be noticed
        variable.assign(random.normal(0.0, 0.4, variable.shape))
    return model


def ids(seed: int = 2) -> tf.Tensor:
    return tf.constant(np.random.default_rng(seed).integers(VOCABULARY, size=(BATCH, TIME)), tf.int32)


def some_state(model: LanguageModel) -> State:
    random = np.random.default_rng(3)
    return tuple(tf.constant(random.uniform(-1, 1, (BATCH, UNITS)), tf.float32) for _ in model.recurrent)


def assert_agrees_with_reference(
    found: tuple[tf.Tensor, State], model: LanguageModel, state: State, some: Any, **how: Any
) -> None:
    """Fail if logits or state differ from a float64 reference by more than rounding explains."""
    noise = how.pop("noise", None) or reference.Noise()
    given = [[noise.given(value) for value in values] for values in (state, model.trainable_variables)]
    logits, last = reference.logits(noise, model.cell, some.numpy(), *given, **how)
    for name, actual, runs in zip(["logits", *["state"] * len(last)], (found[0], *found[1]), [logits, *last]):
        numeric.close(actual, runs, name)


def test_example_of_the_docstring() -> None:
    assert doctest.testmod(module) == (0, 3)


def test_model_of_the_tutorial_has_as_many_parameters_as_the_tutorial_states() -> None:
    model = LanguageModel(66, embedding=256, units=1024)
    assert sum(math.prod(variable.shape) for variable in model.trainable_variables) == 4_022_850


def test_new_model_predicts_a_nearly_uniform_distribution() -> None:
    model = LanguageModel(66, embedding=16, units=32, seed=4)
    logits, _ = model(ids(), model.zero_state(BATCH))
    nats = tf.nn.sparse_softmax_cross_entropy_with_logits(ids(5), logits)
    assert float(tf.reduce_mean(nats)) == pytest.approx(math.log(66), abs=0.1)


@pytest.mark.numeric
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("layers", [1, 3])
def test_stock_layer_and_engine_agree_with_the_reference(layers: int, precision: str) -> None:
    unit = numeric.UNIT[precision]
    ours = create(layers, precision=precision)
    stock = create(layers, precision=precision, stock_layer=True)
    state = some_state(ours)
    noise = reference.Noise(products=unit)
    assert_agrees_with_reference(ours(ids(), state), ours, state, ids(), noise=noise, by_id=True)
    # The stock layer computes everything in float16, and nothing in bfloat16.
    inside = reference.Noise(unit) if precision == "float16" else reference.Noise()
    assert_agrees_with_reference(stock(ids(), state), stock, state, ids(), noise=noise, inside=inside)


@pytest.mark.numeric
@pytest.mark.parametrize(
    "embedding", [3, 6]
)  # the input projection of 7 characters is computed, or looked up in a table
@pytest.mark.parametrize("cell", list(KINDS))
def test_batch_last_layout_agrees_with_the_reference_to_the_precision_of_bfloat16(cell: str, embedding: int) -> None:
    batch, time = 32, 5  # fewer steps than elsewhere, because the reference of so many rows is slow
    some = tf.constant(np.random.default_rng(2).integers(VOCABULARY, size=(batch, time)), tf.int32)
    model = create(cell=cell, precision="bfloat16", embedding=embedding)
    assert Layout.fastest(batch, model.product_dtype).batch_last
    with tf.GradientTape() as tape:
        logits, state = model(some, model.zero_state(batch))
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(some, logits))
    actual = [logits, *state, *map(tf.convert_to_tensor, tape.gradient(loss, model.trainable_variables))]

    noise = reference.Noise(products=numeric.UNIT["bfloat16"])
    initial = [noise.given(part) for part in model.zero_state(batch)]
    weights = [noise.given(variable) for variable in model.trainable_variables]
    with tf.GradientTape() as tape:
        tape.watch(weights)
        logits, state = reference.logits(noise, cell, some.numpy(), initial, weights, by_id=embedding == 6)
        loss = reference.cross_entropy(noise, logits, some.numpy())
    expected = [logits, *state, *map(tf.convert_to_tensor, tape.gradient(loss, weights))]
    names = ["logits", *["state"] * len(state), *(variable.path for variable in model.trainable_variables)]
    for name, value, runs in zip(names, actual, expected, strict=True):
        numeric.close(value, runs, name)
        exact, rounded = np.asarray(runs[0]), np.asarray(value)
        assert 0 < np.abs(exact - rounded).mean() < 0.03 * np.abs(exact).mean(), (
            "float32, or less precise than necessary"
        )


@pytest.mark.parametrize("stock_layer", [False, True])
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_logits_and_state_are_float32_and_batch_first(precision: str, stock_layer: bool) -> None:
    model = create(2, precision=precision, stock_layer=stock_layer)
    logits, state = model(ids(), model.zero_state(BATCH))
    assert (logits.shape, logits.dtype) == ((BATCH, TIME, VOCABULARY), tf.float32)
    assert [(part.shape, part.dtype) for part in state] == [((BATCH, UNITS), tf.float32)] * 2
    assert {variable.dtype for variable in model.trainable_variables} == {"float32"}


@pytest.mark.parametrize(
    ("precision", "computes_in"), [("float32", "float32"), ("bfloat16", "float32"), ("float16", "float16")]
)
def test_stock_layer_never_computes_in_bfloat16(precision: str, computes_in: str) -> None:
    assert {layer.compute_dtype for layer in create(precision=precision, stock_layer=True).recurrent} == {computes_in}


@pytest.mark.numeric
@pytest.mark.parametrize("stock_layer", [False, True])
def test_two_calls_that_carry_the_state_equal_one_long_call(stock_layer: bool) -> None:
    model = create(stock_layer=stock_layer)
    assert_agrees_with_reference(
        model(ids(), some_state(model)), model, some_state(model), ids(), by_id=not stock_layer
    )
    first, between = model(ids()[:, :5], some_state(model))
    second, last = model(ids()[:, 5:], between)
    found = (tf.concat([first, second], 1), last)
    assert_agrees_with_reference(found, model, some_state(model), ids(), by_id=not stock_layer)
    forgotten, _ = model(ids()[:, 5:], model.zero_state(BATCH))
    assert np.abs(forgotten - second).max() > 1e-2


@pytest.mark.parametrize("cell", list(KINDS))
def test_variational_dropout_samples_a_mask_per_layer_row_and_training_step(
    cell: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, plain = create(cell=cell, recurrent_dropout=0.5), create(cell=cell)
    masks: list[np.ndarray | None] = []

    def run_and_record_masks(*given: Any) -> Any:
        masks.extend(mask if mask is None else mask.numpy() for mask in given[-1])
        return run(*given)

    run = engine.run
    monkeypatch.setattr(engine, "run", run_and_record_masks)

    def logits(of: LanguageModel, *seed: int) -> np.ndarray:
        return of(ids(), of.zero_state(BATCH), tf.constant(seed, tf.int32) if seed else None)[0].numpy()

    np.testing.assert_array_equal(logits(model), logits(plain))
    assert masks == [None] * 4, "neither without dropout nor without a seed"
    once, again, next_step = logits(model, 5, 1), logits(model, 5, 1), logits(model, 5, 2)
    np.testing.assert_array_equal(once, again)
    assert np.abs(once - logits(plain)).max() > 1e-2
    assert np.abs(once - next_step).max() > 1e-2
    sampled = [*masks[4:6], *masks[8:10]]  # (batch, units) of two layers in two steps
    assert all(mask is not None and mask.shape == (BATCH, UNITS) and set(mask.flat) == {0.0, 2.0} for mask in sampled)
    assert len({mask.tobytes() for mask in sampled if mask is not None}) == len(sampled)
    assert all(len({row.tobytes() for row in mask}) > 1 for mask in sampled if mask is not None)


def test_variational_dropout_disables_the_stock_layer() -> None:
    assert create(stock_layer=True).stock_layer
    assert not create(stock_layer=True, recurrent_dropout=0.5).stock_layer


def test_prediction_depends_on_earlier_characters_only() -> None:
    model = create()
    changed = ids().numpy()
    changed[1, 6] = (changed[1, 6] + 1) % VOCABULARY
    before, _ = model(ids(), some_state(model))
    after, _ = model(tf.constant(changed), some_state(model))
    differs = np.abs(before - after).max(2) > 1e-4  # (batch, time)
    assert differs[1, 6:].all()
    assert not differs[1, :6].any()
    assert not differs[[0, 2]].any()


def test_seed_determines_the_weights() -> None:
    def weights(seed: int) -> list[np.ndarray]:
        return [variable.numpy() for variable in LanguageModel(5, 4, 6, 2, seed=seed).trainable_variables]

    for one, same, other in zip(weights(1), weights(1), weights(2)):
        np.testing.assert_array_equal(one, same)
        assert (one == other).all() == (not one.any())  # except biases, which are initially zero


def test_equal_layers_have_different_initial_weights() -> None:
    first, second = LanguageModel(5, 6, 6, 2).recurrent
    assert np.abs(first.cell.kernel.numpy() - second.cell.kernel.numpy()).max() > 0.1
    assert np.abs(first.cell.recurrent_kernel.numpy() - second.cell.recurrent_kernel.numpy()).max() > 0.1


def dropped(model: LanguageModel, *seed: int) -> np.ndarray:
    return model(ids(), some_state(model), tf.constant(seed, tf.int32) if seed else None)[0].numpy()


@pytest.mark.parametrize("stock_layer", [False, True])
def test_seed_determines_dropout_and_without_a_seed_there_is_none(stock_layer: bool) -> None:
    model = create(dropout=0.5, stock_layer=stock_layer)
    np.testing.assert_array_equal(dropped(model), dropped(create(dropout=0.0, stock_layer=stock_layer)))
    np.testing.assert_array_equal(dropped(model, 64, 0), dropped(model, 64, 0))
    results = [dropped(model), dropped(model, 0, 0), dropped(model, 64, 0), dropped(model, 64, 1)]
    assert all(np.abs(a - b).max() > 0.1 for i, a in enumerate(results) for b in results[:i])


def test_rate_zero_drops_nothing() -> None:
    model = create(dropout=0.0)
    np.testing.assert_array_equal(dropped(model, 64, 0), dropped(model))


def test_dropout_zeros_the_given_share_and_keeps_the_expected_value() -> None:
    model = create(dropout=0.25)
    seed = tf.constant([64, 0], tf.int32)
    after = model._dropout(0.25, seed, 1)(tf.ones((200, 200))).numpy()  # type: ignore[misc]
    assert set(np.unique(after)) == {0.0, np.float32(1 / 0.75)}
    assert (after == 0).mean() == pytest.approx(0.25, abs=0.02)
    elsewhere = model._dropout(0.25, seed, 2)(tf.ones((200, 200))).numpy()  # type: ignore[misc]
    assert (after == elsewhere).mean() == pytest.approx(0.25**2 + 0.75**2, abs=0.02)  # independent of each other


@pytest.mark.numeric
def test_dropout_is_on_embedding_between_layers_and_before_the_output_but_not_on_the_recurrent_path() -> None:
    model = create(2, dropout=0.999999)  # practically everything is dropped
    seed = tf.constant([0, 0], tf.int32)
    zeros, first_layer_differs = model.zero_state(BATCH), (some_state(model)[0], model.zero_state(BATCH)[1])
    logits, (first, second) = model(ids(), zeros, seed)
    other_logits, (other_first, other_second) = model(ids(9), first_layer_differs, seed)
    np.testing.assert_array_equal(model(ids(9), zeros, seed)[1][0], first)  # no character passed
    np.testing.assert_array_equal(other_second, second)  # nothing of the first layer passed
    assert np.abs(other_first - first).max() > 1e-3  # but its own state did
    bias = np.broadcast_to(model.projection.bias.numpy(), logits.shape)
    np.testing.assert_array_equal(logits, bias)  # nor did anything of the last layer
    np.testing.assert_array_equal(other_logits, bias)


@pytest.mark.parametrize(
    ("settings", "most"), [({}, 1.0), ({"tied": True}, 0.05), ({"initial_embedding": 0.2, "tied": True}, 0.2)]
)
def test_initial_embeddings_have_the_configured_size(settings: dict[str, object], most: float) -> None:
    model = LanguageModel(500, embedding=6, units=6, **settings)  # type: ignore[arg-type]
    assert 0.99 * most < np.abs(model.embedding.embeddings.numpy()).max() <= most
