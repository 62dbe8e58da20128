"""Join defaults, a preset file and `key=value` settings into one checked `Config`."""

import difflib
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from components.errors import UserError
from pipeline.config.run import Config

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PRESETS = Path(__file__).parents[1] / "presets"
_NONE = ("none", "null")  # TOML has no word for "not set"


def preset_names() -> list[str]:
    """Names that `--preset` takes, in alphabetical order."""
    return sorted(path.stem for path in PRESETS.glob("*.toml"))


def load(preset: str, settings: Iterable[str] = (), explicit: Mapping[str, Any] | None = None) -> Config:
    """Build the configuration of one run.

    Args:
      preset: name of a file in `pipeline/presets/`, without its suffix.
      settings: `key=value` texts as `--set` takes them; later ones win. Values are written as in TOML, text without
        quotes, `none` for "not set".
      explicit: values by dotted key from options of their own; they win over everything, `None` means not given.

    Raises:
      UserError: unknown preset or key, or a bad value; names key, value and what was expected.
    """
    values: dict[str, Any] = {}
    for layer in (_read_preset(preset), dict(map(_parse_setting, settings))):
        _merge(values, layer)
    _merge(values, explicit or {}, literal_none=False)
    return _build(values)


def _read_preset(name: str) -> dict[str, Any]:
    path = PRESETS / f"{name}.toml"
    if name not in preset_names():
        raise UserError(f"Unknown preset. Give one of: {', '.join(preset_names())}. Received: --preset {name}")
    with path.open("rb") as file:
        return dict(_flatten(tomllib.load(file)))


def _flatten(table: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _parse_setting(setting: str) -> tuple[str, Any]:
    key, equals, raw = setting.partition("=")
    key = key.strip()
    if not equals or not key:
        raise UserError(f"A setting is written key=value, for example training.steps=500. Received: --set {setting}")
    annotation = _annotation(key)
    if annotation in (str, str | None):
        return key, raw
    try:
        return key, tomllib.loads(f"value = {raw}")["value"]
    except tomllib.TOMLDecodeError:
        return key, raw.strip()


def _annotation(key: str) -> Any:
    """Type of the value at a dotted key; raises `UserError` for a key that does not exist."""
    section: type[BaseModel] = Config
    parts = key.split(".")
    for depth, part in enumerate(parts):
        if part not in section.model_fields:
            known = list(_keys(Config))
            near = difflib.get_close_matches(key, known, n=3, cutoff=0.5)
            near += [name for name in known if name.endswith(f".{parts[-1]}") and name not in near]
            hint = f"Did you mean {' or '.join(near)}?" if near else f"Sections: {', '.join(Config.model_fields)}."
            raise UserError(f"There is no configuration value of this name. {hint} Received: {key}")
        annotation: Any = section.model_fields[part].annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            section = annotation
            if depth == len(parts) - 1:
                inside = ", ".join(f"{key}.{name}" for name in section.model_fields)
                raise UserError(f"{key} is a section, set one of its values: {inside}. Received: {key}")
        elif depth < len(parts) - 1:
            raise UserError(f"{'.'.join(parts[: depth + 1])} is a single value without parts. Received: {key}")
    return annotation


def _keys(section: type[BaseModel], prefix: str = "") -> Iterable[str]:
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _keys(field.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name


def _merge(values: dict[str, Any], layer: Mapping[str, Any], literal_none: bool = True) -> None:
    for key, value in layer.items():
        _annotation(key)
        if isinstance(value, str) and value.lower() in _NONE and literal_none:
            values[key] = None
        elif value is not None:
            values[key] = tuple(value) if isinstance(value, list) else value
    # Steps and epochs exclude each other: the later word wins, without the user having to unset the earlier one.
    for given, other in (("training.steps", "training.epochs"), ("training.epochs", "training.steps")):
        if values.get(given) is not None and given in layer and other not in layer:
            values[other] = None


def _build(values: Mapping[str, Any]) -> Config:
    nested: dict[str, Any] = {}
    for key, value in values.items():
        *sections, name = key.split(".")
        target = nested
        for section in sections:
            target = target.setdefault(section, {})
        target[name] = value
    try:
        return Config.model_validate(nested)
    except ValidationError as error:
        raise UserError(" ".join(_explain(error, values))) from None


def _explain(error: ValidationError, values: Mapping[str, Any]) -> Iterable[str]:
    """One sentence a mistake, each with key, what was expected and what came; a union's branches joined by "or"."""
    by_key: dict[str, list[str]] = {}
    for problem in error.errors(include_url=False):
        location = [str(part) for part in problem["loc"]]
        # A union adds the name of its branch to the place: the longest known key is the value's own.
        while location and ".".join(location) not in values:
            location.pop()
        message = problem["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
        by_key.setdefault(".".join(location), []).append(message)
    for key, messages in by_key.items():
        if not key:
            yield " ".join(messages)
        else:
            yield f"{key} should be {' or '.join(dict.fromkeys(messages))}. Received: {key}={values[key]!r}"
