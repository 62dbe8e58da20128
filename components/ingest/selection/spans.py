"""Spans of a growing corpus: directories or files whose names contain a number or a date, as TFX's patterns have them.

`{SPAN}` (`{SPAN:2}`: two digits) stands for a number, `{YYYY}`, `{MM}` and `{DD}` for a date, and `{VERSION}` for the
versions of a span, of which the newest counts. TFX's ExampleGen reads one span; a corpus is a window of them.
"""

import os
import re
import warnings
from pathlib import Path
from typing import Literal

from components import lean_imports, startup
from components.errors import UserError
from components.ingest import corpora
from components.ingest.corpora import Corpus
from components.ingest.local_files import SourceFile

Window = int | Literal["all"]
_SHOWN = 5  # spans that are named one by one


def is_pattern(source: str) -> bool:
    """Whether a corpus is given by a pattern of spans.

    >>> [is_pattern(source) for source in ("texts/{SPAN:2}/*.txt", "{YYYY}/{MM}/{DD}.txt", "texts/{name}.txt")]
    [True, True, False]
    """
    return bool(re.search(r"\{(SPAN|VERSION)(:[^}]*)?\}|\{(YYYY|MM|DD)\}", source))


def resolve(
    source: str,
    window: Window,
    checksum: str | None,
    cache: Path,
    suffixes: tuple[str, ...] | None = None,
    column: str | None = None,
) -> Corpus:
    """Return the documents of a corpus as `corpora.resolve`; of a pattern those of the newest spans.

    The name of a document begins with its span: `12/a.txt`, `2026-01-31/a.txt`.

    Args:
      window: how many of the newest spans belong to the corpus.

    Raises:
      UserError: as `corpora.resolve`; the pattern is not valid or matches nothing; or there is a window, or a checksum,
        for a corpus that cannot have one.
    """
    if not is_pattern(source):
        if window != "all":
            raise UserError(
                "corpus.window is the number of newest spans, and the corpus has none: name it by a pattern such as "
                f"'texts/{{SPAN}}/*.txt', or set corpus.window=all. Received: corpus.window={window}, {source!r}"
            )
        return corpora.resolve(source, checksum, cache, suffixes, column)
    if checksum:
        raise UserError(f"A checksum belongs to one file: leave it out for spans. Received: {source!r}, {checksum!r}")
    found = sorted(_find(os.path.expanduser(source)).items())
    chosen = found if window == "all" else found[-window:]
    files = [
        SourceFile(f"{label}/{file.name}", file.path)
        for _, (label, place) in chosen
        for file in corpora.resolve(place, None, cache, suffixes, column).files
    ]
    return Corpus(source, tuple(files), None, tuple(label for _, (label, _) in chosen), chosen[-1][0])


def listed(labels: tuple[str, ...]) -> str:
    """Name spans in a few words.

    >>> listed(("1", "2")), listed(tuple("123456789"))
    ('1, 2', '1 to 9 (9 spans)')
    """
    if len(labels) <= _SHOWN:
        return ", ".join(labels)
    return f"{labels[0]} to {labels[-1]} ({len(labels)} spans)"


def _find(pattern: str) -> dict[int, tuple[str, str]]:
    """Return name and path, or glob, of each span by its number: of a date the days since 1970, as in TFX."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # no log file has been opened yet
    with startup.importing(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of Google's libraries, about the version of gRPC
        lean_imports.frameworks()
        from tfx.components.example_gen import utils
        from tfx.dsl.io import fileio
        from tfx.proto import example_gen_pb2

    # TFX's globs have no `**`, which also stands for no folder: the folder before it is the span.
    start = pattern.partition("**")[0].rstrip("/")
    split = example_gen_pb2.Input.Split(name="corpus", pattern=start)
    found: dict[int, tuple[int, str, str]] = {}
    try:
        kinds = utils.verify_split_pattern_specs(split)
        # TFX has no public function for all spans of a pattern, only for the newest one.
        glob, regex = utils._create_matching_glob_and_regex("", split, *kinds, None)
        for path in fileio.glob(glob):
            if any(part.startswith(".") and part.strip(".") for part in path.split("/")):
                continue
            tokens, number, _, version = utils._find_matched_span_version_from_path(path, regex, *kinds)
            if number in found and found[number][0] >= (version or 0):
                continue
            label = "-".join(tokens) if kinds[1] else str(number)
            found[number] = version or 0, label, _filled(pattern, path, regex)
    except ValueError as error:
        raise UserError(
            f"The spans of the corpus cannot be found: {error}. {{SPAN}} stands for a number, {{YYYY}}, {{MM}} and "
            f"{{DD}} together for a date, and one of the two occurs once. Received: {pattern!r}"
        ) from error
    except (OSError, fileio.NotFoundError) as error:
        raise UserError(f"The spans of the corpus cannot be listed: {error}. Received: {pattern!r}") from error
    if not found:
        raise UserError(
            "The corpus has no span: no path matches its pattern. Put it in quotes for the shell not to expand it; "
            f"relative paths start at {os.getcwd()}. Received: {pattern!r}"
        )
    return {number: (label, place) for number, (_, label, place) in found.items()}


def _filled(pattern: str, path: str, regex: str) -> str:
    """Return the pattern with the values that a path has for its placeholders, zeros included."""
    matched = re.search(regex, path)
    groups = matched.groupdict() if matched else {}
    names = {"YYYY": "year", "MM": "month", "DD": "day", "SPAN": "span", "VERSION": "version"}
    return re.sub(r"\{(YYYY|MM|DD|SPAN|VERSION)(:[^}]*)?\}", lambda one: groups[names[one[1]]], pattern)
