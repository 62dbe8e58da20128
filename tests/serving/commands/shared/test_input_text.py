"""A prompt or a document is cleaned as the pipeline does."""

import gzip
import io
from pathlib import Path

import pytest

from components.errors import UserError
from serving.commands.shared import input_text


def test_document_is_read_as_by_the_pipeline(tmp_path: Path) -> None:
    (tmp_path / "book.gz").write_bytes(gzip.compress(b"\xef\xbb\xbfa\r\nb\n"))
    assert input_text.document(str(tmp_path / "book.gz")) == "a\nb\n"


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"typed\n")))
    assert input_text.document("-") == "typed\n"


def test_unreadable_file_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"caf\xe9")
    with pytest.raises(UserError, match="byte offset 3"):
        input_text.document(str(tmp_path / "latin"))
    for path in (str(tmp_path), str(tmp_path / "missing"), "a\0b"):
        with pytest.raises(UserError, match="cannot be read"):
            input_text.content(path)
