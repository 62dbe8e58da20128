"""The Tuner's search space, and its result as part of the configuration. Names are those of `--set`."""

from typing import Any, TypeVar

from pipeline.config.parameters import FitParameters

# Ranges around good values for some megabytes of text; every trial trains for `tuner.steps` steps.
UNITS = (256, 1024, 128)  # lowest, highest, step
EMBEDDING = (16, 32, 64, 128, 256)
DROPOUT = (0.0, 0.5, 0.05)
LEARNING_RATE = (5e-4, 1e-2)  # logarithmic
WEIGHT_DECAY = (1e-3, 1e-1)  # logarithmic

_Parameters = TypeVar("_Parameters", bound=FitParameters)


def space(parameters: FitParameters) -> Any:
    """Build the search space. Its defaults are the configured values, which the first trial uses.

    Values without effect under the configuration are left out. None may be "auto".

    Returns:
      `keras_tuner.HyperParameters` with dotted names.
    """
    import keras_tuner

    model, training = parameters.model, parameters.training
    found = keras_tuner.HyperParameters()
    low, high, step = UNITS
    found.Int("model.units", low, high, step, default=_nearest(model.units, low, high, step))
    if not model.tied:  # a tied embedding has the size of the units
        embedding = min(EMBEDDING, key=lambda size: abs(size - model.embedding))
        found.Choice("model.embedding", list(EMBEDDING), default=embedding)
    # Where the output has its own dropout rate, search that one: the general rate then applies to the input only.
    name, rate = "dropout", model.dropout
    if model.output_dropout is not None:
        name, rate = "output_dropout", float(model.output_dropout)
    found.Float(f"model.{name}", *DROPOUT, default=_nearest(rate, *DROPOUT))
    logarithmic = {"learning_rate": (training.learning_rate, *LEARNING_RATE)}
    if training.optimizer == "adamw":
        logarithmic["weight_decay"] = (float(training.weight_decay), *WEIGHT_DECAY)
    for name, (value, least, most) in logarithmic.items():
        found.Float(f"training.{name}", least, most, sampling="log", default=min(max(value, least), most))
    return found


def apply_hyperparameters(parameters: _Parameters, found: dict[str, Any] | None) -> _Parameters:
    """Replace configured values by those of a Tuner.

    Args:
      found: `keras_tuner.HyperParameters.get_config()` as TFX passes it to the Trainer; None: nothing was tuned.
    """
    if not found:
        return parameters
    sections = {"model": parameters.model.model_dump(), "training": parameters.training.model_dump()}
    for name, value in found["values"].items():
        section, _, key = name.partition(".")
        if key in sections.get(section, {}):  # not KerasTuner's own bookkeeping
            sections[section][key] = value
    if sections["model"]["tied"]:
        sections["model"]["embedding"] = sections["model"]["units"]
    return type(parameters).model_validate({**parameters.model_dump(), **sections})


def _nearest(value: float, low: float, high: float, step: float) -> Any:
    """Return the nearest value of the grid."""
    steps = round((min(max(value, low), high) - low) / step)
    return type(low)(round(low + steps * step, 9))
