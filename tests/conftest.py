"""Fixtures and settings of all tests."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from components.lean_imports import without_gc
from tests import skipped, tiers, warm

# Set before TensorFlow is imported: tolerances hold for CPUs. CUDA_VISIBLE_DEVICES=0 runs the tests on a GPU.
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
# The test command compiles no bytecode at installation, which takes a minute: what tests import is compiled here, once,
# although containers and build machines often set this variable.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# A shell starts background jobs with SIGINT ignored, and programs under test would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# No deadline, because durations depend on the machine. The same examples in every run, so that failures repeat.
hypothesis.settings.register_profile("tests", deadline=None, derandomize=True, database=None, max_examples=40)
# For `-m hypothesis --hypothesis-profile=thorough`, with other examples in every run.
hypothesis.settings.register_profile("thorough", deadline=None, database=None, max_examples=200)
hypothesis.settings.load_profile("tests")


@pytest.fixture
def long_text() -> Callable[[str], Path]:
    """Return a function that finds a long text in the folder `CORPORA`, or skips the test."""

    def find(name: str) -> Path:
        path = Path(os.environ.get("CORPORA", os.devnull), name)
        if not path.is_file():
            pytest.skip(f"no {name} in the folder CORPORA")
        return path

    return find


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run end-to-end tests first and unit tests last, so that the workers finish at about the same time."""
    order = ("e2e", "integration", "unit")
    items.sort(key=lambda item: next(i for i, tier in enumerate(order) if item.get_closest_marker(tier)))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, Any, Any]:
    """Keep imported modules and collected tests out of garbage collections, which they would make slow."""
    with without_gc():
        return (yield)


def pytest_configure(config: pytest.Config) -> None:
    for plugin in (tiers, skipped):
        config.pluginmanager.register(plugin)
    if not hasattr(config, "workerinput"):  # only the workers of pytest-xdist have it
        warm.prepare()
        if config.args_source is pytest.Config.ArgsSource.TESTPATHS and config.option.markexpr == "not slow":
            # All tests run: the first ones of all workers need it, so it starts while they collect.
            threading.Thread(target=warm.python, daemon=True).start()


def pytest_unconfigure(config: pytest.Config) -> None:
    warm.clean_up()
