"""Tables, CSV or JSON Lines: the text column of each row is a document."""

import csv
import json
import re
import shlex
from collections.abc import Callable, Iterator

from components.errors import UserError

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson")
_SHOWN = 60  # characters of a bad line in a message
_LONGEST_CELL = 2**31 - 1  # characters; the csv module's own limit is 131,072
_SEPARATOR = re.compile('"?sep=(.)"?[\r\n]*', re.IGNORECASE)  # the first line of a table that Excel wrote or is to read
_NO_TEXT = re.compile("[\0\ud800-\udfff]")  # what JSON can escape and a text file cannot have: NUL, half a character


# Opens a text and returns its lines with their ends; the argument is that of `open`, `newline`.
Lines = Callable[[str], Iterator[str]]


def texts(lines: Lines, column: str, name: str, path: str | None = None) -> Iterator[str]:
    r"""Yield the text of each row; "" where it is missing. Holds one row in memory at a time.

    Args:
      lines: the file's text. A name on `.csv` or `.tsv` is a table with a header, on `.jsonl` or `.ndjson` an object
        on each line; with another name, a text that starts with `{` is such objects. Where a table's header does not
        have the column, semicolons may separate it; a first line such as `sep=;`, as Excel has it, decides that.
      column: the name in the header, or the key of the objects.
      name: of the file; `.gz` may follow the suffix.
      path: the file, for the commands in error messages; None if there is none, or if it is compressed.

    Raises:
      UserError: there is no such column, or a row is damaged or its text is not text.

    >>> content = 'id,text\n1,"one, two"\n2,\n'
    >>> list(texts(lambda newline: iter(content.splitlines(keepends=True)), "text", "a.csv"))
    ['one, two', '']
    """
    lower = name.lower().removesuffix(".gz")
    if lower.endswith((".jsonl", ".ndjson")) or (not lower.endswith(SUFFIXES) and _starts_with_json(lines)):
        return _objects(lines, column, name, path)
    separator = _SEPARATOR.fullmatch(next(lines(""), ""))
    likely = ("\t",) if lower.endswith(".tsv") else (",", ";", "\t")
    return _table(lines, column, name, (separator[1],) if separator else likely, bool(separator))


def _starts_with_json(lines: Lines) -> bool:
    return next((line.lstrip()[0] in "{[" for line in lines("\n") if line.strip()), False)


def _table(lines: Lines, column: str, name: str, delimiters: tuple[str, ...], skip_first: bool) -> Iterator[str]:
    csv.field_size_limit(_LONGEST_CELL)
    header: list[str] = []
    for delimiter in delimiters:
        rows = csv.reader(lines(""), delimiter=delimiter, strict=True)
        before = 0
        try:
            if skip_first:
                next(rows)
            names = [cell.strip() for cell in next(filter(None, rows), [])]  # an empty line is no row
            header, before = header or names, rows.line_num
            if column not in names:
                continue
            if names.count(column) > 1:
                raise UserError(
                    f"The table {name!r} has {names.count(column)} columns with the name {column!r}. Rename all but "
                    f"the one with the text in its first line. Received: {', '.join(map(repr, names))}"
                )
            place = names.index(column)
            for row in rows:
                if any(row[len(names) :]):
                    raise csv.Error(f"it has {len(row)} values for {len(names)} columns")
                if row:
                    yield row[place] if place < len(row) else ""
                before = rows.line_num
            return
        except csv.Error as error:
            raise UserError(
                f"The row on line {before + 1} of {name!r} cannot be read: {error}. A value that contains the "
                f"separator, a line break or a quotation mark must be in quotation marks, with those inside doubled; "
                f"correct the row or write the table again. Received: separator {delimiter!r}"
            ) from error
    if header:
        raise _no_column(column, header, name)


def _objects(lines: Lines, column: str, name: str, path: str | None) -> Iterator[str]:
    keys: dict[str, None] = {}
    found = False
    for number, line in enumerate(lines("\n"), 1):
        if not line.strip():
            continue
        if not keys and (line.lstrip().startswith("[") or line.strip() == "{"):
            raise _not_lines(line.lstrip()[0], name, path)
        try:
            row = json.loads(line)
        except ValueError as error:
            raise _bad_line(line, number, name, path, f"is not valid JSON: {error}") from error
        except RecursionError as error:
            raise _bad_line(line, number, name, path, "is nested too deeply") from error
        if not isinstance(row, dict):
            raise _bad_line(line, number, name, path, "is not a JSON object")
        value = row.get(column)
        if not isinstance(value, str | None):
            raise _bad_line(line, number, name, path, f"has {column!r} that is not a text but {json.dumps(value)[:20]}")
        found = found or column in row
        keys |= dict.fromkeys(row)
        yield _NO_TEXT.sub("\ufffd", value or "")
    if keys and not found:
        raise _no_column(column, list(keys), name)


def _no_column(column: str, columns: list[str], name: str) -> UserError:
    return UserError(
        f"The table {name!r} has no column {column!r}; it has {', '.join(map(repr, columns))}. Upper and lower case "
        f"differ. Set corpus.column to the one with the text. Received: corpus.column={column}"
    )


def _bad_line(line: str, number: int, name: str, path: str | None, problem: str) -> UserError:
    delete = f" (`sed -i {number}d {shlex.quote(path)}`)" if path else ""
    return UserError(
        f"Line {number} of {name!r} {problem}. JSON Lines has one object on each line, with the text as a string, or "
        f"null where it is missing. Correct the line or delete it{delete}. Received: {line.strip()[:_SHOWN]}"
    )


def _not_lines(start: str, name: str, path: str | None) -> UserError:
    kind, command = ("one array", "jq -c '.[]'") if start == "[" else ("objects of several lines each", "jq -c .")
    if path:
        copy = "lines-" + re.sub(r"\.\w+$", "", path.rpartition("/")[2]) + ".jsonl"
        command += f" {shlex.quote(path)} > {shlex.quote(copy)}"
    return UserError(
        f"The file {name!r} is JSON, but not JSON Lines, which has one object on each line: it has {kind}. Convert it "
        f"with `{command}`. Received: {start!r} at its start"
    )
