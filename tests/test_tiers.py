"""A unit test that does the work of a higher tier fails, and a run lists the skipped tests."""

import contextlib
import multiprocessing
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests import skipped, tiers

ROOT = Path(__file__).resolve().parents[1]


def start_with_os() -> None:
    os.posix_spawn("/bin/true", ["true"], {})


def fork() -> None:
    if os.fork() == 0:
        os._exit(0)


def start_spawned() -> None:
    multiprocessing.get_context("spawn").Process(target=print).start()


def listen() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: subprocess.run(["true"], check=True), "starts a process"),
        (lambda: os.system("true"), "starts a process"),
        (start_with_os, "starts a process"),
        (fork, "starts a process"),
        (start_spawned, "starts a process"),
        (listen, "starts a server"),
    ],
)
def test_unit_test_of_a_higher_tier_fails(action: Callable[[], object], message: str) -> None:
    with pytest.raises(pytest.fail.Exception, match=f"a unit test {message}: mark it .*integration"), tiers.guard():
        action()


def test_unit_test_may_connect_to_a_server() -> None:
    with tiers.guard(), socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        with pytest.raises(OSError, match="refused"), socket.socket() as client:
            client.connect(probe.getsockname())


@pytest.mark.parametrize("afterwards", [lambda: None, lambda: int("x")])
def test_swallowed_exception_fails_too(afterwards: Callable[[], object]) -> None:
    def swallow() -> None:
        with contextlib.suppress(BaseException):
            subprocess.run(["true"], check=True)
        afterwards()

    with pytest.raises(pytest.fail.Exception, match="starts a process"), tiers.guard():
        swallow()


def test_finalizers_of_other_objects_are_allowed() -> None:
    class Left:
        def __del__(self) -> None:
            with socket.socket() as server:
                server.listen()

    left = [Left()]
    with tiers.guard():
        left.clear()


@pytest.mark.integration
def test_imported_tensorflow_must_not_be_used() -> None:
    import tensorflow as tf

    one = tf.constant(1.0)
    with tiers.guard():
        assert tf.float32.size == 4
    with pytest.raises(pytest.fail.Exception, match="runs TensorFlow"), tiers.guard():
        tf.constant(1.0)
    with pytest.raises(pytest.fail.Exception, match="builds a TensorFlow graph"), tiers.guard():
        tf.function(lambda x: x + 1).get_concrete_function(one)


@pytest.fixture
def run_pytest(tmp_path: Path) -> Callable[..., str]:
    """Run pytest on a file with this text and with these two modules as plugins."""

    def run(text: str, *arguments: str) -> str:
        (tmp_path / "test_given.py").write_text("import pytest\n" + text)
        (tmp_path / "conftest.py").write_text(
            "import sys\n"
            f"sys.path.insert(0, {str(ROOT)!r})\n"
            "from tests import skipped, tiers\n"
            "def pytest_configure(config):\n"
            "    config.pluginmanager.register(tiers)\n"
            "    config.pluginmanager.register(skipped)\n"
        )
        (tmp_path / "pytest.ini").write_text(
            "[pytest]\naddopts = --import-mode=importlib\nmarkers = unit\n e2e\n integration\n"
        )
        command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "-p", "xdist", *arguments]
        # The other installed plugins take a second to import.
        environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        return subprocess.run(
            command,
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        ).stdout

    return run


STARTS = "import subprocess\n{0}\ndef test_starts(): subprocess.run(['true'], check=True)\n"


@pytest.mark.integration
@pytest.mark.parametrize(
    ("mark", "outcome"),
    [("", "FAILED"), ("@pytest.mark.integration", "PASSED"), ("@pytest.mark.e2e", "PASSED")],
)
def test_without_a_marker_is_a_unit_test(mark: str, outcome: str, run_pytest: Callable[..., str]) -> None:
    assert f"::test_starts {outcome}" in run_pytest(STARTS.format(mark))


@pytest.mark.integration
def test_has_one_tier(run_pytest: Callable[..., str]) -> None:
    text = "pytestmark = pytest.mark.integration\n@pytest.mark.e2e\ndef test_starts(): pass\n"
    assert "test_given.py::test_starts is marked for two tiers: e2e and integration" in run_pytest(text)


@pytest.mark.integration
def test_fixtures_of_unit_tests_are_checked(run_pytest: Callable[..., str]) -> None:
    text = "import subprocess\n@pytest.fixture\ndef begun(): subprocess.run(['true'])\ndef test_uses(begun): pass\n"
    assert "a unit test starts a process: mark it" in run_pytest(text)


@pytest.mark.integration
@pytest.mark.parametrize("top", ["", "pytestmark = pytest.mark.integration\n", "pytestmark = pytest.mark.e2e\n"])
def test_unit_test_files_do_not_import_tensorflow(top: str, run_pytest: Callable[..., str]) -> None:
    output = run_pytest(f"{top}import tensorflow\ndef test_nothing(): pass\n", "-m", "unit")
    assert ("a unit test imports TensorFlow" in output) == (not top)
    assert ("no tests ran" in output) == bool(top)


@pytest.mark.integration
@pytest.mark.parametrize("workers", ["0", "2"])
def test_run_ends_with_the_skipped_tests_by_reason(workers: str, run_pytest: Callable[..., str]) -> None:
    text = (
        "@pytest.mark.parametrize('n', range(3))\n"
        "def test_page(n): pytest.skip('no browser')\n"
        "@pytest.mark.skipif(True, reason='no disk')\n"
        "def test_disk(): pass\n"
    )
    end = run_pytest(text, "-n", workers).rpartition("skipped tests by reason")[2]
    assert "   3  no browser\n      test_given.py\n   1  no disk\n      test_given.py\n" in end


def test_skipped_file_counts_once_for_all_workers() -> None:
    report = SimpleNamespace(nodeid="tests/test_a.py", longrepr=("tests/test_a.py", 3, "Skipped: no library"))
    assert skipped.reasons([report, report]) == {"no library": {"tests/test_a.py"}}  # type: ignore[list-item]
