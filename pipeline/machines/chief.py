"""The chief: the machine that runs the pipeline, admits workers meanwhile, and trains together with them."""

import contextlib
import queue
from collections.abc import Sequence
from typing import Any

from components.errors import UserError
from pipeline.config.places import Places
from pipeline.console import Screen
from pipeline.failure import TrainingFailed
from pipeline.machines import agreement, training
from pipeline.machines.admission import Admission
from pipeline.machines.messages import LOST, Message
from trainer.cluster import Cluster

RESUMES = "Run the same command again on all machines: training resumes from the last checkpoint."
# TensorFlow's error about a lost process may arrive before the reason for the loss.
_REASON_SECONDS = 5.0


class Chief:
    """Admits workers from its creation to the start of training. Example: tests/pipeline/machines/test_chief.py."""

    def __init__(
        self,
        cluster: Cluster,
        tf_config: str,
        facts: dict[str, str],
        places: Places,
        screen: Screen,
        program: Sequence[str] = training.PROGRAM,
    ) -> None:
        """Listen for workers.

        Args:
          tf_config: the value of `TF_CONFIG`.
          facts: what workers must have in common with this machine, see `agreement.facts`.
          program: of the training process.

        Raises:
          UserError: an address in `TF_CONFIG` cannot be used.
        """
        self._addresses, self._tf_config, self._screen, self._program = cluster.addresses, tf_config, screen, program
        self._events: queue.SimpleQueue[tuple[int, Message]] = queue.SimpleQueue()  # with positions in the cluster
        self._admission = Admission(cluster, facts, places.root, lambda *event: self._events.put(event), self._note)

    def train(self, arguments: dict[str, Any]) -> None:
        """Run `run_fn` on all machines, in a separate process on each, and wait until it has returned everywhere.

        Args:
          arguments: of `run_fn`.

        Raises:
          UserError: the machines do not fit together, or training failed for a reason that the user can fix.
          TrainingFailed: training failed, or a worker has gone.
        """

        def receive(message: Message) -> None:
            self._events.put((0, message))

        with training.Training(self._tf_config, receive, program=self._program) as own:
            facts = self._await_ready()
            if arguments["custom_config"]["training"]["precision"] != "auto":
                facts = [{name: value for name, value in fact.items() if name != "the precision"} for fact in facts]
            self._check(facts)
            workers = self._admission.close()
            for worker in workers:
                worker.send("train", arguments=arguments)
            own.start(arguments)
            self._watch()
            # TensorFlow ends a process whose coordinator has ended, and that is the chief's: it ends last.
            for worker in workers:
                worker.send("finish")
            self._await_finished(len(workers))

    def end(self, code: int, words: str) -> None:
        """Tell the workers how the run has ended.

        Args:
          code: exit code of this program.
          words: the error, or the result.
        """
        for worker in self._admission.close():
            worker.send("ended", code=code, words=words)
            worker.close()

    def _note(self, text: str) -> None:
        self._screen.print(f"NOTE: {text}", style="bold yellow")

    def _await_ready(self) -> list[dict[str, str]]:
        """Wait until all machines are ready to train; return their facts."""
        ready: dict[int, dict[str, str]] = {}
        reported: list[str] = []
        while len(ready) < len(self._addresses):
            missing = [self._addresses[i] for i in range(1, len(self._addresses)) if i not in ready]
            if missing and missing != reported and 0 in ready:
                reported = missing
                text = f"waiting for {', '.join(missing)}: start the same command there (Ctrl-C to give up)"
                self._screen.progress(text, lasting=True)
            position, message = self._events.get()
            if message["kind"] == "ready":
                ready[position] = message["facts"]
            elif message["kind"] == LOST:
                ready.pop(position, None)
                self._note(f"the worker {self._addresses[position]} has gone")
            elif message["kind"] == "failed":  # the training process of this machine
                raise self._failure(position, message)[1]
        return [ready[i] for i in range(len(self._addresses))]

    def _check(self, facts: list[dict[str, str]]) -> None:
        for address, fact in zip(self._addresses[1:], facts[1:], strict=True):
            if different := agreement.differences(facts[0], fact, self._addresses[0], address):
                raise UserError(
                    f"The machines cannot train together: {different}. Give all of them the same number of GPUs with "
                    "CUDA_VISIBLE_DEVICES, and the same precision with --set training.precision=float32, for example."
                )

    def _watch(self) -> None:
        """Relay the progress until training has ended on all machines; raise the reason if it fails."""
        running, complete = set(range(len(self._addresses))), False
        failures: list[tuple[int, Exception]] = []
        while running and (not failures or failures[0][0] > 1):
            try:
                position, message = self._events.get(timeout=_REASON_SECONDS if failures else None)
            except queue.Empty:
                break
            if message["kind"] == "progress" and position == 0:
                self._screen.progress(message["text"], message["lasting"])
            elif message["kind"] == "trained":
                running.discard(position)
                complete = complete or position == 0  # this machine has exported the model
            elif message["kind"] in ("failed", LOST) and position in running:
                running.discard(position)
                failures += [] if complete else [self._failure(position, message)]
                failures.sort(key=lambda failure: failure[0])
        if failures:
            raise failures[0][1]

    def _await_finished(self, count: int) -> None:
        with contextlib.suppress(queue.Empty):
            while count:
                _, message = self._events.get(timeout=_REASON_SECONDS)
                count -= message["kind"] in ("finished", LOST)

    def _failure(self, position: int, message: Message) -> tuple[int, Exception]:
        """Return a rank and the error: of several failures, the one with the lowest rank is the reason."""
        address = self._addresses[position]
        if message["kind"] == LOST:
            return 1, TrainingFailed(
                f"the worker {address} has gone: it was stopped, or has lost its power or network. {RESUMES}"
            )
        words = message.get("words", "")
        where = f"On {address}: " if position else ""
        if message.get("user"):
            return 0, UserError(f"{where}{words}")
        if message.get("lost_peer"):
            return 2, TrainingFailed(f"on {address}: {words}")
        return 1, TrainingFailed(f"training failed on {address}: {words}. {RESUMES}")
