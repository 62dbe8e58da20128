"""What the command lines share: their parser, what they print, exit codes, and the paragraph about an exception."""

import argparse
import codecs
import contextlib
import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, NoReturn

from components.errors import UserError
from components.startup import INTERRUPTED

OK, FAILED, USER_ERROR = 0, 1, 2
BROKEN_PIPE = 141  # as a shell reports a program that SIGPIPE ended

# Control characters but tab and line feed, and those that reorder the text after them.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class Parser(argparse.ArgumentParser):
    """A parser that refuses empty texts, such as those of a shell's unset variables. Use `type=utf8` to allow them.

    Example: tests/components/test_command_line.py.
    """

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        """Create a parser; its subparsers are of this class as well."""
        super().__init__(*arguments, **keywords)
        self.register("type", None, _not_empty)

    def add_subparsers(self, **keywords: Any) -> Any:
        """Add commands, whose arguments only their own parsers check."""
        action = super().add_subparsers(**keywords)
        action.type = str
        return action

    def add_commands(self, argv: Sequence[str], commands: Mapping[str, str], find: Callable[[str], ModuleType]) -> None:
        """Add commands, each with the arguments of its module; only the one that is used is imported.

        Args:
          argv: the command line; its first word is the command.
          commands: for each name its line in `--help`.
          find: imports the command of a name; the module has a docstring and `add_arguments(parser)`.
        """
        names = self.add_subparsers(dest="command", metavar="COMMAND", required=True)
        for name, summary in commands.items():
            module = find(name) if argv and argv[0] == name else None
            description = module.__doc__ if module else None
            subparser = names.add_parser(
                name, help=summary, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
            )
            if module:
                module.add_arguments(subparser)

    def error(self, message: str) -> NoReturn:
        """Print the usage and an error, and exit with code 2."""
        super().error(visible(message))


def utf8(argument: str) -> str:
    """Return an argument that may be any text.

    Raises:
      UserError: it is not UTF-8. Python decodes each byte that is not UTF-8 to a lone surrogate.
    """
    if wrong := re.search("[\udc80-\udcff]", argument):
        before = argument[: wrong.start()]
        raise UserError(
            "A text on the command line is not UTF-8. Type it in a terminal with UTF-8, or convert the file or script "
            f"that it comes from with iconv. Received: byte 0x{ord(wrong[0]) & 0xFF:02x} after {before!r}"
        )
    return argument


def _not_empty(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError(f"it must not be empty (is a shell variable unset?). Received: {text!r}")
    return text


def counted(count: int, noun: str) -> str:
    """Return a number and its noun.

    >>> counted(1, "document"), counted(32_033, "document")
    ('1 document', '32,033 documents')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def to_json(value: Any, indent: int | None = None) -> str:
    """Return JSON that standard output can represent; other characters, and control characters, are escaped."""
    unicode = codecs.lookup(sys.stdout.encoding).name.startswith("utf-")
    text = json.dumps(value, indent=indent, ensure_ascii=not unicode)
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def visible(text: str) -> str:
    r"""Return the text with control characters escaped: in a terminal they can hide or change what is displayed.

    >>> print(visible("red: \x1b[31m"))
    red: \x1b[31m
    """
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def print_error(text: str) -> None:
    """Print a line on standard error, with control characters escaped: it can quote a file's name or a text."""
    print(visible(text), file=sys.stderr, flush=True)


def run(
    program: Callable[[], int],
    failures: tuple[type[Exception], ...] = (),
    report: Callable[[str], None] = print_error,
    interrupted: Callable[[], None] = lambda: print_error("interrupted"),
    explain: Callable[[Exception], tuple[str, int]] | None = None,
) -> int:
    """Return the exit code of a program, or that of the exception which ends it, after printing a paragraph about it.

    Args:
      failures: exceptions whose message is for users, although the mistake is not theirs.
      explain: returns paragraph and exit code for other exceptions. Without it, these are raised.
    """
    try:
        code = program()
        sys.stdout.flush()
        return code
    except UserError as error:
        report(f"error: {error}")
        return USER_ERROR
    except failures as error:
        report(f"failed: {error}")
        return FAILED
    except KeyboardInterrupt:
        interrupted()
        return INTERRUPTED
    except Exception as error:
        if explain is not None:
            import traceback  # late: only a program that fails needs it

            with contextlib.suppress(OSError):  # the log may be on the full disk that is the reason
                traceback.print_exc()
            paragraph, code = explain(error)
            report(paragraph)
            return code
        if not isinstance(error, BrokenPipeError):
            raise
        # The reader of the output has closed it. Discard what is still buffered, or the flush at exit fails as well.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
