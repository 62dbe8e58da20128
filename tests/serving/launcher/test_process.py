"""A server is started, waited for and stopped, and does not outlive the process that started it.

The servers are `fake_programs.py` and shell commands; of TF Serving and Docker nothing is touched.
"""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from components.errors import UserError
from serving.launcher import process as launcher
from serving.launcher.process import Process, ServerFailed

FAKE = Path(__file__).parents[1] / "fake_programs.py"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    def make(*command: str, **options: object) -> Process:
        process = Process(command, str(tmp_path / "logs" / "server.log"), **options)  # type: ignore[arg-type]
        started.append(process)
        return process

    yield make
    for process in started:
        process.stop()


def fake(tmp_path: Path, port: int) -> list[str]:
    return [sys.executable, str(FAKE), str(tmp_path / "calls"), f"--rest_api_port={port}"]


def alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "State:\tZ" not in status.read_text()


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


@pytest.mark.integration
def test_a_server_is_waited_for_until_its_model_is_available(
    start: Callable[..., Process], tmp_path: Path, free_port: Callable[[], int]
) -> None:
    port, said = free_port(), []
    process = start(*fake(tmp_path, port))
    states = launcher.await_available(process, f"http://127.0.0.1:{port}", "m", 1, 30, said.append)
    assert states[1].state == "AVAILABLE"
    assert said[-1].startswith("version 1 is not loaded")  # the stand-in's first answer
    process.stop()
    assert process.code == -signal.SIGTERM


@pytest.mark.integration
def test_a_broken_version_does_not_keep_the_others_from_being_served(
    start: Callable[..., Process], tmp_path: Path, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_STATES", '{"2": "END", "1": "AVAILABLE"}')
    port = free_port()
    states = launcher.await_available(
        start(*fake(tmp_path, port)), f"http://127.0.0.1:{port}", "m", 2, 30, lambda _: None
    )
    assert {number: one.state for number, one in states.items()} == {2: "END", 1: "AVAILABLE"}


@pytest.mark.integration
def test_a_server_that_dies_is_reported_with_its_last_words(
    start: Callable[..., Process], free_port: Callable[[], int], tmp_path: Path
) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "server.log").write_text("of a former start\n")
    process = start("sh", "-c", "seq 100; echo no memory >&2; exit 3")
    with pytest.raises(ServerFailed) as failure:
        launcher.await_available(process, f"http://127.0.0.1:{free_port()}", "m", 1, 30, lambda _: None)
    lines = str(failure.value).splitlines()
    assert lines[0] == "The server ended with exit code 3:"
    assert lines[-2:] == ["100", "no memory"]
    assert len(lines) == 16
    assert (tmp_path / "logs" / "server.log").read_text().startswith("of a former start\n1\n")


@pytest.mark.integration
def test_a_server_that_takes_too_long_is_given_up(start: Callable[..., Process], free_port: Callable[[], int]) -> None:
    process = start("sh", "-c", "echo thinking; sleep 60")
    with pytest.raises(ServerFailed, match="not available after 0 s"):
        launcher.await_available(process, f"http://127.0.0.1:{free_port()}", "m", 1, 0.3, lambda _: None)


@pytest.mark.integration
def test_a_server_that_does_not_stop_is_killed(start: Callable[..., Process]) -> None:
    process = start("sh", "-c", "trap '' TERM; echo deaf; while true; do sleep 0.1; done", stop_seconds=0.3)
    until(lambda: process.tail() == "deaf")
    process.stop()
    assert process.code == -signal.SIGKILL


@pytest.mark.integration
def test_the_stop_command_is_used_and_then_the_kill_command(start: Callable[..., Process], tmp_path: Path) -> None:
    stopped, killed = tmp_path / "stopped", tmp_path / "killed"
    options = {"stop": ("touch", str(stopped)), "kill": ("touch", str(killed))}
    process = start("sleep", "60", stop_seconds=0.2, **options)
    process.stop()
    assert stopped.exists()
    assert killed.exists()
    assert process.code == -signal.SIGKILL


@pytest.mark.integration
def test_a_program_that_is_not_there_is_a_mistake(start: Callable[..., Process]) -> None:
    with pytest.raises(UserError, match="Received: /no/such/server"):
        start("/no/such/server")


@pytest.mark.integration
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_no_server_outlives_the_process_that_started_it(tmp_path: Path, how: signal.Signals) -> None:
    code = (
        "import time; from serving.launcher.process import Process\n"
        f"Process(['sh', '-c', 'echo $$ > {tmp_path}/pid; exec sleep 60'], '{tmp_path}/log')\n"
        "time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=launcher.PROJECT)
    pid_file = tmp_path / "pid"
    until(lambda: pid_file.exists() and bool(pid_file.read_text().strip()))
    child = int(pid_file.read_text())
    assert alive(child)
    parent.send_signal(how)
    parent.wait()
    until(lambda: not alive(child))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_being_asked_to_end_is_an_interrupt(number: signal.Signals) -> None:
    usual = signal.signal(number, signal.SIG_DFL)  # whoever started the tests may have had it ignored
    try:
        with launcher.interrupts(), pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, usual)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_what_is_ignored_stays_ignored(number: signal.Signals) -> None:
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with launcher.interrupts():
            signal.raise_signal(number)
        assert signal.getsignal(number) == signal.SIG_IGN
    finally:
        signal.signal(number, before)


def test_a_port_is_given_once(free_port: Callable[[], int]) -> None:
    port = free_port()
    with pytest.raises(UserError, match=rf"Received: serving\.rest_port={port} and serving\.playground_port={port}"):
        launcher.check_ports("127.0.0.1", {"serving.rest_port": port, "serving.playground_port": port})


@pytest.mark.integration
def test_a_taken_port_is_one_paragraph(free_port: Callable[[], int]) -> None:
    launcher.check_ports("127.0.0.1", {"serving.rest_port": free_port()})
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=rf"Address already in use.*Received: serving\.grpc_port={port}"):
            launcher.check_ports("127.0.0.1", {"serving.grpc_port": port})


def test_an_address_of_another_machine_cannot_be_listened_on(free_port: Callable[[], int]) -> None:
    with pytest.raises(UserError, match=r"192\.0\.2\.1"):
        launcher.check_ports("192.0.2.1", {"serving.rest_port": free_port()})
