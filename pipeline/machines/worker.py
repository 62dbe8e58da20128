"""A worker: a machine that waits for the chief's Trainer and trains with it."""

import contextlib
import queue
import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from components.command_line import OK, USER_ERROR
from components.errors import UserError
from components.startup import INTERRUPTED
from pipeline.config.places import Places
from pipeline.console import Screen
from pipeline.failure import TrainingFailed
from pipeline.machines import messages, training
from pipeline.machines.admission import ANSWER_SECONDS, RUN_FILE
from pipeline.machines.chief import RESUMES
from pipeline.machines.messages import LOST, Connection, Message
from trainer.cluster import Cluster

_RETRY_SECONDS = 1.0
_ROOT_SECONDS = 90.0  # NFS may show a change a minute late
_OWN = object()  # source of the messages of this machine's training process
_TRAINED = (0, 3)  # exit codes of a chief whose training succeeded


class Worker:
    """Joins the chief's run, trains, and waits for the result. Example: tests/pipeline/machines/test_worker.py."""

    def __init__(
        self,
        cluster: Cluster,
        tf_config: str,
        facts: dict[str, str],
        places: Places,
        screen: Screen,
        log: str | None = None,
        program: Sequence[str] = training.PROGRAM,
    ) -> None:
        """Prepare it.

        Args:
          tf_config: the value of `TF_CONFIG`.
          facts: what this machine must have in common with the chief, see `agreement.facts`.
          log: file in the root for what libraries print in the training process; None: standard error.
          program: of the training process.
        """
        self._addresses, self._position = cluster.addresses, cluster.position
        self._tf_config, self._facts, self._root = tf_config, facts, places.root
        self._screen, self._log, self._program = screen, log, program
        self._chief = cluster.addresses[0]
        self._events: queue.SimpleQueue[tuple[object, Message]] = queue.SimpleQueue()  # with their sources
        self._ready: dict[str, str] | None = None  # facts of the training process
        self._trains = False

    def run(self) -> int:
        """Take part in one run of the chief; return the exit code of this program.

        Raises:
          UserError: this machine does not fit to the chief, an address cannot be used, or the user can fix what ended
            the run.
          TrainingFailed: training failed, or the chief has gone.
        """
        with messages.listen(self._addresses[self._position]) as port, contextlib.ExitStack() as stack:
            own = None
            while True:
                chief = stack.enter_context(contextlib.closing(self._join()))
                own = own or stack.enter_context(self._start())
                threading.Thread(target=self._receive, args=(chief,), daemon=True).start()
                code = self._follow(chief, own, port)
                if code is not None:
                    return code
                self._say("the chief has gone, or was interrupted, before training")

    def _join(self) -> Connection:
        """Connect to the chief as soon as it runs, and agree on the run."""
        self._say(f"waiting for the chief {self._chief}: start the same command there (Ctrl-C to give up)")
        while True:
            with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
                chief = Connection(messages.connect(self._chief, ANSWER_SECONDS))
                stack.callback(chief.close)
                if self._agree(chief):
                    stack.pop_all()
                    return chief
            time.sleep(_RETRY_SECONDS)

    def _agree(self, chief: Connection) -> bool:
        """Introduce this machine; return whether the chief takes it into its run."""
        chief.limit(ANSWER_SECONDS)
        greeting = chief.receive()
        if greeting["kind"] != "chief":
            return False  # another program, for example TensorFlow's server in a training under way
        chief.send("worker", position=self._position, facts=self._facts)
        answer = chief.receive()
        if answer["kind"] == "refused":
            raise self._refused(answer)
        if answer["kind"] != "accepted":
            return False
        chief.limit(None)
        self._say(f"the chief runs; looking for its root {self._root}")
        end = time.monotonic() + _ROOT_SECONDS
        while not self._sees(greeting["run"]):
            if time.monotonic() > end:
                problem = (
                    "the root is not the chief's directory, or cannot be read. Mount the same directory at the same "
                    f"path on all machines. Received: --root {self._root}"
                )
                chief.send("leaves", words=problem)
                raise UserError(f"On {self._addresses[self._position]}, {problem}")
            time.sleep(_RETRY_SECONDS)
        return True

    def _sees(self, run: str) -> bool:
        try:
            return Path(self._root, RUN_FILE).read_text(encoding="utf-8") == run
        except OSError:
            return False

    def _start(self) -> training.Training:
        def receive(message: Message) -> None:
            self._events.put((_OWN, message))

        return training.Training(self._tf_config, receive, self._log, self._program)

    def _receive(self, chief: Connection) -> None:
        while (message := chief.receive())["kind"] != LOST:
            self._events.put((chief, message))
        self._events.put((chief, message))

    def _follow(self, chief: Connection, own: training.Training, port: socket.socket) -> int | None:
        """Follow the chief until its run has ended; return None if it is lost or interrupted before training."""
        self._say("waiting for the chief's Trainer")
        if self._ready:
            chief.send("ready", facts=self._ready)
        while True:
            source, message = self._events.get()
            kind = message["kind"]
            if source is _OWN:
                self._relay(chief, message)
            elif source is not chief:
                pass  # a connection that was lost earlier
            elif kind == "train":
                self._trains = True
                port.close()  # TensorFlow's server takes it
                own.start(message["arguments"])
            elif kind == "finish":
                own.stop()
                chief.send("finished")
                self._say("training has ended; waiting for the chief to evaluate the model")
            elif kind == "refused":
                raise self._refused(message)
            elif not self._trains and (kind == LOST or message.get("code") == INTERRUPTED):
                return None
            elif kind == "ended":
                return self._ended(message)
            elif kind == LOST:
                raise TrainingFailed(
                    f"the chief {self._chief} has gone: it was stopped, or has lost its power or network. {RESUMES}"
                )

    def _relay(self, chief: Connection, message: Message) -> None:
        """Handle a message of the training process."""
        if message["kind"] == "progress":
            self._screen.progress(message["text"], message["lasting"])
            return
        if message["kind"] == "ready":
            self._ready = message["facts"]
        if message["kind"] == "failed":
            details = f" Details: {self._log}" if self._log else ""
            if not self._trains:
                chief.send("leaves", words=message["words"])
                raise TrainingFailed(f"{message['words']}.{details}")
            self._say(f"training failed on this machine: {message['words']}.{details}")
        chief.send(**message)

    def _ended(self, message: Message) -> int:
        code, words = message["code"], message["words"]
        if code in _TRAINED:
            reused = "" if self._trains else " without training, because its result of an earlier run was reused"
            self._screen.print(f"The run on the chief {self._chief} has ended{reused}: {words}")
            return OK
        text = f"The run on the chief {self._chief} has ended: {words}"
        if code == USER_ERROR:
            raise UserError(text)
        raise TrainingFailed(text)

    def _refused(self, message: Message) -> UserError:
        return UserError(f"The chief {self._chief} refused this machine: {message.get('words')}")

    def _say(self, text: str) -> None:
        self._screen.progress(text, lasting=True)
