"""A corpus of files with given contents."""

from pathlib import Path

from components.ingest.corpora import Corpus
from components.ingest.local_files import SourceFile


def corpus_of(directory: Path, contents: dict[str, bytes]) -> Corpus:
    """Write the contents, and return the corpus whose documents have these names."""
    files = []
    for index, (name, content) in enumerate(sorted(contents.items())):
        directory.mkdir(parents=True, exist_ok=True)
        (directory / str(index)).write_bytes(content)
        files.append(SourceFile(name, directory / str(index)))
    return Corpus("mine", tuple(files), None)
