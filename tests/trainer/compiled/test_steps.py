"""Steps in one call: equal to single ones, without host operations between them, with and without XLA."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests import numeric
from tests.trainer.test_loop import NOISE, VOCABULARY, training
from trainer import optimizer
from trainer.compiled.steps import JIT_CELLS, JIT_CHARACTERS, Steps, _batch, is_jit_faster
from trainer.data import unigram, windows
from trainer.model import LanguageModel

pytestmark = pytest.mark.integration

SLOTS, ROWS, LENGTH, STEPS = 8, 4, 5, 9
DATA = windows.contiguous(NOISE, np.array([100, 140]), LENGTH)
# Operations of the host: Python, iterators, strings, and reading from or writing to the outside.
HOST = {"PyFunc", "EagerPyFunc", "PyFuncStateless", "IteratorGetNext", "IteratorGetNextSync", "PrintV2", "HostConst"}


class Trained:
    """A model and its steps, which begin with the same weights each time."""

    def __init__(self, jit: bool, dropout: float) -> None:
        settings = training(schedule="cosine")
        self._model = LanguageModel(VOCABULARY, 4, 8, dropout=dropout, seed=3, recurrent_dropout=dropout)
        self._optimizer = optimizer.create(settings, 100, 1, "float32")
        self._optimizer.build(self._model.weights_to_train)
        self.steps = Steps(tf.distribute.get_strategy(), self._model, self._optimizer, SLOTS, jit)
        self._variables = [*self._model.trainable_variables, *self._optimizer.variables]
        self._first = [variable.numpy() for variable in self._variables]
        self._sampler = unigram.Sampler(np.ones(VOCABULARY, np.int64), sampled=3, seed=1)

    def zero_state(self) -> Any:
        return tuple(self.steps.distribute(part.numpy()) for part in self._model.zero_state(ROWS))

    def given(self, first: int, of_call: int, state: Any) -> tuple[Any, ...]:
        """Return the arguments of a call."""
        batches = list(windows.contiguous_batches(DATA, ROWS))[first : first + of_call]
        samples = [self._sampler.sample(first + i) for i in range(len(batches))]
        return first, batches[: STEPS - first], state, samples[: STEPS - first], [True, False]

    def run(self, of_call: int) -> tuple[list[float], list[np.ndarray], list[np.ndarray]]:
        """Return losses, state and weights after STEPS steps in calls of a size, and the losses of an evaluation."""
        for variable, value in zip(self._variables, self._first):
            variable.assign(value)
        state = self.zero_state()
        losses: list[float] = []
        for first in range(0, STEPS, of_call):
            found, state, votes = self.steps.train(*self.given(first, of_call, state))
            losses += found
            assert votes == [1, 0]
        evaluated, _ = self.steps.evaluate(list(windows.contiguous_batches(DATA, ROWS))[:of_call], state)
        assert len(evaluated) == of_call
        arrays = [part.numpy() for part in state], [variable.numpy() for variable in self._variables]
        return [*losses, evaluated[0]], *arrays


@cache
def trained(jit: bool = False, dropout: float = 0.0) -> Trained:
    return Trained(jit, dropout)


@pytest.fixture(scope="module", autouse=True)
def _let_go_of_graphs() -> Iterator[None]:
    yield
    trained.cache_clear()


@pytest.mark.parametrize(("jit", "dropout"), [(False, 0.3), (True, 0.0)])
def test_many_steps_in_a_call_equal_single_ones(jit: bool, dropout: float) -> None:
    losses, state, weights = trained(jit, dropout).run(of_call=1)
    assert len(set(losses)) == STEPS + 1
    for of_call in (SLOTS, 4):  # the last call is shorter
        again, *arrays = trained(jit, dropout).run(of_call)
        assert again == losses
        for expected, found in zip((state, weights), arrays, strict=True):
            for one, other in zip(expected, found, strict=True):
                np.testing.assert_array_equal(one, other)


@pytest.mark.numeric
def test_xla_trains_as_tensorflow_does() -> None:
    (plain, *_), (compiled, *_) = trained().run(SLOTS), trained(jit=True).run(SLOTS)
    # Without dropout, whose random numbers differ. Each step rounds some hundred operations.
    assert compiled == pytest.approx(plain, rel=numeric.relative(100))


def test_no_operation_of_the_loop_runs_on_the_host() -> None:
    own = trained()
    graph = own.steps._train.get_concrete_function(*own.steps._arguments(*own.given(0, 2, own.zero_state()))).graph
    (loop,) = [operation for operation in graph.get_operations() if operation.type in ("While", "StatelessWhile")]
    library = {function.signature.name: function.node_def for function in graph.as_graph_def().library.function}
    reached, names = set[str](), [loop.get_attr("body").name]
    while names:
        for node in library[names.pop()]:
            reached.add(node.op)
            names += [attribute.func.name for attribute in node.attr.values() if attribute.HasField("func")]
    assert {"MatMul", "While", "ResourceGather", "AssignSubVariableOp"} & reached  # of layers and optimizer
    assert not reached & HOST


def test_batch_is_cut_in_the_memory_of_a_gpu() -> None:
    # There, TensorFlow slices and multiplies int32 in the host's memory.
    with tf.Graph().as_default() as graph:
        segment = tf.zeros((3, 2, 5), tf.int64), tf.zeros((3, 2)), tf.zeros((3, 2, 1))
        inputs, targets, *_ = _batch(segment, tf.constant(1))
    assert inputs.dtype == targets.dtype == tf.int64
    computed = [operation for operation in graph.get_operations() if operation.type in ("StridedSlice", "Mul")]
    assert len(computed) >= 7
    assert tf.int32 not in {operation.outputs[0].dtype for operation in computed}


def test_small_models_are_compiled_on_a_cpu_if_training_repays_it() -> None:
    assert is_jit_faster(64 * 16, 1_000_000, "bfloat16", 1) == (not tf.config.list_physical_devices("GPU"))
    assert not is_jit_faster(JIT_CELLS + 1, 1_000_000, "float32", 1)
    assert not is_jit_faster(JIT_CELLS, JIT_CHARACTERS - 1, "float32", 1)
    assert not is_jit_faster(JIT_CELLS, JIT_CHARACTERS, "float16", 1)
    assert not is_jit_faster(JIT_CELLS, JIT_CHARACTERS, "float32", 2)
