"""Find documents on local disk: a file, the files of a directory with certain suffixes, or a glob."""

import difflib
import glob
import hashlib
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from components.errors import UserError

_PART = 1 << 20  # bytes that are read at once


@dataclass(frozen=True)
class SourceFile:
    """One document on local disk; `name` is relative, '/'-separated and unique within its corpus."""

    name: str
    path: Path

    @property
    def typed(self) -> str:
        """The path for a shell in the working directory: relative if it was given so."""
        return str(self.path).removeprefix(os.path.join(os.getcwd(), ""))

    def open(self) -> BinaryIO:
        """Open the file for reading; raises UserError if it was deleted or cannot be read."""
        try:
            return self.path.open("rb")
        except OSError as error:
            raise _unreadable(self.path, error) from error

    def read(self) -> bytes:
        """Return the file's bytes; raises UserError as `open` does."""
        with self.open() as file:
            return file.read()

    def checksum(self) -> str:
        """Return the SHA-256 of the file's bytes in hex digits; raises UserError as `open` does."""
        digest = hashlib.sha256()
        with self.open() as file:
            while part := file.read(_PART):
                digest.update(part)
        return digest.hexdigest()


def find(source: str, suffixes: tuple[str, ...], known: Iterable[str]) -> tuple[SourceFile, ...]:
    """Return the documents that a path or a glob stands for, sorted by name.

    Args:
      source: a file, a directory, or a glob.
      suffixes: of the documents in a directory, in lower case.
      known: names of corpora that are no files, for the message about a source that does not exist.

    Raises:
      UserError: there is no such file, or one cannot be read.
    """
    expanded = os.path.expanduser(source)
    try:
        mode = os.stat(expanded).st_mode
    except (FileNotFoundError, NotADirectoryError):
        mode = 0
    except (OSError, ValueError) as error:
        raise _unreadable(expanded, error) from error
    if stat.S_ISDIR(mode):
        return _directory(Path(expanded), suffixes)
    if mode:
        return readable([Path(expanded)], Path(expanded).parent)
    if glob.has_magic(source):
        return _glob(expanded)
    siblings = glob.glob(os.path.join(glob.escape(os.path.dirname(expanded)), "*"))
    close = difflib.get_close_matches(expanded, [*known, *siblings])
    raise UserError(
        f"There is no such corpus: it is neither a known name ({', '.join(known)}) nor an existing file, directory, "
        f"glob or http(s) URL. {'Did you mean ' + ' or '.join(close) + '? ' if close else ''}"
        f"Paths are relative to {os.getcwd()}. Received: {source!r}"
    )


def _directory(directory: Path, suffixes: tuple[str, ...]) -> tuple[SourceFile, ...]:
    def refuse(error: OSError) -> None:
        raise _unreadable(error.filename, error) from error

    texts: list[Path] = []
    others, seen = 0, set[str]()
    for parent, folders, names in os.walk(directory, onerror=refuse, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:  # a link to a directory above would be followed forever
            folders[:] = names[:] = []
        seen.add(real)
        folders[:] = sorted(folder for folder in folders if not folder.startswith("."))
        wanted = [name for name in names if name.lower().endswith(suffixes) and not name.startswith(".")]
        texts.extend(Path(parent, name) for name in wanted)
        others += len(names) - len(wanted)
    if not texts:
        raise UserError(
            f"The directory has no text: looked in it and below it for {' and '.join(f'*{end}' for end in suffixes)} "
            f"that are not hidden, and found {others} other files. Set corpus.suffixes, for example "
            f"""--set 'corpus.suffixes=[".md"]', or use a glob in quotes, such as '{directory}/**/*.md'. """
            f"Received: {str(directory)!r}"
        )
    return readable(texts, directory)


def _glob(pattern: str) -> tuple[SourceFile, ...]:
    matches = glob.glob(pattern, recursive=True)
    paths = {os.path.abspath(match) for match in matches if os.path.isfile(match)}
    if not paths:
        raise UserError(
            f"The glob matches no file ({len(matches)} directories or broken links). Put it in quotes for the shell "
            f"not to expand it, and use ** for any depth; it is relative to {os.getcwd()}. Received: {pattern!r}"
        )
    return readable(map(Path, paths), Path(os.path.commonpath([os.path.dirname(path) for path in paths])))


def readable(paths: Iterable[Path], base: Path) -> tuple[SourceFile, ...]:
    """Return the files sorted by name, relative to `base`; raises UserError if one cannot be read."""
    files = [SourceFile(path.relative_to(base).as_posix(), path.absolute()) for path in paths]
    for file in files:
        try:
            if not stat.S_ISREG(file.path.stat().st_mode):  # opening a pipe would block
                raise OSError("it is not a regular file")
            file.path.open("rb").close()
        except OSError as error:
            raise _unreadable(file.path, error) from error
    return tuple(sorted(files, key=lambda file: file.name))


def _unreadable(path: Path | str, error: Exception) -> UserError:
    return UserError(
        f"The corpus cannot be read: {getattr(error, 'strerror', None) or error}. Check that the file or directory "
        f"exists and that you have read permission (`ls -l`). Received: {str(path)!r}"
    )
