"""The model card of a pushed version, which may be in a bucket."""

import os
from typing import Any

from components.models import versions


def exists(version: str) -> bool:
    """Whether a version's directory has a card; earlier releases pushed none."""
    path = os.path.join(version, versions.CARD)
    return bool(_gfile().exists(path)) if "://" in path else os.path.isfile(path)


def read(version: str) -> str | None:
    """Return the card of a version's directory, Markdown; None if it has none, or cannot be read.

    Example: tests/components/models/test_cards.py.
    """
    if not exists(version):
        return None
    path = os.path.join(version, versions.CARD)
    if "://" in path:
        with _gfile().GFile(path) as remote:
            return str(remote.read())
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:  # deleted since
        return None


def _gfile() -> Any:
    from tensorflow.io import gfile  # late: local paths do not need TensorFlow

    return gfile
