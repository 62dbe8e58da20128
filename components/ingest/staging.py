"""Check a corpus and copy it to a content-addressed directory, which TFX reads."""

import hashlib
import math
import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from components.errors import UserError
from components.ingest import documents, passages, text
from components.ingest.corpora import Corpus
from components.ingest.local_files import SourceFile

_NAMED = 5  # most documents that a warning names
_LARGEST_EVAL_FRACTION = 0.5  # that the configuration allows


@dataclass(frozen=True)
class CorpusFacts:
    """Sizes of a checked corpus, after cleaning.

    Attributes:
      documents: number of documents, unused files included.
      characters: number of characters of all documents together.
      eval_chars: number of targets of the eval split.
      distinct: number of distinct characters.
      unused: names of the documents with fewer than two characters, in which there is nothing to predict.
      missing: number of rows of tables without text.
    """

    documents: int
    characters: int
    eval_chars: int
    distinct: int
    unused: tuple[str, ...] = ()
    missing: int = 0

    @property
    def note(self) -> str | None:
        """A warning for the user, one paragraph; None if there is none."""
        notes = [f"{self.missing} rows have no text and are left out."] if self.missing else []
        notes += [self._unused_note] if self.unused else []
        return " ".join(notes) or None

    @property
    def _unused_note(self) -> str:
        named = ", ".join(map(repr, self.unused[:_NAMED]))
        if len(self.unused) > _NAMED:
            named += f" and {len(self.unused) - _NAMED} more"
        return (
            f"{len(self.unused)} of {self.documents} documents have fewer than {passages.MIN_DOCUMENT} characters "
            f"without byte-order marks and licenses, so they are left out: {named}. If they should contain text, fix "
            "them and run again."
        )


def check(
    corpus: Corpus,
    min_chars: int,
    passage_length: int,
    eval_fraction: float,
    test_fraction: float,
    rule: str = documents.FILE,
    reading: text.Reading = text.PLAIN,
) -> CorpusFacts:
    """Return the sizes of a corpus that can be trained on; holds one file, or row of a table, in memory at a time.

    Args:
      corpus: the resolved documents.
      min_chars: the fewest characters that all documents must have together, after cleaning.
      passage_length: the most targets in one passage, at least 1.
      eval_fraction: fraction of each document's characters for the eval split.
      test_fraction: fraction of each document's characters for the test split.
      rule: what one document is, see `passages.blocks`.
      reading: how a file is read.

    Raises:
      UserError: a document cannot be read as text; the corpus is empty, shorter than `min_chars` or without a train or
        eval split; or a setting is out of range.
    """
    passages.require_passage_length(passage_length)
    passages.blocks("", eval_fraction, test_fraction, rule)
    count = characters = longest = missing = 0
    targets = Counter[str]()
    distinct: set[str] = set()
    unused: list[str] = []
    for file in corpus.files:
        sizes = _measure(file, eval_fraction, test_fraction, rule, reading)
        if sizes.characters < passages.MIN_DOCUMENT:
            unused.append(file.name)
            continue
        count += sizes.documents
        missing += sizes.missing
        characters += sizes.characters
        longest = max(longest, sizes.characters)
        distinct |= sizes.distinct
        targets.update(sizes.targets)
    count += len(unused)
    size = f"{characters} characters in {count} documents"
    if not "".join(distinct - {documents.END}).strip():
        raise UserError(
            f"The corpus {corpus.label!r} is empty: its documents, or rows, contain only white space, byte-order marks "
            f"and licenses. Name files that contain text. Received: {size}"
        )
    if characters < min_chars:
        raise UserError(
            f"The corpus {corpus.label!r} is too short to learn from: it has fewer than the {min_chars} characters "
            f"required. Add text or lower that minimum (min_chars). Received: {size}"
        )
    if not (targets["train"] and targets["eval"]):
        lacking = "no eval split to evaluate the model on" if targets["train"] else "no train split to learn from"
        lacks = f"The corpus {corpus.label!r} has {lacking}"
        if rule == documents.FILE:
            raise UserError(
                f"{lacks}: a document whose held-out part would have fewer than {passages.MIN_HELD_OUT} characters is "
                f"in one split as a whole. {_held_out_advice(longest, characters)} Received: "
                f"eval_fraction={eval_fraction}, longest document {longest} characters, {size}"
            )
        raise UserError(
            f"{lacks}: each document is in one split as a whole, equal ones in the same, and there are too few. Check "
            "that corpus.documents describes what separates them, add documents, or change eval_fraction. Received: "
            f"corpus.documents={rule}, eval_fraction={eval_fraction}, {size}"
        )
    return CorpusFacts(count, characters, targets["eval"], len(distinct), tuple(unused), missing)


def _measure(
    file: SourceFile, eval_fraction: float, test_fraction: float, rule: str, reading: text.Reading
) -> passages.Sizes:
    if rule == documents.ROW:
        rows = text.read_rows(file.open, file.name, file.typed, reading)
        return passages.measure_rows(rows, eval_fraction, test_fraction)
    content = text.read_document(file.read(), file.name, file.typed, reading)
    return passages.measure(content, eval_fraction, test_fraction, rule)


def stage(corpus: Corpus, directory: Path) -> Path:
    """Copy the corpus to a directory below `directory`, unless a complete copy exists, and return its path.

    The directory's name is the first 16 hex digits of a SHA-256 of the sorted names and contents. Each file in it is
    named after its document (`document_name` is the inverse), and all modification times are 0: TFX's cache recognizes
    the same corpus, wherever and whenever it was copied. A copy with a missing or additional file, or with a file of
    another size or time, is replaced.

    Raises:
      UserError: a source cannot be read or the copy cannot be written.
    """
    digest = _digest(corpus.files)
    target = directory / digest
    workspace = None
    try:
        if _is_complete(target, corpus):
            return target
        directory.mkdir(parents=True, exist_ok=True)
        workspace = Path(tempfile.mkdtemp(prefix=f".{digest}-", dir=directory))
        _copy(corpus, workspace / "copy", digest)
        # Another process may have staged the same corpus meanwhile, and a reader may be using that copy.
        if os.path.lexists(target) and not _is_complete(target, corpus):
            target.rename(workspace / "wrong")
        try:
            (workspace / "copy").rename(target)
        except OSError:
            if not _is_complete(target, corpus):
                raise
    except OSError as error:
        raise UserError(
            f"The corpus {corpus.label!r} cannot be copied into {str(directory)!r}: {error}. Check that the disk "
            "has space, that you have write permission, that no file is in the way, and that document names with "
            f"their directories have fewer than 256 bytes. Received: {str(target)!r}"
        ) from error
    finally:
        if workspace:
            shutil.rmtree(workspace, ignore_errors=True)
    return target


def document_name(staged: str) -> str:
    """Return the document's name from the path or base name of its staged copy."""
    return re.sub(
        "(?:%[0-9A-F]{2})+", lambda found: unquote(found[0], errors="surrogateescape"), staged.rpartition("/")[2]
    )


def _staged_name(name: str) -> str:
    # Characters with a meaning for file systems and globs; surrogates stand for bytes of names that are not UTF-8.
    special = re.compile(r"[%/*?\[\]\\\x00-\x1f\udc80-\udcff]")
    return special.sub(lambda found: quote(found[0], safe="", errors="surrogateescape"), name)


def _held_out_advice(longest: int, characters: int) -> str:
    """Return what gives a corpus both splits, a sentence or two that can be followed."""
    if (fraction := _sufficient(longest)) is not None:
        return f"Raise eval_fraction to {fraction} or more, add documents, or join short ones to longer ones."
    if (fraction := _sufficient(characters)) is not None:
        return (
            f"No eval_fraction up to {_LARGEST_EVAL_FRACTION} holds out a part of documents as short as these: add "
            "more of them, or join them to one, for example with `cat *.txt > joined.txt` in their directory, and set "
            f"eval_fraction to {fraction} or more."
        )
    needed = math.ceil(passages.MIN_HELD_OUT / _LARGEST_EVAL_FRACTION)
    return (
        f"Add documents, or text: a document of {needed} characters is enough with an eval_fraction of "
        f"{_LARGEST_EVAL_FRACTION}."
    )


def _sufficient(length: int) -> float | None:
    """Return the eval_fraction, in hundredths, that holds out enough of a document; None: it would be too large."""
    fraction = math.ceil(100 * passages.MIN_HELD_OUT / length) / 100 if length else math.inf
    return fraction if fraction <= _LARGEST_EVAL_FRACTION else None


def _digest(files: Iterable[SourceFile]) -> str:
    total = hashlib.sha256()
    for file in sorted(files, key=lambda file: file.name):
        name = file.name.encode("utf-8", "surrogateescape")
        # The length separates name and content: otherwise different corpora could have the same bytes.
        total.update(f"{len(name)}:".encode() + name + bytes.fromhex(file.checksum()))
    return total.hexdigest()[:16]


def _is_complete(target: Path, corpus: Corpus) -> bool:
    try:
        with os.scandir(target) as entries:
            statuses = {entry.name: entry.stat(follow_symlinks=False) for entry in entries}
    except (FileNotFoundError, NotADirectoryError):
        return False
    found = {name: (status.st_size, status.st_mtime_ns) for name, status in statuses.items()}
    return found == {_staged_name(file.name): (file.path.stat().st_size, 0) for file in corpus.files}


def _copy(corpus: Corpus, directory: Path, digest: str) -> None:
    directory.mkdir()
    copies = []
    for file in corpus.files:
        copy = directory / _staged_name(file.name)
        shutil.copyfile(file.path, copy)
        os.utime(copy, (0, 0))
        copies.append(SourceFile(file.name, copy))
    if _digest(copies) != digest:
        raise UserError(
            f"The corpus {corpus.label!r} changed while it was copied. Wait until no process writes to it and start "
            f"again. Received: {str(corpus.files[0].path.parent)!r}"
        )
