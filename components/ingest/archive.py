"""Zip archives: their texts become documents."""

import hashlib
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from components.errors import UserError
from components.ingest.local_files import SourceFile

_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")  # the latter of an empty archive


def expand(files: Iterable[SourceFile], suffixes: tuple[str, ...], cache: Path) -> tuple[SourceFile, ...]:
    """Replace each zip archive by its members with one of the suffixes, named `ARCHIVE/MEMBER`; sorted by name.

    Args:
      files: documents and archives; an archive is recognized by its content.
      suffixes: of the members that are documents, in lower case.
      cache: the members are unpacked below it, once for each content of an archive.

    Raises:
      UserError: an archive is damaged or encrypted, or has no such member; or the cache cannot be written.
    """
    found: list[SourceFile] = []
    for file in files:
        found += _members(file, suffixes, cache) if _is_archive(file) else [file]
    return tuple(sorted(found, key=lambda file: file.name))


def _is_archive(file: SourceFile) -> bool:
    try:
        with file.path.open("rb") as opened:
            return opened.read(4) in _MAGIC
    except OSError:
        return False  # reported when the document is read


def _members(file: SourceFile, suffixes: tuple[str, ...], cache: Path) -> list[SourceFile]:
    try:
        with zipfile.ZipFile(file.path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            # Of members of the same name, the last one is the current one.
            texts = list(
                {member.filename: member for member in members if _is_text(member.filename, suffixes)}.values()
            )
            if not texts:
                raise UserError(
                    f"The zip archive {file.name!r} has no text: none of its {len(members)} files ends with "
                    f"{' or '.join(suffixes)}. Set corpus.suffixes, or extract the text first (word processor files "
                    f"and EPUB books are zip archives, too). Received: {file.typed!r}"
                )
            directory = _unpacked(archive, texts, cache / f"zip-{_digest(file, texts)}")
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        # zipfile raises a RuntimeError for an encrypted member.
        raise UserError(
            f"The zip archive {file.name!r} cannot be unpacked: {error}. It is damaged, encrypted, or compressed in "
            f"another way than usual: test it with `unzip -t`, or unpack it by hand and name the directory. "
            f"Received: {file.typed!r}"
        ) from error
    except OSError as error:
        raise UserError(
            f"The zip archive {file.name!r} cannot be unpacked into {cache}: {error.strerror or error}. Check that the "
            f"disk has space; XDG_CACHE_HOME sets another directory. Received: {file.typed!r}"
        ) from error
    return [SourceFile(f"{file.name}/{member.filename}", directory / f"{i}") for i, member in enumerate(texts)]


def _is_text(name: str, suffixes: tuple[str, ...]) -> bool:
    hidden = any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)
    return not hidden and name.lower().endswith(suffixes)


def _digest(file: SourceFile, members: Iterable[zipfile.ZipInfo]) -> str:
    names = "\0".join(member.filename for member in members)
    return hashlib.sha256(f"{file.checksum()}\0{names}".encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _unpacked(archive: zipfile.ZipFile, members: Iterable[zipfile.ZipInfo], target: Path) -> Path:
    """Unpack into files named 0, 1, ...: names in an archive may differ from what a file system allows."""
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    workspace = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        for index, member in enumerate(members):
            with archive.open(member) as source, (workspace / f"{index}").open("wb") as copy:
                shutil.copyfileobj(source, copy)
        try:
            workspace.rename(target)
        except OSError:
            if not target.is_dir():  # another process may have been faster
                raise
    finally:
        shutil.rmtree(workspace, ignore_errors=True)
    return target
