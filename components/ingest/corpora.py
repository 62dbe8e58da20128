"""Find the documents of a corpus by name, path, glob or URL, on disk or in a bucket, and bring them to local disk."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

import platformdirs

from components.errors import UserError
from components.ingest import archive, bucket, download, local_files, rows
from components.ingest.local_files import SourceFile

DEFAULT_CACHE = platformdirs.user_cache_path("char-rnn-tfx")
SAMPLE = Path(__file__).parents[1] / "sample" / "the_lamp_at_harrow_quay.txt"
DEFAULT = "shakespeare"


@dataclass(frozen=True)
class Corpus:
    """The documents sorted by name, the name of the corpus, and a warning for the user, if there is one.

    Of a growing corpus: the names of its spans, oldest first, and the number of the newest one.

    >>> [file.name for file in resolve("sample", None, DEFAULT_CACHE).files]
    ['the_lamp_at_harrow_quay.txt']
    """

    label: str
    files: tuple[SourceFile, ...]
    note: str | None
    spans: tuple[str, ...] = ()
    newest_span: int = 0

    def properties(self, eval_digest: str) -> dict[str, str | int]:
        """Return what the lineage states of the examples: the digest of the eval text, and the spans."""
        known: dict[str, str | int] = {"eval_digest": eval_digest}
        if self.spans:
            known |= {"spans": ",".join(self.spans), "span": self.newest_span}
        return known


# URL of each known corpus (None: bundled), and its SHA-256 if it never changes.
KNOWN: dict[str, tuple[str | None, str | None]] = {
    DEFAULT: (
        "https://storage.googleapis.com/download.tensorflow.org/data/shakespeare.txt",
        "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
    ),
    "great_expectations": ("https://www.gutenberg.org/files/1400/1400-0.txt", None),
    "sample": (None, None),
}


def resolve(
    source: str, checksum: str | None, cache: Path, suffixes: tuple[str, ...] | None = None, column: str | None = None
) -> Corpus:
    """Return the documents of a known corpus, file, directory, glob or http(s) URL, all of them on local disk.

    Files, directories and globs may be in a bucket (`gs://...`), where they stand for the same documents.

    Args:
      source: a name in `KNOWN` takes precedence (`./sample` is a file of that name); a directory stands for every file
        below it that has one of the suffixes and is not hidden, and a zip archive for every such member.
      checksum: SHA-256 in hex digits, with or without `sha256:`, of the one file that `source` names.
      cache: directory for downloads and the members of archives, created if necessary.
      suffixes: of the documents in directories and archives, in lower case; `.gz` may follow them. None: `.txt`, or
        those of tables with `column`.
      column: the column of tables that has the text, if there is one.

    Raises:
      UserError: no file is found, a file cannot be read or downloaded, or the checksum differs.
    """
    expected = (checksum or "").strip().lower().removeprefix("sha256:") or None
    if checksum and not re.fullmatch("[0-9a-f]{64}", expected or ""):
        raise UserError(f"A corpus checksum must be the 64 hex digits that `sha256sum` prints. Received: {checksum!r}")
    suffixes = suffixes or ((".txt",) if column is None else rows.SUFFIXES)
    endings = (*suffixes, *(f"{suffix}.gz" for suffix in suffixes))
    url, known_checksum = KNOWN.get(source, (source if re.match("(?i)https?://", source) else None, None))
    if url:
        try:
            # The secret is for the server of the user's own text only.
            secret = None if source in KNOWN else download.authorization()
            path = download.fetch(url, expected or known_checksum, cache, secret)
            file = SourceFile(download.name(url), path)
            return Corpus(source, archive.expand((file,), endings, cache), None)
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
        files = local_files.readable([SAMPLE], SAMPLE.parent)
    elif bucket.is_url(source):
        files = tuple(SourceFile(name, path) for name, path in bucket.fetch(source, endings, cache))
    else:
        files = local_files.find(source, endings, tuple(KNOWN))
    if expected and len(files) > 1:
        many = f"A checksum belongs to one file, and {source!r} stands for {len(files)}"
        raise UserError(f"{many}: leave the checksum out or name one file. Received: {checksum!r}")
    if expected and (actual := files[0].checksum()) != expected:
        raise download.mismatch(source if bucket.is_url(source) else str(files[0].path), expected, actual)
    return Corpus(source, archive.expand(files, endings, cache), None)
