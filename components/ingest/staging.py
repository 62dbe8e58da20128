"""The content-addressed copy of a corpus that TFX reads, and the check that the corpus is worth copying."""

import hashlib
import math
import os
import re
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from components.errors import UserError
from components.ingest import passages, text
from components.ingest.corpora import Corpus, SourceFile

_NAMED = 5  # documents that a note names, at most


@dataclass(frozen=True)
class CorpusFacts:
    """What a checked corpus holds, after cleaning.

    Attributes:
        documents: number of files, empty ones included.
        characters: number of characters of all documents together.
        eval_chars: number of eval targets, that is of characters that the eval split has predicted.
        distinct: number of distinct characters.
        empty: names of the documents without a character, from which nothing can be learned.
    """

    documents: int
    characters: int
    eval_chars: int
    distinct: int
    empty: tuple[str, ...] = ()

    @property
    def note(self) -> str | None:
        """What the user should know before the run, if anything: one paragraph."""
        if not self.empty:
            return None
        named = ", ".join(map(repr, self.empty[:_NAMED]))
        if len(self.empty) > _NAMED:
            named += f" and {len(self.empty) - _NAMED} more"
        return (
            f"{len(self.empty)} of {self.documents} documents are empty once byte-order marks and licences are gone, "
            f"so nothing is learned from them: {named}. If they should hold text, mend them and run again."
        )


def check(
    corpus: Corpus, min_chars: int, passage_length: int, eval_fraction: float, test_fraction: float
) -> CorpusFacts:
    """Returns the facts about a corpus that can be trained on; holds one document in memory at a time.

    Args:
        corpus: the resolved documents.
        min_chars: the fewest characters, after cleaning and of all documents together, worth training on.
        passage_length: the most targets in one passage, at least 1.
        eval_fraction: fraction of each document's characters for the eval split.
        test_fraction: fraction of each document's characters for the test split.

    Raises:
        UserError: where a document cannot be read as text, or where the corpus is empty, shorter than `min_chars` or
            without an eval split, or where a setting is out of range.
    """
    passages.require_passage_length(passage_length)
    passages.split_blocks(0, eval_fraction, test_fraction)
    characters = eval_chars = longest = 0
    distinct: set[str] = set()
    empty: list[str] = []
    for file in corpus.files:
        length, found = _measure(file)
        empty += [] if length else [file.name]
        characters += length
        longest = max(longest, length)
        distinct |= found
        for split, start, end in passages.split_blocks(length, eval_fraction, test_fraction):
            eval_chars += end - start - 1 if split == "eval" else 0
    size = f"{characters} characters in {len(corpus.files)} documents"
    if not "".join(distinct).strip():
        raise UserError(
            f"The corpus {corpus.label!r} is empty: its documents have no text but white space once byte-order marks "
            f"and licences are gone. Name files that hold text. Received: {size}"
        )
    if characters < min_chars:
        raise UserError(
            f"The corpus {corpus.label!r} is too short to learn from: it has fewer than the {min_chars} characters "
            f"asked for. Add text or lower that minimum (min_chars). Received: {size}"
        )
    if eval_chars == 0:
        needed = math.ceil(passages.MIN_HELD_OUT / eval_fraction) if eval_fraction else 0
        advice = f"add a document of {needed} characters or raise" if needed else "raise"
        raise UserError(
            f"The corpus {corpus.label!r} gives no eval split, so the model could not be judged: a document's held-out "
            f"part must have at least {passages.MIN_HELD_OUT} characters. To get one, {advice} eval_fraction. "
            f"Received: eval_fraction={eval_fraction}, longest document {longest} characters, {size}"
        )
    return CorpusFacts(len(corpus.files), characters, eval_chars, len(distinct), tuple(empty))


def stage(corpus: Corpus, directory: Path) -> Path:
    """Returns the directory below `directory` that holds a whole copy of the corpus, made where it is missing.

    Its name is the first 16 hex digits of a SHA-256 over the sorted names and contents, each file in it is called
    after its document (`document_name` inverts that), and all modification times are 0, so that the same corpus looks
    the same to TFX whenever and from wherever it was copied. A copy with a file missing, added or of another size or
    time is replaced.

    Raises:
        UserError: where a source cannot be read or the copy cannot be written.
    """
    digest = _digest(corpus.files)
    target = directory / digest
    workspace = None
    try:
        if _is_whole(target, corpus):
            return target
        directory.mkdir(parents=True, exist_ok=True)
        workspace = Path(tempfile.mkdtemp(prefix=f".{digest}-", dir=directory))
        _copy(corpus, workspace / "copy", digest)
        # Another process may have staged the same corpus meanwhile, and something may be reading it already.
        if os.path.lexists(target) and not _is_whole(target, corpus):
            target.rename(workspace / "wrong")
        try:
            (workspace / "copy").rename(target)
        except OSError:
            if not _is_whole(target, corpus):
                raise
    except OSError as error:
        raise UserError(
            f"The corpus {corpus.label!r} cannot be copied into {str(directory)!r}: {error}. Make sure that the disk "
            "has room, that you may write there and that no file stands in the way, and that document names stay "
            f"below 256 bytes with their folders. Received: {str(target)!r}"
        ) from error
    finally:
        if workspace:
            shutil.rmtree(workspace, ignore_errors=True)
    return target


def document_name(staged: str) -> str:
    """Returns the document's name from the path or base name of its staged copy."""
    return re.sub(
        "(?:%[0-9A-F]{2})+", lambda found: unquote(found[0], errors="surrogateescape"), staged.rpartition("/")[2]
    )


def _staged_name(name: str) -> str:
    # What has a meaning to file systems and globs; surrogates stand for the bytes of names that are not UTF-8.
    special = re.compile(r"[%/*?\[\]\\\x00-\x1f\udc80-\udcff]")
    return special.sub(lambda found: quote(found[0], safe="", errors="surrogateescape"), name)


def _measure(file: SourceFile) -> tuple[int, set[str]]:
    """Returns the length and the distinct characters of one document, whose text is freed on return."""
    content = text.read_document(file.read(), file.name)
    return len(content), set(content)


def _digest(files: Iterable[SourceFile]) -> str:
    total = hashlib.sha256()
    for file in sorted(files, key=lambda file: file.name):
        name = file.name.encode("utf-8", "surrogateescape")
        # Lengths keep two different corpora from running together into the same bytes.
        total.update(f"{len(name)}:".encode() + name + bytes.fromhex(file.checksum()))
    return total.hexdigest()[:16]


def _is_whole(target: Path, corpus: Corpus) -> bool:
    try:
        with os.scandir(target) as entries:
            found = {entry.name: entry.stat(follow_symlinks=False) for entry in entries}
    except (FileNotFoundError, NotADirectoryError):
        return False
    expected = {_staged_name(file.name): file.path.stat().st_size for file in corpus.files}
    return {name: (status.st_size, status.st_mtime_ns) for name, status in found.items()} == {
        name: (size, 0) for name, size in expected.items()
    }


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
            f"The corpus {corpus.label!r} changed while it was copied. Wait until nothing writes to it and start "
            f"again. Received: {str(corpus.files[0].path.parent)!r}"
        )
