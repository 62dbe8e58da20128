"""For all tests."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest

from tests import skipped, tiers, warm

# Before TensorFlow is imported: what tests compare was measured on CPUs. CUDA_VISIBLE_DEVICES=0 tries a GPU.
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
# A shell starts what it puts in the background with SIGINT ignored, and programs under test would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes depends on the machine. The same examples in every run: a failure is that of a change.
hypothesis.settings.register_profile("tests", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("tests")


@pytest.fixture
def long_text() -> Callable[[str], Path]:
    """Finds a text that is too long to come along in the folder that `CORPORA` names, or skips the test."""

    def find(name: str) -> Path:
        path = Path(os.environ.get("CORPORA", os.devnull), name)
        if not path.is_file():
            pytest.skip(f"no {name} in the folder that CORPORA names")
        return path

    return find


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long ones first, or one worker would still run them when the others have nothing left."""
    items.sort(key=lambda item: item.get_closest_marker("e2e") is None)


def pytest_configure(config: pytest.Config) -> None:
    for plugin in (tiers, skipped):
        config.pluginmanager.register(plugin)
    if not hasattr(config, "workerinput"):  # set in the workers of pytest-xdist
        warm.prepare()


def pytest_unconfigure(config: pytest.Config) -> None:
    warm.clean_up()
