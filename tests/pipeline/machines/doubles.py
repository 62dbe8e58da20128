"""Machines on loopback: chief and workers as threads of a test, with a program in place of the training process."""

import io
import socket
import threading
from pathlib import Path
from typing import Any

from pipeline.config.places import Places
from pipeline.config.run import Config
from pipeline.console import Screen
from pipeline.machines.chief import Chief
from pipeline.machines.messages import Connection, connect, listen
from pipeline.machines.worker import Worker
from tests import ports
from trainer.cluster import Cluster

SECONDS = 60.0
FACTS = {"training.steps": "5"}
# It executes the code that the arguments have for its position, which is its TF_CONFIG.
PROGRAM = """
import json, os, signal, sys, threading
def send(kind, **values): print(json.dumps({"kind": kind, **values}), flush=True)
def forever(): threading.Event().wait()
position = int(os.environ["TF_CONFIG"])
send("ready", facts={"the number of GPUs": "0", "the precision": sys.argv[1]})
given = sys.stdin.readline()
if given:
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    exec(json.loads(given)["code"][position])
    forever()
"""
TRAINED = 'send("progress", text=f"step 5 on {position}", lasting=True); send("trained")'
FOREVER = "forever()"
KILLED = "os.kill(os.getpid(), signal.SIGKILL)"
LOST_PEER = 'send("failed", words="Another process has ended.", lost_peer=True)'
MEMORY = 'send("failed", words="ResourceExhaustedError: OOM when allocating")'
DIVERGED = 'send("failed", words="Training diverged.", user=True)'


def arguments(*code: str, precision: str = "auto") -> dict[str, Any]:
    """Return arguments of `run_fn` with the code for each machine."""
    return {"code": code, "custom_config": {"training": {"precision": precision}}}


def free_addresses(count: int) -> tuple[str, ...]:
    """Return addresses on loopback with ports that were free."""
    return tuple(f"127.0.0.1:{ports.free()}" for _ in range(count))


class Terminal(io.StringIO):
    """Output that a test can wait for."""

    def __init__(self) -> None:
        super().__init__()
        self._written = threading.Condition()

    def write(self, text: str) -> int:
        with self._written:
            self._written.notify_all()
            return super().write(text)

    def wait_for(self, text: str, times: int = 1) -> None:
        """Wait until a text was written that often."""
        with self._written:
            assert self._written.wait_for(lambda: self.getvalue().count(text) >= times, SECONDS), self.getvalue()


class Machine:
    """One machine: its place in the cluster, its view of the root, and its terminal."""

    def __init__(self, addresses: tuple[str, ...], position: int, root: Path) -> None:
        self.cluster = Cluster("worker", position, addresses, has_chief=False)
        self.root, self.terminal = root, Terminal()

    def chief(self, facts: dict[str, str] = FACTS, precision: str = "float32") -> Chief:
        return Chief(**self._given(facts, precision))

    def worker(self, facts: dict[str, str] = FACTS, precision: str = "float32") -> Worker:
        return Worker(**self._given(facts, precision))

    def _given(self, facts: dict[str, str], precision: str) -> dict[str, Any]:
        return {
            "cluster": self.cluster,
            "tf_config": str(self.cluster.position),
            "facts": facts,
            "places": Places(Config(root=str(self.root))),
            "screen": Screen(self.terminal),
            "program": ("-S", "-c", PROGRAM, precision),
        }


class Started(threading.Thread):
    """A call in a thread."""

    def __init__(self, call: Any, *given: Any) -> None:
        super().__init__(daemon=True)
        self._call, self._given = call, given
        self._result: Any = None
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._result = self._call(*self._given)
        except BaseException as error:
            self._error = error

    def result(self) -> Any:
        """Wait for the call, and return its result or raise its exception."""
        self.join(SECONDS)
        assert not self.is_alive()
        if self._error:
            raise self._error
        return self._result


def listening(machine: Machine) -> socket.socket:
    """Listen at the address of a machine."""
    return listen(machine.cluster.addresses[machine.cluster.position])


def connected(machine: Machine) -> Connection:
    """Connect to the chief of a machine; return the connection, on which the chief has introduced itself."""
    connection = Connection(connect(machine.cluster.addresses[0], SECONDS))
    assert connection.receive()["kind"] == "chief"
    return connection


def joined(machine: Machine) -> Connection:
    """Connect to the chief as a worker does; return the connection, which the chief has accepted."""
    connection = connected(machine)
    connection.send("worker", position=machine.cluster.position, facts=FACTS)
    assert connection.receive() == {"kind": "accepted"}
    return connection
