"""Whatever is in the place of metadata.db is reported with path and remedy, and left as it is."""

import contextlib
import os
import re
import sqlite3
from pathlib import Path

import pytest

from components.errors import UserError
from pipeline import metadata_store


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "my root" / "metadata.db"
    path.parent.mkdir()
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE Artifact (uri TEXT)")
        connection.executemany("INSERT INTO Artifact VALUES (?)", [(f"artifact {i}" * 50,) for i in range(500)])
    return path


def silent(text: str) -> None:
    pytest.fail(text)


def test_missing_empty_or_intact_file_can_be_used(database: Path, tmp_path: Path) -> None:
    before = database.read_bytes()
    metadata_store.check(str(database), silent)
    assert database.read_bytes() == before
    metadata_store.check(str(tmp_path / "none"), silent)
    (tmp_path / "empty").touch()
    metadata_store.check(str(tmp_path / "empty"), silent)


@pytest.mark.parametrize("damage", ["text", "truncated", "overwritten"])
def test_damaged_file_is_reported_and_the_advice_can_be_pasted(damage: str, database: Path) -> None:
    content = database.read_bytes()
    damaged = {
        "text": b"not a database" * 100,
        "truncated": content[: len(content) // 2],
        "overwritten": content[:8192] + b"\xff" * 8192 + content[16384:],
    }[damage]
    database.write_bytes(damaged)
    with pytest.raises(UserError, match=rf"is damaged: .*Received: {re.escape(str(database))}$") as caught:
        metadata_store.check(str(database), silent)
    assert database.read_bytes() == damaged
    assert f"`mv '{database}' '{database}.damaged'`" in str(caught.value)


def test_directory_in_its_place_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot be opened: .*Received: "):
        metadata_store.check(str(tmp_path), silent)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_file_without_write_permission_is_an_error(database: Path) -> None:
    database.chmod(0o400)
    with pytest.raises(UserError, match=r"cannot be opened: .*Fix the permissions.*Received: "):
        metadata_store.check(str(database), silent)


def test_waiting_for_a_lock_is_said_once(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    holder = sqlite3.connect(database, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    printed: list[str] = []
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            holder.execute("ROLLBACK")
            holder.close()

    monkeypatch.setattr(metadata_store.time, "sleep", pause)
    metadata_store.check(str(database), printed.append)
    assert len(pauses) == 3
    assert printed == [f"Another program holds {database}; waiting until it is released (Ctrl-C to give up) ..."]
