"""Find the documents of a corpus in an object store, as in the same tree on local disk, and copy them to local disk.

An object store has no directories: they are parts of the names of objects, and a zero-byte object `folder/` may stand
for an empty one. `tf.io.gfile` shows directories all the same.
"""

import fnmatch
import glob
import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from components import files
from components.errors import UserError

_BLOCK = 1 << 22  # bytes


def is_url(source: str) -> bool:
    """Whether a corpus is named by a URL of an object store: any scheme but http and https.

    >>> [is_url(source) for source in ("gs://bucket/*.txt", "https://example.org/a.txt", "texts/a.txt")]
    [True, False, False]
    """
    return bool(re.match(r"(?!https?:)[a-z][a-z0-9+.-]*://", source.lower()))


def fetch(source: str, suffixes: tuple[str, ...], cache_directory: Path) -> list[tuple[str, Path]]:
    """Return name and local copy of every document that a URL stands for, sorted by name.

    Args:
      source: the URL of an object, a folder or a glob.
      suffixes: of the documents of a folder, in lower or upper case; an object or a glob may name any.
      cache_directory: for the copies, created if necessary. An object is copied again only when it has changed.

    Raises:
      UserError: there is no such document, the store cannot be read, or the copy cannot be written.
    """
    from tensorflow import errors  # late: most corpora are on local disk

    try:
        return [(name, _copy(url, cache_directory)) for name, url in sorted(_find(source, suffixes).items())]
    except errors.OpError as error:
        reason = " ".join(error.message.split())
        raise UserError(
            f"The corpus cannot be read from its bucket: {reason}. For gs://, check the network, and that you may read "
            "the objects (at the top of a bucket, `storage.buckets.get` as well): log in with `gcloud auth "
            "application-default login`; pods use their service account. From another object store, copy the texts to "
            f"a local directory (on a cluster: the state volume), or give an http(s) URL. Received: {source!r}"
        ) from error
    except OSError as error:
        raise UserError(
            f"The corpus cannot be copied from its bucket into the cache {cache_directory}: {error}; XDG_CACHE_HOME "
            f"sets another directory. Received: {source!r}"
        ) from error


def _find(source: str, suffixes: tuple[str, ...]) -> dict[str, str]:
    """Return the URLs of the documents by name."""
    url = source.rstrip("/")
    is_folder = _is_folder(url)
    if is_folder is False:
        return {url.rpartition("/")[2]: url}
    if is_folder:
        found = set(_matches(url, ["**"]))
        texts = {name for name in found if name.lower().endswith(suffixes)}
        if not texts:
            raise UserError(
                f"The folder has no text: looked in it and below it for {' and '.join(f'*{end}' for end in suffixes)} "
                f"that are not hidden, and found {len(found)} other files. Set corpus.suffixes, or use a glob in "
                f"quotes, such as '{url}/**/*.md'. Received: {source!r}"
            )
        return {name: f"{url}/{name}" for name in texts}
    if not glob.has_magic(url):
        raise UserError(
            "There is no such corpus: the bucket has neither an object nor a folder of that name. Check it with "
            f"`gcloud storage ls`; upper and lower case differ. Received: {source!r}"
        )
    parts = url.split("/")
    first = next(index for index, part in enumerate(parts) if glob.has_magic(part))
    base = "/".join(parts[:first])
    # Asking for its state reports a missing permission, which listing it would not.
    found = set(_matches(base, parts[first:])) if _is_folder(base) else set()
    if not found:
        raise UserError(
            "The glob matches no object in the bucket. Put it in quotes for the shell not to expand it, and use ** for "
            f"any depth. Received: {source!r}"
        )
    # As for local files, names are relative to the directory that contains all of them.
    common = os.path.commonpath([os.path.dirname(f"/{name}") for name in found])
    return {os.path.relpath(f"/{name}", common): f"{base}/{name}" for name in found}


def _matches(folder: str, pattern: list[str]) -> Iterator[str]:
    """Find names of files, relative to the folder, by the rules of `glob.glob(..., recursive=True)`.

    Args:
      pattern: the parts of the glob. Hidden names match a part that begins with a dot, and `**` stands for any number
        of folders, also none, and in the end for a file below them.
    """
    part, *rest = pattern
    if part == "**" and rest:
        yield from _matches(folder, rest)
    for name, is_folder in _children(folder):
        if name.startswith(".") and not part.startswith("."):
            continue
        if part == "**":
            below = pattern
        elif fnmatch.fnmatchcase(name, part):
            below = rest
        else:
            continue
        if is_folder and below:
            yield from (f"{name}/{found}" for found in _matches(f"{folder}/{name}", below))
        elif not is_folder and not rest:
            yield name


def _children(folder: str) -> Iterator[tuple[str, bool]]:
    """Yield the names in a folder, and whether each is a folder; both may exist with the same name."""
    from tensorflow.io import gfile

    for entry in gfile.listdir(f"{folder}/"):  # with the slash: an object may have the same name
        name = entry.rstrip("/")
        if not entry:  # the object that stands for the folder itself
            continue
        if name in ("", ".", ".."):
            raise UserError(
                "The corpus has an object in whose name a part between two slashes is empty, '.' or '..', which is no "
                f"name of a file. Rename it, or use a glob that does not match it. Received: {folder}/{entry}"
            )
        # Google's store marks folders with a slash; to ask for the state of each object would take a request each.
        yield name, entry.endswith("/") or (not folder.startswith("gs://") and gfile.isdir(f"{folder}/{name}"))


def _is_folder(url: str) -> bool | None:
    """Whether a URL is one of a folder (of an object: False); None if there is neither."""
    from tensorflow import errors
    from tensorflow.io import gfile

    try:
        return bool(gfile.stat(url).is_directory)
    except errors.NotFoundError:
        return None


def _copy(url: str, directory: Path) -> Path:
    """Return the copy of an object, under a name that changes with it."""
    from tensorflow.io import gfile

    state = gfile.stat(url)
    key = hashlib.sha256(f"{url}\0{state.length}\0{state.mtime_nsec}".encode()).hexdigest()[:16]
    target = directory.absolute() / f"{key}-{url.rpartition('/')[2][-50:]}"
    # Some file systems report no time of change.
    if not (state.mtime_nsec and target.is_file()):
        directory.mkdir(parents=True, exist_ok=True)
        with gfile.GFile(url, "rb") as source, files.replacing(target) as file:
            while block := source.read(_BLOCK):
                file.write(block)
    return target
