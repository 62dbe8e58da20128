"""Join defaults, presets and `key=value` settings into one checked `Config`."""

import difflib
import itertools
import sys
from collections.abc import Iterable, Mapping
from functools import cache
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
_MINUTES = "training.max_minutes"
_NONE = ("none", "null")  # TOML has no null
# Of pydantic's messages, to continue "should be".
_BEGINNINGS = {
    "Value error, ": "",
    "Input should be ": "",
    "String should match pattern ": "text that matches the pattern ",
    "String should have ": "text of ",
}


def preset_names() -> list[str]:
    """Return the names that `--preset` takes, in alphabetical order."""
    return sorted(path.stem for path in PRESETS.glob("*.toml"))


def load(preset: str, settings: Iterable[str] = (), explicit: Mapping[str, Any] | None = None) -> Config:
    """Build the configuration of one run.

    >>> load("tutorial", ["training.epochs=3"]).training.epochs
    3

    Args:
      preset: name of a file in `pipeline/presets/`, without its suffix, or several names with commas; later ones win.
        The file may name another preset in `extends` and then holds only what differs from that one.
      settings: `key=value` strings as `--set` takes them; later ones win. Values are written as in TOML, strings
        without quotes, and `none` stands for "not set".
      explicit: values by dotted key, from separate command-line options. They win over all others; `None`: not given.

    Raises:
      UserError: an unknown preset or key, or a bad value; the message has key, value and what was expected.
    """
    names, given = preset_names(), preset.split(",")
    if not set(given) <= set(names):
        raise UserError(
            f"Unknown preset. Give one of these, or several with commas between them: {', '.join(names)}. "
            f"Received: --preset {preset}"
        )
    values: dict[str, Any] = {}
    for layer in (*itertools.chain(*map(_preset_layers, given)), dict(map(_parse_setting, settings))):
        _merge(values, layer)
    _merge(values, explicit or {}, literal_none=False)
    return _build(values, {})


def replace(config: Config, changes: Mapping[str, Any]) -> Config:
    """Return a configuration with other values; those that are not given stay.

    >>> replace(load("quick"), {"training.epochs": 3}).training.steps is None
    True

    Args:
      changes: values by dotted key; `None` stands for "not set".

    Raises:
      UserError: an unknown key, or a bad value; the message has key, value and what was expected.
    """
    for key in changes:
        _annotation(key)
    values: dict[str, Any] = {}
    _merge(values, {key: _NONE[0] if value is None else value for key, value in changes.items()})
    return _build(values, config.model_dump())


def _preset_layers(name: str, extended: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """Return the values of a preset and of those that it extends, the most basic one first."""
    path = PRESETS / f"{name}.toml"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        base = table.pop("extends", None)
        layer = dict(_flatten(table))
        for key in layer:
            _annotation(key)
    except (tomllib.TOMLDecodeError, UserError) as error:
        raise UserError(f"{path}: {error}") from None
    if base is None:
        return [layer]
    extended = (*extended, name)
    others = [other for other in preset_names() if other not in extended]
    if base not in others:
        cycle = f" That is a cycle: {' extends '.join([*extended, base])}." if base in extended else ""
        raise UserError(f"{path}: extends should be one of: {', '.join(others)}.{cycle} Received: extends={base!r}")
    return [*_preset_layers(base, extended), layer]


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
    if _annotation(key) in (str, str | None):
        return key, raw
    try:
        return key, tomllib.loads(f"value = {raw}")["value"]
    except tomllib.TOMLDecodeError:
        return key, raw.strip()


def _annotation(key: str) -> Any:
    """Return the type of the value at a dotted key; raises `UserError` for an unknown key."""
    known = _annotations(Config)
    if key in known:
        return known[key]
    if inside := [name.split(".") for name in known if name.startswith(f"{key}.")]:
        depth = key.count(".") + 2
        names = ", ".join(dict.fromkeys(".".join(parts[:depth]) for parts in inside))
        raise UserError(f"{key} is a section. Set one of its values: {names}. Received: {key}")
    if value := next((name for name in known if key.startswith(f"{name}.")), None):
        raise UserError(f"{value} is a single value without parts. Received: {key}")
    near = difflib.get_close_matches(key, known, n=3, cutoff=0.5)
    near += [name for name in known if name.endswith(f".{key.rpartition('.')[2]}") and name not in near]
    hint = f"Did you mean {' or '.join(near)}?" if near else f"Sections: {', '.join(Config.model_fields)}."
    raise UserError(f"There is no configuration value with this name. {hint} Received: {key}")


@cache
def _annotations(section: type[BaseModel]) -> dict[str, Any]:
    """Return the types of all values of a section by dotted key."""
    found: dict[str, Any] = {}
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found |= {f"{name}.{key}": annotation for key, annotation in _annotations(field.annotation).items()}
        else:
            found[name] = field.annotation
    return found


def _merge(values: dict[str, Any], layer: Mapping[str, Any], literal_none: bool = True) -> None:
    for key, value in layer.items():
        if isinstance(value, str) and value.lower() in _NONE and literal_none:
            values[key] = None
        elif value is not None:
            values[key] = tuple(value) if isinstance(value, list) else value
    # Steps and epochs exclude each other: the one that is set later unsets the other.
    for given, other in (("training.steps", "training.epochs"), ("training.epochs", "training.steps")):
        if values.get(given) is not None and given in layer and other not in layer:
            values[other] = None
    # They are exact, so they also unset the time limit of a preset.
    lengths = [layer.get(key) for key in ("training.steps", "training.epochs")]
    if any(isinstance(length, int) for length in lengths) and _MINUTES in values and _MINUTES not in layer:
        values[_MINUTES] = None


def _build(values: Mapping[str, Any], nested: dict[str, Any]) -> Config:
    """Return the configuration with these values by dotted key, and all others as in `nested` or the defaults."""
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
    """Yield one sentence for each bad value: its key, what was expected and the value; "or" joins types of a union."""
    by_key: dict[str, list[str]] = {}
    for problem in error.errors(include_url=False):
        location = [str(part) for part in problem["loc"]]
        # A union adds the name of its member to the location: the longest known key is that of the value.
        while location and ".".join(location) not in values:
            location.pop()
        by_key.setdefault(".".join(location), []).append(_expected(problem))
    for key, messages in by_key.items():
        if not key:
            yield " ".join(messages)
        else:
            yield f"{key} should be {' or '.join(dict.fromkeys(messages))}. Received: {key}={values[key]!r}"


def _expected(problem: Mapping[str, Any]) -> str:
    """Return what follows "should be" in the explanation of a bad value."""
    if problem["type"] == "tuple_type":
        return """a list such as '["a", "b"]', in single quotation marks for the shell"""
    if word := {"missing": "with", "extra_forbidden": "without"}.get(problem["type"]):
        return f"given {word} {problem['loc'][-1]}"
    message: str = problem["msg"]
    beginning = next(filter(message.startswith, _BEGINNINGS), "")
    return _BEGINNINGS.get(beginning, "") + message.removeprefix(beginning)
