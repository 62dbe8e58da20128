"""The chief's door: workers connect to it from the start of the run to the start of training."""

import contextlib
import socket
import threading
import uuid
from collections.abc import Callable
from pathlib import Path

from components.errors import UserError
from pipeline.machines import agreement, messages
from pipeline.machines.messages import LOST, Connection, Message
from trainer.cluster import Cluster

RUN_FILE = ".machines"  # in the root: the id of the newest run, by which a worker knows that it sees the same root
ANSWER_SECONDS = 30.0


class Admission:
    """Admits one worker for each address of the cluster, in threads. Example: tests/pipeline/machines/test_chief.py."""

    def __init__(
        self,
        cluster: Cluster,
        facts: dict[str, str],
        root: str,
        receive: Callable[[int, Message], None],
        note: Callable[[str], None],
    ) -> None:
        """Listen for workers.

        Args:
          facts: what workers must have in common with this machine, see `agreement.facts`.
          root: where the id of the run is written.
          receive: called with the position of a worker and its message, also when the worker is lost.
          note: called with a sentence about a worker that is refused.

        Raises:
          UserError: an address cannot be used.
        """
        self._addresses, self._facts, self._receive, self._note = cluster.addresses, facts, receive, note
        for address in self._addresses:
            messages.split(address)
        self._listener = messages.listen(self._addresses[0])
        self._run = uuid.uuid4().hex
        Path(root, RUN_FILE).write_text(self._run, encoding="utf-8")
        self._lock = threading.Lock()
        self._workers: dict[int, Connection] = {}
        self._open = True
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> list[Connection]:
        """Stop listening, so that TensorFlow's server can use the port; return the workers."""
        with self._lock:
            self._open = False
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread
            self._listener.close()
            return list(self._workers.values())

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                connected, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(Connection(connected),), daemon=True).start()

    def _serve(self, worker: Connection) -> None:
        """Admit or refuse a worker; receive its messages until it is lost."""
        worker.limit(ANSWER_SECONDS)
        worker.send("chief", run=self._run)
        hello = worker.receive()
        facts = hello.get("facts")
        position = next((i for i in range(1, len(self._addresses)) if i == hello.get("position")), 0)
        if hello["kind"] == "worker" and position and isinstance(facts, dict):
            if problem := self._admit(worker, position, facts):
                self._note(f"the worker {self._addresses[position]} was refused: {problem}")
                worker.send("refused", words=problem)
            else:
                worker.limit(None)
                worker.send("accepted")
                self._relay(worker, position)
        worker.close()

    def _admit(self, worker: Connection, position: int, facts: dict[str, str]) -> str:
        """Admit a worker, or return the reason for refusing it."""
        this, other = self._addresses[0], self._addresses[position]
        if different := agreement.differences(self._facts, facts, this, other):
            return f"all machines need the same options, code and library versions, but {different}."
        with self._lock:
            if position in self._workers:
                return f"another worker takes part as {other}; give each machine its own task in TF_CONFIG."
            if not self._open:
                return "training has started already."
            self._workers[position] = worker
        return ""

    def _relay(self, worker: Connection, position: int) -> None:
        while (message := worker.receive())["kind"] != LOST:
            if message["kind"] == "ready" and (problem := self._unreachable(position)):
                worker.send("refused", words=problem)
                message = {"kind": "leaves", "words": problem}
            if message["kind"] == "leaves":
                self._note(f"the worker {self._addresses[position]} was refused: {message.get('words')}")
                message = {"kind": LOST}
                break
            self._receive(position, message)
        with self._lock:  # a worker that takes its place reports later
            if self._open:
                del self._workers[position]
            self._receive(position, message)

    def _unreachable(self, position: int) -> str:
        """Return what keeps this machine from connecting to a worker, which listens until training starts."""
        address = self._addresses[position]
        try:
            messages.connect(address, ANSWER_SECONDS).close()
        except (OSError, UserError) as error:
            return (
                f"The chief cannot connect to this worker: {error}. Check its address in TF_CONFIG, and open the port "
                f"in its firewall. Received: {address}"
            )
        return ""
