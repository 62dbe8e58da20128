"""Configuration values that are "auto", chosen from the size of the train split and of the vocabulary.

The rules were fitted to texts from 20 kilobytes to a megabyte; docs/presets.md states them, and
`benchmarks/corpora.py` compares them with a random search. No framework and no files: numbers in, numbers out.
"""

import math
from dataclasses import dataclass
from typing import Any, TypeVar

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
LARGEST_FULL_SOFTMAX = 4_000  # ids of the largest vocabulary whose full softmax costs little more than a sampled one
SAMPLED = 511  # with the target, 512
# So that the speed of the machine is known before the first evaluation.
FEWEST_STEPS_BETWEEN_EVALUATIONS = 20
_READ = 4_700  # characters read for each of the square root of the train split's characters

_Parameters = TypeVar("_Parameters", bound=Section)


@dataclass(frozen=True)
class Choice:
    """The value that was chosen for a key, and why.

    >>> print(Choice("training.steps", 1000, "1,000,000 training characters"))
    training.steps=1000: 1,000,000 training characters
    """

    key: str
    value: float
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
    parameters: FitParameters | Config, characters: int, vocabulary: int, stock_layer: bool = False
) -> list[Choice]:
    """Choose dropout rates, weight decay and batch size where they are "auto".

    Args:
      characters: to predict in the train split.
      vocabulary: number of ids.
      stock_layer: whether a stock Keras layer runs the recurrent layers; it has no recurrent dropout.
    """
    model, training = parameters.model, parameters.training
    text = f"{characters:,} training characters, {vocabulary:,} ids"
    rate = dropout_rate(characters)
    wanted = {
        "model.output_dropout": (model.output_dropout, rate, text),
        "model.recurrent_dropout": (model.recurrent_dropout, round(rate * 0.6, 2), text),
        "training.weight_decay": (training.weight_decay, 0.05, text),
        "training.batch_size": (training.batch_size, batch_size(characters), text),
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

    >>> automatic_steps(Size(1_000_000, 32, 3_200, steps_per_epoch=313, evaluation_rows=32, evaluation_batches=35))
    1469
    """
    read = min(_READ * math.sqrt(size.characters), MOST_EPOCHS * size.characters)
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
    reasons = {
        "steps": f"{size.characters:,} training characters, {size.step:,} in a step",
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


def dropout_rate(characters: int) -> float:
    """Return the dropout rate before the output; the less text, the higher.

    >>> [dropout_rate(10**power) for power in (4, 5, 6, 7)]
    [0.5, 0.33, 0.11, 0.0]
    """
    return round(min(0.5, max(0.0, 0.33 - 0.225 * math.log10(characters / 100_000))), 2)


def batch_size(characters: int) -> int:
    """Return the windows of one step; a small text is learned better in more and smaller steps."""
    return next(size for size, most in ((16, 50_000), (32, 2_000_000), (64, math.inf)) if characters < most)


def sampled_softmax(vocabulary: int) -> tuple[int, str]:
    """Return the size of the sample that estimates the softmax of a vocabulary, 0 for none, and the reason.

    >>> sampled_softmax(20_000)
    (511, '20,000 ids, more than 4,000')
    """
    if vocabulary > LARGEST_FULL_SOFTMAX:
        reason = f"{vocabulary:,} ids, more than {LARGEST_FULL_SOFTMAX:,}"
        return SAMPLED, reason
    return 0, f"full softmax: {vocabulary:,} ids, at most {LARGEST_FULL_SOFTMAX:,}"
