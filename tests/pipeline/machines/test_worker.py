"""A worker joins the chief's run and no other, and notices when the chief has gone."""

import socket
from pathlib import Path

import pytest

from components.errors import UserError
from pipeline.failure import TrainingFailed
from pipeline.machines import messages, worker
from pipeline.machines.messages import Connection
from tests.pipeline.machines import doubles
from tests.pipeline.machines.doubles import Machine, Started, arguments

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_RETRY_SECONDS", 0.01)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Machine, Machine]:
    """A chief and a worker with one root."""
    addresses = doubles.free_addresses(2)
    return Machine(addresses, 0, tmp_path), Machine(addresses, 1, tmp_path)


class FakeChief:
    """The chief's side of a connection, up to the point that a test needs."""

    def __init__(self, machine: Machine) -> None:
        self.listener = messages.listen(machine.cluster.addresses[0])
        self.listener.settimeout(doubles.SECONDS)
        (machine.root / ".machines").write_text("run 1")

    def accept(self) -> Connection:
        connection = Connection(self.listener.accept()[0])
        connection.limit(doubles.SECONDS)
        connection.send("chief", run="run 1")
        assert connection.receive() == {"kind": "worker", "position": 1, "facts": doubles.FACTS}
        connection.send("accepted")
        return connection


@pytest.mark.parametrize("interrupted", [False, True])
def test_chief_that_is_stopped_before_training_is_awaited_again(
    pair: tuple[Machine, Machine], interrupted: bool
) -> None:
    chief = FakeChief(pair[0])
    running = Started(pair[1].worker().run)
    first = chief.accept()
    assert first.receive()["kind"] == "ready"
    if interrupted:  # a chief that is killed can send nothing
        first.send("ended", code=130, words="it was interrupted")
    first.close()
    second = chief.accept()
    assert second.receive()["kind"] == "ready"  # the same training process
    second.send("train", arguments=arguments("", doubles.TRAINED))
    assert second.receive() == {"kind": "trained"}
    second.send("finish")
    assert second.receive() == {"kind": "finished"}
    second.send("ended", code=0, words="done")
    assert running.result() == 0
    second.close()
    chief.listener.close()


def test_chief_that_is_lost_during_training_ends_the_worker(pair: tuple[Machine, Machine]) -> None:
    chief = FakeChief(pair[0])
    running = Started(pair[1].worker().run)
    connection = chief.accept()
    assert connection.receive()["kind"] == "ready"
    connection.send("train", arguments=arguments("", 'send("progress", text="trains", lasting=True)'))
    pair[1].terminal.wait_for("trains")
    connection.close()
    with pytest.raises(TrainingFailed, match=f"the chief {pair[0].cluster.addresses[0]} has gone: .*same command"):
        running.result()
    chief.listener.close()


def test_port_is_free_for_tensorflow_when_training_starts(pair: tuple[Machine, Machine]) -> None:
    running = pair[0].chief()
    worker_running = Started(pair[1].worker().run)
    port = {i: pair[i].cluster.addresses[i].rpartition(":")[2] for i in range(2)}
    bind = f"import socket; socket.create_server(('', {{'0': {port[0]}, '1': {port[1]}}}[str(position)])); "
    running.train(arguments(*[bind + doubles.TRAINED] * 2))
    running.end(0, "")
    assert worker_running.result() == 0
    for position, machine in enumerate(pair):
        assert f"step 5 on {position}" in machine.terminal.getvalue()


def test_another_program_at_the_chiefs_address_is_not_the_chief(pair: tuple[Machine, Machine]) -> None:
    with messages.listen(pair[0].cluster.addresses[0]) as other:
        running = Started(pair[1].worker().run)
        for greeting in (b"HTTP/1.1 400 Bad Request\r\n\r\n", b'{"kind": "x"}\n', b"\xff\0\n", b""):
            connected = other.accept()[0]
            connected.sendall(greeting)
            connected.shutdown(socket.SHUT_WR)
            assert connected.recv(1) == b""  # nothing was sent to it
            connected.close()
    chief = pair[0].chief()
    pair[1].terminal.wait_for("the chief runs")
    chief.end(0, "")
    assert running.result() == 0


def test_root_that_is_not_the_chiefs_is_refused_on_both_sides(
    pair: tuple[Machine, Machine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_ROOT_SECONDS", 0.1)
    chief = pair[0].chief()
    pair[1].root = tmp_path / "other"
    pair[1].root.mkdir()
    (pair[1].root / ".machines").write_text("an earlier run")
    with pytest.raises(UserError, match=f"the root is not the chief's directory.*Received: --root {tmp_path}/other"):
        pair[1].worker().run()
    pair[0].terminal.wait_for("was refused: the root is not the chief's directory")
    chief.end(0, "")


def test_training_process_that_cannot_start_ends_the_worker_but_not_the_chief(pair: tuple[Machine, Machine]) -> None:
    chief = pair[0].chief()
    broken = pair[1].worker()
    broken._program = ("-c", "import sys; sys.exit(4)")
    with pytest.raises(TrainingFailed, match="the training process ended with exit code 4"):
        broken.run()
    pair[0].terminal.wait_for("the training process ended with exit code 4")
    chief.end(0, "")


def test_unknown_host_is_a_user_error(tmp_path: Path) -> None:
    machine = Machine(("no-such-host.invalid:2222", doubles.free_addresses(1)[0]), 1, tmp_path)
    with pytest.raises(UserError, match=r"host .* is unknown.*Received: no-such-host.invalid:2222"):
        machine.worker().run()
