"""The parameters of a run, `corpus` and `training`: checked before a run is sent, and applied in its tasks."""

import json
from typing import Any

from components.errors import UserError
from pipeline.config.run import TrainingConfig


def parse(options: list[str], training: TrainingConfig) -> dict[str, str]:
    """Read `NAME=VALUE` options and reject values that a task would reject hours later.

    Args:
      training: the compiled values.

    Raises:
      UserError: a name is unknown, or a value is invalid.

    Example:
      >>> parse(["corpus=sample"], TrainingConfig())
      {'corpus': 'sample'}
    """
    wrong = [option for option in options if option.partition("=")[0] not in ("corpus", "training")]
    if wrong or any("=" not in option for option in options):
        raise UserError(
            "A run has the parameters corpus and training, given as --param corpus=... and --param training='{...}'; "
            f"all other values are compiled in and set with --set. Received: {' '.join(wrong or options)}"
        )
    parameters = {name: value for name, _, value in (option.partition("=") for option in options)}
    if not parameters.get("corpus", "any").strip():
        raise UserError("The run's parameter `corpus` names no text: give a name, path or URL. Received: corpus=")
    override(training.model_dump(), parameters.get("training", "{}"))
    return parameters


def apply(parameters: dict[str, Any]) -> None:
    """Merge a task's parameter `training_overrides` into the training values in its `custom_config`, in place.

    Raises:
      UserError: it is not a JSON object, or has an unknown key or an invalid value.
    """
    overrides = parameters.pop("training_overrides", "{}")
    if overrides != "{}":
        custom = json.loads(parameters["custom_config"])
        custom["training"] = override(custom["training"], overrides)
        parameters["custom_config"] = json.dumps(custom)


def override(training: dict[str, Any], overrides: str) -> dict[str, Any]:
    """Return the training values with a JSON object of others merged into them; see `apply`."""
    try:
        changes = json.loads(overrides)
    except ValueError as error:
        raise _rejected(str(error), overrides) from error
    if not isinstance(changes, dict):
        raise _rejected("it is not a JSON object", overrides)
    if not changes:
        return training
    values = training | changes
    for key, other in (("steps", "epochs"), ("epochs", "steps")):
        if changes.get(key) is not None and other not in changes:
            values[other] = None
    try:
        merged = TrainingConfig.model_validate(values).model_dump()
    except ValueError as error:
        raise _rejected("; ".join(str(error).splitlines()[1:3]).strip(), overrides) from error
    if (merged["steps"] is None) == (merged["epochs"] is None):
        raise _rejected("give exactly one of steps and epochs", overrides)
    if merged["logical_cpus"] > 1:
        raise _rejected("logical_cpus simulates several devices on a local machine only", overrides)
    return merged


def _rejected(reason: str, overrides: str) -> UserError:
    return UserError(
        f"The run's parameter `training` cannot be used: {reason}. Write a JSON object of values of the section "
        f'`training` in pipeline/config/run.py, for example {{"steps": 2000}}. Received: training={overrides}'
    )
