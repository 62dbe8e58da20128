"""Find the documents of a corpus by name, path, glob or URL, on disk or in a bucket, and bring them to local disk."""

import difflib
import glob
import hashlib
import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import platformdirs

from components.errors import UserError
from components.ingest import bucket, download

DEFAULT_CACHE = platformdirs.user_cache_path("char-rnn-tfx")
SAMPLE = Path(__file__).parents[1] / "sample" / "the_lamp_at_harrow_quay.txt"
DEFAULT = "shakespeare"
_SUFFIXES = (".txt", ".txt.gz")  # of texts in a directory, in lower or upper case


@dataclass(frozen=True)
class SourceFile:
    """One document on local disk; `name` is relative, '/'-separated and unique within its corpus."""

    name: str
    path: Path

    @property
    def typed(self) -> str:
        """The path for a shell in the working directory: relative if it was given so."""
        return str(self.path).removeprefix(os.path.join(os.getcwd(), ""))

    def read(self) -> bytes:
        """Return the file's bytes; raises UserError if it was deleted or cannot be read."""
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise _unreadable(self.path, error) from error

    def checksum(self) -> str:
        """Return the SHA-256 of the file's bytes in hex digits; raises UserError as `read` does."""
        return hashlib.sha256(self.read()).hexdigest()


@dataclass(frozen=True)
class Corpus:
    """The documents sorted by name, the name of the corpus, and a warning for the user, if there is one.

    >>> [file.name for file in resolve("sample", None, DEFAULT_CACHE).files]
    ['the_lamp_at_harrow_quay.txt']
    """

    label: str
    files: tuple[SourceFile, ...]
    note: str | None


# URL of each known corpus (None: bundled), and its SHA-256 if it never changes.
KNOWN: dict[str, tuple[str | None, str | None]] = {
    DEFAULT: (
        "https://storage.googleapis.com/download.tensorflow.org/data/shakespeare.txt",
        "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
    ),
    "great_expectations": ("https://www.gutenberg.org/files/1400/1400-0.txt", None),
    "sample": (None, None),
}


def resolve(source: str, checksum: str | None, cache: Path) -> Corpus:
    """Return the documents of a known corpus, file, directory, glob or http(s) URL, all of them on local disk.

    Files, directories and globs may be in a bucket (`gs://...`), where they stand for the same documents.

    Args:
      source: a name in `KNOWN` takes precedence (`./sample` is a file of that name); a directory stands for every *.txt
        and *.txt.gz below it that is not hidden.
      checksum: SHA-256 in hex digits, with or without `sha256:`, of the one file that `source` names.
      cache: directory for downloads, created if necessary.

    Raises:
      UserError: no file is found, a file cannot be read or downloaded, or the checksum differs.
    """
    expected = (checksum or "").strip().lower().removeprefix("sha256:") or None
    if checksum and not re.fullmatch("[0-9a-f]{64}", expected or ""):
        raise UserError(f"A corpus checksum must be the 64 hex digits that `sha256sum` prints. Received: {checksum!r}")
    url, known_checksum = KNOWN.get(source, (source if re.match("(?i)https?://", source) else None, None))
    if url:
        try:
            # The secret is for the server of the user's own text only.
            secret = None if source in KNOWN else download.authorization()
            path = download.fetch(url, expected or known_checksum, cache, secret)
            return Corpus(source, (SourceFile(download.name(url), path),), None)
        except download.Unreachable as error:
            # A checksum that the user set means exactly that file.
            if source != DEFAULT or expected or not SAMPLE.is_file():
                raise
            note = (
                f"NOT THE CORPUS YOU ASKED FOR: {DEFAULT!r} could not be downloaded, so the small bundled sample "
                f"({SAMPLE.name}) is used instead and the model will be weaker. Fix the network and run again, "
                f"or download {url} by hand and give its path (--corpus PATH). Reason: {download.root_of(error)}."
            )
            return replace(resolve("sample", None, cache), note=note)
    if source in KNOWN:
        files = _readable([SAMPLE], SAMPLE.parent)
    elif bucket.is_url(source):
        files = tuple(SourceFile(name, path) for name, path in bucket.fetch(source, _SUFFIXES, cache))
    else:
        files = _local(source)
    if expected and len(files) > 1:
        many = f"A checksum belongs to one file, and {source!r} stands for {len(files)}"
        raise UserError(f"{many}: leave the checksum out or name one file. Received: {checksum!r}")
    if expected and (actual := files[0].checksum()) != expected:
        raise download.mismatch(source if bucket.is_url(source) else str(files[0].path), expected, actual)
    return Corpus(source, files, None)


def _local(source: str) -> tuple[SourceFile, ...]:
    expanded = os.path.expanduser(source)
    try:
        mode = os.stat(expanded).st_mode
    except (FileNotFoundError, NotADirectoryError):
        mode = 0
    except (OSError, ValueError) as error:
        raise _unreadable(expanded, error) from error
    if stat.S_ISDIR(mode):
        return _directory(Path(expanded))
    if mode:
        return _readable([Path(expanded)], Path(expanded).parent)
    if glob.has_magic(source):
        return _glob(expanded)
    siblings = glob.glob(os.path.join(glob.escape(os.path.dirname(expanded)), "*"))
    close = difflib.get_close_matches(expanded, [*KNOWN, *siblings])
    raise UserError(
        f"There is no such corpus: it is neither a known name ({', '.join(KNOWN)}) nor an existing file, directory, "
        f"glob or http(s) URL. {'Did you mean ' + ' or '.join(close) + '? ' if close else ''}"
        f"Paths are relative to {os.getcwd()}. Received: {source!r}"
    )


def _directory(directory: Path) -> tuple[SourceFile, ...]:
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
        wanted = [name for name in names if name.lower().endswith(_SUFFIXES) and not name.startswith(".")]
        texts.extend(Path(parent, name) for name in wanted)
        others += len(names) - len(wanted)
    if not texts:
        raise UserError(
            f"The directory has no text: looked in it and below it for *.txt and *.txt.gz that are not hidden, and "
            f"found {others} other files. Rename the texts or use a glob in quotes, such as "
            f"'{directory}/**/*.md'. Received: {str(directory)!r}"
        )
    return _readable(texts, directory)


def _glob(pattern: str) -> tuple[SourceFile, ...]:
    matches = glob.glob(pattern, recursive=True)
    paths = {os.path.abspath(match) for match in matches if os.path.isfile(match)}
    if not paths:
        raise UserError(
            f"The glob matches no file ({len(matches)} directories or broken links). Put it in quotes for the shell "
            f"not to expand it, and use ** for any depth; it is relative to {os.getcwd()}. Received: {pattern!r}"
        )
    return _readable(map(Path, paths), Path(os.path.commonpath([os.path.dirname(path) for path in paths])))


def _readable(paths: Iterable[Path], base: Path) -> tuple[SourceFile, ...]:
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
