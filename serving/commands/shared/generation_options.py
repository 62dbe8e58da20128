"""The options that choose how text is generated, for the commands that generate."""

import argparse
import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any

from components.command_line import utf8
from components.errors import UserError
from components.ingest.documents import END
from serving.client.options import GenerateOptions

# Arguments of `GenerateOptions` as its messages name them, and the options that set them.
_OPTIONS = {field.name: f"--{field.name.replace('_', '-')}" for field in fields(GenerateOptions)}
_OPTIONS["num_chars"] = "--chars"
_NAMES = re.compile(rf"\b(?:{'|'.join(_OPTIONS)})\b(?= must|=)")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\"}


def add_arguments(add: Callable[..., Any]) -> None:
    """Declare the options; `add` is a parser's or a group's `add_argument`."""
    add(
        "--chars",
        type=int,
        metavar="N",
        help=f"characters to generate; default {GenerateOptions.num_chars}, or fewer if the export allows no more",
    )
    add(
        "--temperature",
        type=float,
        default=GenerateOptions.temperature,
        metavar="T",
        help="0 always takes the most likely character, 1 samples from the model's distribution; default %(default)s",
    )
    add(
        "--top-k",
        type=int,
        default=GenerateOptions.top_k,
        metavar="K",
        help="sample among the K most likely characters; 0: all",
    )
    add(
        "--top-p",
        type=float,
        default=GenerateOptions.top_p,
        metavar="P",
        help="sample among the most likely characters whose probabilities add up to P; default %(default)g: all",
    )
    add(
        "--repetition-penalty",
        type=float,
        default=GenerateOptions.repetition_penalty,
        metavar="R",
        help="above 1: characters among the last 64 become less likely; default %(default)g: off",
    )
    add("--seed", type=int, metavar="N", help="the same seed generates the same text; default: a random one")
    add(
        "--stop",
        type=utf8,
        default=GenerateOptions.stop,
        metavar="TEXT",
        help=r"end before the first occurrence; the escapes \n, \t, \r and \\ are allowed",
    )
    add("--until-end", action="store_true", help="end with the document; for models trained with corpus.documents")


def read(arguments: argparse.Namespace) -> GenerateOptions:
    """Return the chosen options; without `--seed` it is random.

    Raises:
      UserError: two options contradict each other.
      ValueError: an option is out of range; `as_user_errors` handles that.
    """
    if arguments.until_end and arguments.stop:
        raise UserError(f"Give --stop or --until-end, not both. Received: --stop {arguments.stop} --until-end")
    return GenerateOptions(
        GenerateOptions.num_chars if arguments.chars is None else arguments.chars,
        arguments.temperature,
        arguments.top_k,
        arguments.seed,
        arguments.top_p,
        arguments.repetition_penalty,
        END if arguments.until_end else _unescape(arguments.stop),
    )


@contextlib.contextmanager
def as_user_errors() -> Iterator[None]:
    """Turn the `ValueError`s of `GenerateOptions` into a `UserError` that names the options of the command line."""
    try:
        yield
    except ValueError as error:
        raise UserError(_NAMES.sub(lambda found: _OPTIONS[found[0]], str(error))) from None


def _unescape(text: str) -> str:
    """Replace the escapes that a shell passes on unchanged."""
    return re.sub(r"\\([ntr\\])", lambda match: _ESCAPES[match[1]], text)
