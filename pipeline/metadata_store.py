"""The file of ML Metadata, which TFX opens late and reports about in SQL: checked before any work starts."""

import contextlib
import os
import shlex
import sqlite3
import time
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import quote

from components.errors import UserError

if TYPE_CHECKING:
    from ml_metadata.metadata_store import MetadataStore

_PAUSE = 0.5  # seconds between two looks at a locked file


def check(path: str, report: Callable[[str], None]) -> None:
    """Return when the file can be used: it is missing, or an intact SQLite database that this process can write.

    Args:
      path: of the file.
      report: called with a line when another program holds the file, before waiting for it.

    Raises:
      UserError: it is damaged, no database, or read-only; it is left as it is.

    Example: tests/pipeline/test_metadata_store.py.
    """
    waiting = False
    while os.path.lexists(path):
        try:
            problem = _problem(path)
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                if not waiting:
                    report(f"Another program holds {path}; waiting until it is released (Ctrl-C to give up) ...")
                waiting = True
                time.sleep(_PAUSE)
                continue
            raise UserError(
                f"The metadata of earlier runs cannot be opened: {error}. Fix the permissions of the file and of its "
                f"directory, or name another root with --root. Received: {path}"
            ) from error
        except sqlite3.DatabaseError as error:
            problem = str(error)
        if problem:
            raise _damaged(path, problem)
        return


def connect(path: str) -> "MetadataStore":
    """Open the file with ML Metadata's client, which does not need TFX; a missing file is created."""
    from ml_metadata.metadata_store import MetadataStore
    from ml_metadata.proto.metadata_store_pb2 import ConnectionConfig

    config = ConnectionConfig()
    config.sqlite.filename_uri = path
    config.sqlite.connection_mode = config.sqlite.READWRITE_OPENCREATE
    return MetadataStore(config)


def _problem(path: str) -> str | None:
    """Return what SQLite finds wrong with a file. A transaction is opened as well: it needs the lock for writing."""
    with contextlib.closing(sqlite3.connect(f"file:{quote(path)}?mode=rw", timeout=0, uri=True)) as connection:
        connection.isolation_level = None
        connection.execute("BEGIN IMMEDIATE")
        (finding,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        connection.execute("ROLLBACK")
    return None if finding == "ok" else str(finding)


def _damaged(path: str, reason: str) -> UserError:
    aside = f"mv {shlex.quote(path)} {shlex.quote(path + '.damaged')}"
    return UserError(
        f"The metadata of earlier runs is damaged: {' '.join(reason.split())}. Restore the file from a backup, or move "
        f"it away with `{aside}` and run again: all components run once more; models, registry and pushed versions "
        f"stay. Received: {path}"
    )
