"""Suffixes of the texts in a directory; tests/components/ingest/test_corpora.py tests files, directories and globs."""

from pathlib import Path

import pytest

from components.errors import UserError
from components.ingest import local_files


def names(directory: Path, *suffixes: str) -> list[str]:
    return [file.name for file in local_files.find(str(directory), suffixes, ())]


def test_directory_stands_for_files_with_the_suffixes(tmp_path: Path) -> None:
    for name in ("a.txt", "b.md", "c.MD", "d.md.gz", "e.py"):
        (tmp_path / name).touch()
    assert names(tmp_path, ".txt") == ["a.txt"]
    assert names(tmp_path, ".md", ".py") == ["b.md", "c.MD", "e.py"]
    with pytest.raises(UserError, match=r"for \*\.tex and \*\.tex\.gz that .* 5 other files\. Set corpus\.suffixes"):
        names(tmp_path, ".tex", ".tex.gz")
