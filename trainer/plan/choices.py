"""Configuration values that are "auto", chosen from the size of the train split and of the vocabulary.

The rules were fitted to texts from 20 kilobytes to a megabyte; docs/presets.md states them, and
`benchmarks/corpora.py` compares them with a random search. No framework and no files: numbers in, numbers out.
"""

import math
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.config.parameters import FitParameters
from pipeline.config.run import Config
from pipeline.config.section import Section
from pipeline.config.training import TrainingConfig
from trainer.plan.sizes import Size

AUTO = "auto"
EVALUATIONS = 12  # of a complete training
LEAST_PATIENCE = 2  # evaluations
EVALUATION_SHARE = 0.05  # of the time of training that evaluations may take
FEWEST_STEPS = 100
MOST_EPOCHS = 20
# Ids of the largest vocabulary whose full softmax costs little more than a sampled one. With more, zero biases spend
# the training on teaching that rare characters are rare; with fewer, biases from frequencies give a worse model.
LARGEST_FULL_SOFTMAX = 4_000
SAMPLED = 511  # with the target, 512
# So that the speed of the machine is known before the first evaluation.
FEWEST_STEPS_BETWEEN_EVALUATIONS = 20
LONGEST_WINDOW = 100
_WINDOWS = (LONGEST_WINDOW, 80, 64, 48, 32, 24, 16, 12, 8)
FILLED = 0.7  # of the windows' characters, at least
_OF_SHORT = 0.15  # dropout of short documents, in addition
_READ = 4_700  # characters read for each of the square root of the train split's characters

_Parameters = TypeVar("_Parameters", bound=Section)


@dataclass(frozen=True)
class Choice:
    """The value that was chosen for a key, and why.

    >>> print(Choice("training.steps", 1000, "1,000,000 training characters"))
    training.steps=1000: 1,000,000 training characters
    """

    key: str
    value: float | str
    reason: str

    def __str__(self) -> str:
        return f"{self.key}={self.value}: {self.reason}"


@dataclass(frozen=True)
class Plan:
    """How long a training lasts.

    Attributes:
      steps: optimizer steps of the complete training, which early stopping may end sooner.
      eval_every: steps between evaluations.
      early_stopping: evaluations without a better loss after which training stops; 0: never.
    """

    steps: int
    eval_every: int
    early_stopping: int


def model_and_batch(
    parameters: FitParameters | Config,
    characters: int,
    vocabulary: int,
    stock_layer: bool = False,
    documents: int = 1,
    length: int = LONGEST_WINDOW,
) -> list[Choice]:
    """Choose dropout rates, weight decay and the shape of a batch where they are "auto".

    Args:
      characters: to predict in the train split.
      vocabulary: number of ids.
      stock_layer: whether a stock Keras layer runs the recurrent layers; it has no recurrent dropout.
      documents: of the train split.
      length: of the windows, see `window_length`.
    """
    model, training = parameters.model, parameters.training
    text = f"{characters:,} training characters, {vocabulary:,} ids"
    rate = dropout_rate(characters, documents)
    about_rates = text + (", short documents" if are_short(characters, documents) else "")
    wanted: dict[str, tuple[object, float | str, str]] = {
        "model.output_dropout": (model.output_dropout, rate, about_rates),
        "model.recurrent_dropout": (model.recurrent_dropout, round(rate * 0.6, 2), about_rates),
        "training.weight_decay": (training.weight_decay, 0.05, text),
        "training.sequence_length": (training.sequence_length, length, _window_reason(length)),
        "training.batch_size": (training.batch_size, batch_size(characters, length), f"{text}, {length} in a window"),
        "training.initial_bias": (training.initial_bias, *initial_bias(vocabulary)),
        "training.sampled_softmax": (training.sampled_softmax, *sampled_softmax(vocabulary)),
    }
    if stock_layer:
        wanted["model.recurrent_dropout"] = (model.recurrent_dropout, 0.0, "the stock layer of a GPU has none")
    return [Choice(key, value, reason) for key, (given, value, reason) in wanted.items() if given == AUTO]


def apply(parameters: _Parameters, choices: list[Choice]) -> _Parameters:
    """Return parameters with the chosen values."""
    sections: dict[str, dict[str, Any]] = {"model": {}, "training": {}}
    for choice in choices:
        section, _, name = choice.key.partition(".")
        sections[section][name] = choice.value
    changed = {name: getattr(parameters, name).model_copy(update=values) for name, values in sections.items()}
    return parameters.model_copy(update=changed)


def automatic_steps(size: Size) -> int:
    """Return the steps that read 4,700 characters for each of the square root of the train split's characters.

    Twice as many of short documents, whose epochs differ in the order of the documents.

    >>> automatic_steps(Size(1_000_000, 1, 32, 3_200, steps_per_epoch=313, evaluation_rows=32, evaluation_batches=35))
    1469
    """
    read = _READ * math.sqrt(size.characters) * (2 if are_short(size.characters, size.documents) else 1)
    read = min(read, MOST_EPOCHS * size.characters)
    return max(FEWEST_STEPS, round(read / size.step))


def count_steps(training: TrainingConfig, size: Size) -> int:
    """Return the steps of the complete training, without regard to `training.max_minutes`."""
    if training.steps == AUTO:
        return automatic_steps(size)
    return int(training.steps or (training.epochs or 1) * size.steps_per_epoch)


def plan(training: TrainingConfig, steps: int, size: Size) -> Plan:
    """Choose evaluation interval and patience for a number of steps, where they are "auto"."""
    every, patience = training.eval_every or size.steps_per_epoch, training.early_stopping
    if every == AUTO:
        affordable = size.evaluation_time / EVALUATION_SHARE
        every = math.ceil(max(steps / EVALUATIONS, affordable, FEWEST_STEPS_BETWEEN_EVALUATIONS))
    if patience == AUTO:
        patience = max(LEAST_PATIENCE, round(steps / int(every) / 4))
    return Plan(steps, int(every), int(patience))


def explain(training: TrainingConfig, chosen: Plan, size: Size) -> list[Choice]:
    """Return the values of a plan that were "auto", or that the time limit changed."""
    batches = size.evaluation_batches
    short = ", short documents" if are_short(size.characters, size.documents) else ""
    reasons = {
        "steps": f"{size.characters:,} training characters, {size.step:,} in a step{short}",
        "eval_every": f"{EVALUATIONS} evaluations, or fewer where their {batches:,} batches take long",
        "early_stopping": "a quarter of the evaluations",
    }
    automatic = [name for name in reasons if getattr(training, name) == AUTO]
    unlimited = count_steps(training, size)
    if chosen.steps < unlimited:
        automatic = ["steps", *(name for name in automatic if name != "steps")]
        reasons["steps"] = (
            f"of {unlimited:,} steps so many fit into training.max_minutes={training.max_minutes:g} at this machine's "
            f"speed; --set training.steps={chosen.steps} repeats this run"
        )
    return [Choice(f"training.{name}", getattr(chosen, name), reasons[name]) for name in automatic]


def are_short(characters: int, documents: int) -> bool:
    """Whether the documents are shorter than a window, on average."""
    return characters < LONGEST_WINDOW * documents


def dropout_rate(characters: int, documents: int = 1) -> float:
    """Return the dropout rate before the output; the less text, the higher, and higher for short documents.

    >>> [dropout_rate(10**power) for power in (4, 5, 6, 7)]
    [0.5, 0.33, 0.11, 0.0]
    >>> dropout_rate(10**6, documents=50_000)
    0.26
    """
    rate = 0.33 - 0.225 * math.log10(characters / 100_000) + (_OF_SHORT if are_short(characters, documents) else 0.0)
    return round(min(0.5, max(0.0, rate)), 2)


def initial_bias(vocabulary: int) -> tuple[str, str]:
    """Return the initial biases of the output, and the reason.

    >>> initial_bias(66)
    ('zero', '66 ids, at most 4,000')
    """
    if vocabulary > LARGEST_FULL_SOFTMAX:
        return "frequencies", f"{vocabulary:,} ids, more than {LARGEST_FULL_SOFTMAX:,}"
    return "zero", f"{vocabulary:,} ids, at most {LARGEST_FULL_SOFTMAX:,}"


def sampled_softmax(vocabulary: int) -> tuple[int, str]:
    """Return the size of the sample that estimates the softmax of a vocabulary, 0 for none, and the reason.

    >>> sampled_softmax(20_000)
    (511, '20,000 ids, more than 4,000')
    """
    if vocabulary > LARGEST_FULL_SOFTMAX:
        reason = f"{vocabulary:,} ids, more than {LARGEST_FULL_SOFTMAX:,}"
        return SAMPLED, reason
    return 0, f"full softmax: {vocabulary:,} ids, at most {LARGEST_FULL_SOFTMAX:,}"


def window_length(targets: NDArray[np.int64]) -> int:
    """Return the longest of some lengths of windows that the documents fill well.

    No window crosses the end of a document, so most of each window would be padding where documents are short.

    >>> [window_length(np.array([length] * 1_000)) for length in (7, 40, 10_000)]
    [8, 48, 100]

    Args:
      targets: characters to predict in each document.
    """
    total = targets.sum()
    filled = (size for size in _WINDOWS if total >= FILLED * size * np.sum(-(-targets // size)))
    return next(filled, _WINDOWS[-1])


def batch_size(characters: int, length: int = LONGEST_WINDOW) -> int:
    """Return the windows of one step; a small text is learned better in more and smaller steps.

    >>> batch_size(1_000_000), batch_size(1_000_000, length=8)
    (32, 400)
    """
    full = next(size for size, most in ((16, 200_000), (32, 2_000_000), (64, math.inf)) if characters < most)
    return full * LONGEST_WINDOW // length


def _window_reason(length: int) -> str:
    if length == LONGEST_WINDOW:
        return f"at least {FILLED:.0%} of each window has text"
    return (
        f"documents are short; of {LONGEST_WINDOW} less than {FILLED:.0%} would be text, because none has two documents"
    )
