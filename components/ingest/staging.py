"""Copy a corpus to a content-addressed directory, which TFX reads."""

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote, unquote

from components.errors import UserError
from components.ingest.corpora import Corpus
from components.ingest.local_files import SourceFile


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
