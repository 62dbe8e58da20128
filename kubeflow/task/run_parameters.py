"""The parameters of a run: checked before a run is sent, by its first task, and applied in the tasks that they concern.

`corpus` is the training text. `preset` is the name of a preset whose model, training and export replace the compiled
ones. Each of the others holds values of the configuration's section of that name as a JSON object.
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from components.errors import UserError

if TYPE_CHECKING:
    from pipeline.config.run import Config  # late elsewhere, because most tasks of most runs have no values to check

PRESET_SECTIONS = ("model", "training", "export")
EXAMPLES = {
    "model": '{"units": 256}',
    "training": '{"steps": 2000}',
    "export": '{"temperature": 0.5}',
    "evaluation": '{"threshold": 5.5}',
}
SECTIONS = tuple(EXAMPLES)
# Parameters of a task: the compiled values, and the prefix of those of the run.
COMPILED, PREFIX = "compiled", "run_"


def compiled(config: "Config") -> str:
    """Return the values that a run may change, and those that they are checked against, as JSON for `apply`."""
    values = config.model_dump(mode="json", include={"corpus": {"passage_length"}, **dict.fromkeys(SECTIONS, True)})
    return json.dumps(values, sort_keys=True)


def parse(options: list[str], config: "Config") -> dict[str, str]:
    """Read `NAME=VALUE` options and reject values that a task would reject.

    Args:
      config: the compiled values.

    Raises:
      UserError: a name is unknown, or a value is invalid.

    Example:
      >>> from pipeline.config.run import Config
      >>> parse(["corpus=sample"], Config())
      {'corpus': 'sample'}
    """
    names = ("corpus", "preset", *SECTIONS)
    wrong = [option for option in options if option.partition("=")[0] not in names]
    if wrong or any("=" not in option for option in options):
        raise UserError(
            f"A run has the parameters {', '.join(names)}, given as --param corpus=... or --param training='{{...}}'; "
            f"all other values are compiled in and set with --set. Received: {' '.join(wrong or options)}"
        )
    parameters = split(options)
    if not parameters.get("corpus", "any").strip():
        raise UserError("The run's parameter `corpus` names no text: give a name, path or URL. Received: corpus=")
    resolve(config, parameters)
    return parameters


def split(options: list[str]) -> dict[str, str]:
    """Split `NAME=VALUE` options.

    Raises:
      UserError: a name occurs twice.
    """
    parameters = {name: value for name, _, value in (option.partition("=") for option in options)}
    if len(parameters) < len(options):
        raise UserError(
            "Each parameter of a run can be given once: join the values of a section in one JSON object. "
            f"Received: {' '.join(f'--param {option}' for option in options)}"
        )
    return parameters


def apply(parameters: dict[str, Any]) -> None:
    """Replace compiled values in the parameters of a task by those of the run, in place.

    Raises:
      UserError: a parameter of the run is no JSON object, or has an unknown key or an invalid value.
    """
    given = {name: parameters.pop(PREFIX + name, "") for name in ("preset", *SECTIONS)}
    values = json.loads(parameters.pop(COMPILED, "{}"))
    if all(value in ("", "{}") for value in given.values()):
        return
    from pipeline.config.run import Config

    config = resolve(Config.model_validate(values), given)
    if "eval_config" in parameters:
        # Late: slow imports, for the one task that imports them anyway.
        from components import lean_imports

        with lean_imports.one_task():
            from components.evaluate import evaluator

        parameters["eval_config"] = evaluator.with_settings(parameters["eval_config"], **config.evaluation.model_dump())
    elif "custom_config" in parameters:
        custom = json.loads(parameters["custom_config"])
        custom |= {name: values for name, values in config.model_dump(include=set(SECTIONS)).items() if name in custom}
        parameters["custom_config"] = json.dumps(custom)


def resolve(config: "Config", parameters: Mapping[str, str]) -> "Config":
    """Return a configuration with the values of a run; see `parse` and `apply`."""
    from pipeline.config import overrides

    try:
        if preset := parameters.get("preset"):
            names = _presets()
            if not set(preset.split(",")) <= set(names):
                raise UserError(f"preset should be some of: {', '.join(names)}. Received: preset={preset}")
            chosen = overrides.load(preset)
            config = config.model_copy(update={name: getattr(chosen, name) for name in PRESET_SECTIONS})
        changes: dict[str, Any] = {}
        for section in SECTIONS:
            values = _parse_object(section, parameters.get(section, ""))
            changes |= {f"{section}.{key}": value for key, value in values.items()}
        config = overrides.replace(config, changes)
        if config.training.logical_cpus > 1:
            raise UserError(
                "training.logical_cpus simulates several devices on a local machine only. "
                f"Received: training.logical_cpus={config.training.logical_cpus}"
            )
    except UserError as error:
        raise UserError(f"The run's parameters cannot be used: {error}") from None
    return config


def _presets() -> list[str]:
    """Return the names of presets for a run: not those, such as `spot`, whose values are all compiled in."""
    from pipeline.config import overrides
    from pipeline.config.run import Config

    default = Config()
    loaded = {name: overrides.load(name) for name in overrides.preset_names()}
    return [
        name
        for name, chosen in loaded.items()
        if chosen == default or any(getattr(chosen, one) != getattr(default, one) for one in PRESET_SECTIONS)
    ]


def _parse_object(section: str, text: str) -> dict[str, Any]:
    """Parse a JSON object. Empty text, which is what the user interface sends for an empty field, has no values."""
    try:
        values = json.loads(text or "{}")
    except (ValueError, RecursionError) as error:
        values = error
    if not isinstance(values, dict):
        reason = f" ({values})" if isinstance(values, Exception) else ""
        raise UserError(
            f"{section} should be a JSON object{reason} of values of this section of the configuration, for example "
            f"{EXAMPLES[section]}. Received: {section}={text}"
        )
    return values
