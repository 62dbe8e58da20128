"""Lines of a bulk job: JSON objects in, one JSON object for each of them out."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from serving.client.options import GenerateOptions
from serving.client.values import Score, as_integer, as_texts

_SHOWN = 200  # characters of what was received, in an error
_OPTIONS = tuple(field.name for field in fields(GenerateOptions))


@dataclass(frozen=True)
class Task:
    """What a job does with each line.

    Attributes:
      defaults: options of lines that do not state them. The default seed of the first line is `defaults.seed`, that
        of the next `defaults.seed + 1`, and so on. None: score texts, do not generate.
    """

    defaults: GenerateOptions | None = None

    @property
    def key(self) -> str:
        """The key of a line's text."""
        return "text" if self.defaults is None else "prompt"

    def described(self) -> dict[str, Any]:
        """Return all that decides the output, besides input and model, as JSON has it."""
        return {"task": "score"} if self.defaults is None else {"task": "generate", **asdict(self.defaults)}


@dataclass(frozen=True)
class Row:
    """A valid line: its number, from 1; its text or prompt; its options with one seed, None to score; and its `id`."""

    line: int
    text: str
    options: GenerateOptions | None
    id: str | int | None


class BadLine(ValueError):
    """A line that cannot be used; the message is for its output line.

    Attributes:
      id: of the line, as far as it could be read.
    """

    def __init__(self, message: str, id: str | int | None = None) -> None:
        """Take the message."""
        super().__init__(message)
        self.id = id


def parse(line: int, content: bytes, task: Task) -> Row:
    r"""Parse a line of the input.

    Args:
      line: its number, from 1.
      content: UTF-8, with or without a byte-order mark and the end of the line.
      task: what the job does.

    Raises:
      BadLine: it is not a JSON object, or a value is missing, unknown or out of range.

    Example:
      >>> parse(3, b'{"prompt": "A", "num_chars": 5}\n', Task(GenerateOptions(seed=7))).options.seed
      9
    """
    values = _object(content)
    name = values.pop("id", None)
    if name is not None and (not isinstance(name, (str, int)) or isinstance(name, bool)):
        raise BadLine(f"id must be a string or an integer. Received: {_shown(name)}")
    try:
        return _row(line, values, name, task)
    except ValueError as error:
        raise BadLine(str(error), name) from None


def error(line: int, message: str, id: str | int | None = None) -> bytes:
    """Return the output line of a line that failed."""
    return _encoded({"line": line, "error": message} | ({} if id is None else {"id": id}))


def generated(row: Row, text: str, stopped: bool) -> bytes:
    """Return the output line of a prompt."""
    assert row.options is not None
    return _result(row, {"prompt": row.text, "seed": row.options.seed, "text": text, "stopped": stopped})


def scored(row: Row, score: Score) -> bytes:
    """Return the output line of a text; the figures of a text of fewer than two characters are null."""
    per_character = score.nll_sum / score.num_chars if score.num_chars else math.nan
    figures = {
        "nats": score.nll_sum,
        "nats_per_character": per_character,
        "perplexity": score.perplexity,
        "bits_per_character": score.bits_per_character,
    }
    values = {name: value if math.isfinite(value) else None for name, value in figures.items()}
    return _result(row, {"predicted": score.num_chars, **values})


def _result(row: Row, values: Mapping[str, Any]) -> bytes:
    return _encoded({"line": row.line, **({} if row.id is None else {"id": row.id}), **values})


def _encoded(values: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(values, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:  # half a character of the input, as JSON's escapes can have it
        return json.dumps(values).encode() + b"\n"


def _object(content: bytes) -> dict[str, Any]:
    try:
        values = json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise BadLine(f"The line is not UTF-8: {error.reason}. Received: {_shown(content)}") from None
    except (ValueError, RecursionError) as error:
        raise BadLine(f"The line is not JSON: {error}. Received: {_shown(content.decode('utf-8-sig'))}") from None
    if not isinstance(values, dict):
        raise BadLine(f"The line must be a JSON object. Received: {_shown(values)}")
    return values


def _row(line: int, values: dict[str, Any], name: str | int | None, task: Task) -> Row:
    known = {task.key} | (set() if task.defaults is None else set(_OPTIONS))
    if unknown := sorted(values.keys() - known):
        keys = ", ".join(["id", task.key, *(_OPTIONS if task.defaults else ())])
        raise ValueError(f"A line may have the keys {keys}. Received: {_shown(', '.join(unknown))}")
    if task.key not in values:
        raise ValueError(f'A line must have the key "{task.key}". Received: {_shown(values)}')
    if not isinstance(values[task.key], str):
        raise ValueError(f"{task.key} must be a string. Received: {_shown(values[task.key])}")
    (text,) = as_texts(values.pop(task.key), task.key)
    if task.defaults is None:
        return Row(line, text, None, name)
    options = {key: value for key, value in values.items() if value is not None}
    if "seed" not in options:
        assert isinstance(task.defaults.seed, int)
        options["seed"] = task.defaults.seed + line - 1
    options["seed"] = as_integer("seed", options["seed"])  # not a list
    chosen = GenerateOptions(**{**vars(task.defaults), **options})
    chosen.seeds(1)  # fits into 64 bits
    return Row(line, text, chosen, name)


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
