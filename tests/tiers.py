"""The three tiers of tests, by marker: `unit`, `integration`, and `e2e`; a test without the latter two is a unit test.

A unit test starts no process and no server and does not use TensorFlow, so that all unit tests take seconds: `pytest -m
unit`. A unit test that does so fails with the name of its tier. With `-m unit`, files without unit tests are not
imported, and no file may import TensorFlow at module level.
"""

import re
import socket
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, nullcontext
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType
from typing import Any

import numpy.testing  # noqa: F401 - its first import runs lscpu, which would be attributed to a test
import pytest

OTHERS = ("integration", "e2e")
PROCESSES = ("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system", "os.exec")
_MARKED_FILE = re.compile(rf"^pytestmark = .*\b({'|'.join(OTHERS)})\b", re.MULTILINE)
_TENSORFLOW = (
    ("tensorflow.python.framework.ops", "Graph", "__init__", "builds a TensorFlow graph"),
    ("tensorflow.python.eager.context", "Context", "ensure_initialized", "runs TensorFlow"),
)

_seen: list[str] | None = None  # violations of the guarded code; None: nothing is guarded


def _refuse(what: str) -> None:
    if _seen is None or _in_finalizer():
        return
    message = f"a unit test {what}: mark it `@pytest.mark.integration` (or `e2e`, if it runs the pipeline)"
    _seen.append(message)
    pytest.fail(message)


def _in_finalizer() -> bool:
    """Return whether a finalizer runs; it may belong to an object of an earlier test."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_code.co_name != "__del__":
        frame = frame.f_back
    return frame is not None


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    """Check an audit event; the interpreter raises it however a test gets the function."""
    if _seen is None:
        return
    if event in PROCESSES:
        _refuse("starts a process")
    if event == "import" and arguments[0] == "tensorflow":
        _refuse("imports TensorFlow")


def _forbid(owner: Any, name: str, what: str) -> None:
    original: Callable[..., Any] = getattr(owner, name)
    if getattr(original, "guards_unit_tests", False):
        return

    def guarded(*arguments: Any, **keywords: Any) -> Any:
        _refuse(what)
        return original(*arguments, **keywords)

    guarded.guards_unit_tests = True  # type: ignore[attr-defined]
    setattr(owner, name, guarded)


@contextmanager
def guard() -> Iterator[None]:
    """Fail if the code inside does the work of a higher tier, even if it swallows the exception."""
    global _seen
    for module, owner, name, what in _TENSORFLOW:  # a test of another tier may have imported it
        if module in sys.modules:
            _forbid(getattr(sys.modules[module], owner), name, what)
    outer, _seen = _seen, []
    try:
        yield
    except pytest.fail.Exception:
        raise
    finally:
        seen, _seen = _seen, outer
        if seen and not isinstance(sys.exc_info()[1], pytest.fail.Exception):
            pytest.fail(seen[0])


def pytest_configure(config: pytest.Config) -> None:
    sys.addaudithook(_audit)
    _forbid(socket.socket, "listen", "starts a server")
    _forbid(BaseProcess, "start", "starts a process")


def _only_units(config: pytest.Config) -> bool:
    return bool(config.option.markexpr == "unit")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    if not _only_units(config) or not collection_path.match("test_*.py"):
        return None
    return bool(_MARKED_FILE.search(collection_path.read_text(encoding="utf-8"))) or None


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, Any]:
    """Guard the import of a test file."""
    global _seen
    _seen = [] if _only_units(collector.config) else None
    try:
        return (yield)
    finally:
        _seen = None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        tiers = {mark.name for mark in item.iter_markers() if mark.name in OTHERS}
        if len(tiers) > 1:
            raise pytest.UsageError(f"{item.nodeid} is marked for two tiers: {' and '.join(sorted(tiers))}")
        if not tiers:
            item.add_marker("unit")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, Any, Any]:
    with guard() if item.get_closest_marker("unit") else nullcontext():
        return (yield)


pytest_runtest_call = pytest_runtest_setup
