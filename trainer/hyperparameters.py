"""The space that the Tuner searches, and its result as part of the configuration. Names are those of `--set`."""

import copy
from typing import Any

# Ranges around what is good for some megabytes of text; every trial trains for `tuner.steps` steps.
UNITS = (256, 1024, 128)  # lowest, highest, step
EMBEDDING = (16, 32, 64, 128, 256)
DROPOUT = (0.0, 0.5, 0.05)
LEARNING_RATE = (5e-4, 1e-2)  # logarithmic
WEIGHT_DECAY = (1e-3, 1e-1)  # logarithmic


def space(config: dict[str, Any]) -> Any:
    """The search space, whose defaults are the configuration's own values: the first trial is what is set.

    What has no effect under the configuration is left out.

    Returns:
      `keras_tuner.HyperParameters` with dotted names.
    """
    import keras_tuner

    model, training = config["model"], config["training"]
    found = keras_tuner.HyperParameters()
    low, high, step = UNITS
    found.Int("model.units", low, high, step, default=_within(model["units"], low, high, step))
    nearest = min(EMBEDDING, key=lambda size: abs(size - model["embedding"]))
    found.Choice("model.embedding", list(EMBEDDING), default=nearest)
    low_rate, high_rate, step_rate = DROPOUT
    # Where the output has a rate of its own, that is the one to search: the general one would be left with the input's.
    rate = "dropout" if model["output_dropout"] is None else "output_dropout"
    found.Float(f"model.{rate}", low_rate, high_rate, step_rate, default=_within(model[rate], *DROPOUT))
    logarithmic = {"learning_rate": LEARNING_RATE}
    if training["optimizer"] == "adamw":
        logarithmic["weight_decay"] = WEIGHT_DECAY
    for name, (least, most) in logarithmic.items():
        default = min(max(training[name], least), most)
        found.Float(f"training.{name}", least, most, sampling="log", default=default)
    return found


def put_in(config: dict[str, Any], found: dict[str, Any] | None) -> dict[str, Any]:
    """The configuration with a Tuner's best values in their places.

    Args:
      found: `keras_tuner.HyperParameters.get_config()` as TFX hands it to the Trainer; None: nothing was tuned.
    """
    if not found:
        return config
    changed = copy.deepcopy(config)
    for name, value in found["values"].items():
        section, _, key = name.partition(".")
        if key in changed.get(section, {}):  # not what the Tuner notes for itself
            changed[section][key] = value
    if changed["model"]["tied"]:
        changed["model"]["embedding"] = changed["model"]["units"]
    return changed


def _within(value: float, low: float, high: float, step: float) -> Any:
    """The nearest value of the grid."""
    steps = round((min(max(value, low), high) - low) / step)
    return type(low)(round(low + steps * step, 9))
