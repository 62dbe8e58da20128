"""Chief and workers over loopback: training together, and every way in which it can fail."""

from pathlib import Path

import pytest

from components.errors import UserError
from pipeline.failure import TrainingFailed
from pipeline.machines import admission, chief
from pipeline.machines.messages import LOST
from tests.pipeline.machines import doubles
from tests.pipeline.machines.doubles import Machine, Started, arguments

pytestmark = pytest.mark.integration


@pytest.fixture
def machines(tmp_path: Path) -> list[Machine]:
    """A chief and two workers with one root."""
    addresses = doubles.free_addresses(3)
    return [Machine(addresses, position, tmp_path) for position in range(3)]


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Machine, Machine]:
    """A chief and a worker with one root."""
    addresses = doubles.free_addresses(2)
    return Machine(addresses, 0, tmp_path), Machine(addresses, 1, tmp_path)


def test_all_machines_train_and_workers_report_the_result(machines: list[Machine]) -> None:
    # A worker may start before the chief or after it.
    early = Started(machines[1].worker().run)
    machines[1].terminal.wait_for("waiting for the chief")
    running = machines[0].chief()
    training = Started(running.train, arguments(*[doubles.TRAINED] * 3))
    machines[0].terminal.wait_for(f"waiting for {machines[2].cluster.addresses[2]}: start the same command there")
    late = Started(machines[2].worker().run)
    training.result()
    running.end(3, "perplexity 5")
    assert [early.result(), late.result()] == [0, 0]
    for position, machine in enumerate(machines):
        assert f"step 5 on {position}" in machine.terminal.getvalue()
    for machine in machines[1:]:
        assert machine.terminal.getvalue().endswith(f"{machine.cluster.addresses[0]} has ended: perplexity 5\n")


def test_run_without_training_ends_the_workers(pair: tuple[Machine, Machine]) -> None:
    running = pair[0].chief()
    worker = Started(pair[1].worker().run)
    pair[1].terminal.wait_for("waiting for the chief's Trainer")
    running.end(0, "version 1")
    assert worker.result() == 0
    assert "has ended without training, because its result of an earlier run was reused: version 1" in (
        pair[1].terminal.getvalue()
    )


@pytest.mark.parametrize(
    ("code", "error", "words"),
    [
        ((doubles.FOREVER, doubles.KILLED), TrainingFailed, r"failed on {worker}: .*killed \(SIGKILL\).*Run the same"),
        ((doubles.KILLED, doubles.FOREVER), TrainingFailed, r"failed on {chief}: .*killed \(SIGKILL\).*Run the same"),
        ((doubles.LOST_PEER, doubles.MEMORY), TrainingFailed, "failed on {worker}: ResourceExhaustedError: OOM"),
        ((doubles.MEMORY, doubles.LOST_PEER), TrainingFailed, "failed on {chief}: ResourceExhaustedError: OOM"),
        ((doubles.DIVERGED, doubles.FOREVER), UserError, "^Training diverged.$"),
        ((doubles.FOREVER, doubles.DIVERGED), UserError, "^On {worker}: Training diverged.$"),
        (("sys.exit(5)", doubles.FOREVER), TrainingFailed, "failed on {chief}: .*exit code 5"),
    ],
)
def test_failure_on_one_machine_ends_all_with_its_reason(
    pair: tuple[Machine, Machine], code: tuple[str, str], error: type[Exception], words: str
) -> None:
    running = pair[0].chief()
    worker = Started(pair[1].worker().run)
    names = dict(zip(("chief", "worker"), pair[0].cluster.addresses, strict=True))
    with pytest.raises(error, match=words.format(**names)):
        running.train(arguments(*code))
    running.end(2 if error is UserError else 1, "REASON")
    with pytest.raises(error, match="has ended: REASON"):
        worker.result()


def test_error_about_a_lost_process_is_reported_if_no_machine_has_the_reason(
    pair: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chief, "_REASON_SECONDS", 0.1)
    running = pair[0].chief()
    worker = Started(pair[1].worker().run)
    with pytest.raises(TrainingFailed, match="Another process has ended"):
        running.train(arguments(doubles.LOST_PEER, doubles.FOREVER))
    running.end(1, "x")
    with pytest.raises(TrainingFailed):
        worker.result()


def test_worker_that_is_lost_during_training_ends_it(pair: tuple[Machine, Machine]) -> None:
    running = pair[0].chief()
    worker = doubles.joined(pair[1])
    with doubles.listening(pair[1]):
        worker.send("ready", facts={"the number of GPUs": "0", "the precision": "float32"})
        training = Started(running.train, arguments(doubles.FOREVER, ""))
        assert worker.receive()["kind"] == "train"
    worker.close()
    with pytest.raises(TrainingFailed, match=f"the worker {pair[1].cluster.addresses[1]} has gone: .*same command"):
        training.result()


def test_worker_that_is_lost_before_training_is_replaced(pair: tuple[Machine, Machine]) -> None:
    running = pair[0].chief()
    training = Started(running.train, arguments(doubles.TRAINED, doubles.TRAINED))
    doubles.joined(pair[1]).close()
    pair[0].terminal.wait_for("has gone")
    worker = Started(pair[1].worker().run)
    training.result()
    running.end(0, "")
    assert worker.result() == 0


def test_worker_with_another_command_is_refused_on_both_sides(pair: tuple[Machine, Machine]) -> None:
    running = pair[0].chief()
    this, other = pair[0].cluster.addresses
    different = f"training.steps is 5 on {this} and 6 on {other}"
    with pytest.raises(UserError, match=f"{this} refused this machine: all machines need the same .*{different}"):
        pair[1].worker({"training.steps": "6"}).run()
    assert f"NOTE: the worker {other} was refused" in pair[0].terminal.getvalue()
    assert different in pair[0].terminal.getvalue()
    # The right one is still admitted.
    doubles.joined(pair[1]).close()
    running.end(0, "")


def test_second_worker_with_the_same_task_is_refused(pair: tuple[Machine, Machine]) -> None:
    running = pair[0].chief()
    first = doubles.joined(pair[1])
    with pytest.raises(UserError, match="another worker takes part as .*; give each machine its own task"):
        pair[1].worker().run()
    running.end(0, "")
    assert first.receive() == {"kind": "ended", "code": 0, "words": ""}
    first.close()


def test_machines_with_other_hardware_do_not_train_together(pair: tuple[Machine, Machine]) -> None:
    running = pair[0].chief(precision="bfloat16")
    worker = Started(pair[1].worker(precision="float16").run)
    this, other = pair[0].cluster.addresses
    with pytest.raises(UserError, match=f"the precision is bfloat16 on {this} and float16 on {other}"):
        running.train(arguments(doubles.TRAINED, doubles.TRAINED))
    running.end(2, "x")
    with pytest.raises(UserError):
        worker.result()


def test_configured_precision_does_not_depend_on_the_hardware(pair: tuple[Machine, Machine]) -> None:
    running = pair[0].chief(precision="bfloat16")
    worker = Started(pair[1].worker(precision="float16").run)
    running.train(arguments(doubles.TRAINED, doubles.TRAINED, precision="float32"))
    running.end(0, "")
    assert worker.result() == 0


def test_worker_that_the_chief_cannot_connect_to_is_refused(pair: tuple[Machine, Machine]) -> None:
    running = pair[0].chief()
    worker = doubles.joined(pair[1])
    worker.send("ready", facts={})  # but nothing listens at its address
    refusal = worker.receive()
    assert refusal["kind"] == "refused"
    assert f"open the port in its firewall. Received: {pair[1].cluster.addresses[1]}" in refusal["words"]
    pair[0].terminal.wait_for("The chief cannot connect to this worker")
    worker.close()
    running.end(0, "")


def test_other_programs_that_connect_are_ignored(pair: tuple[Machine, Machine]) -> None:
    running = pair[0].chief()
    for hello in ({"kind": "worker", "position": 7, "facts": {}}, {"kind": "worker", "position": 1}, {"kind": "x"}):
        connection = doubles.connected(pair[0])
        connection.send(**hello)
        assert connection.receive()["kind"] == LOST
        connection.close()
    assert pair[0].terminal.getvalue() == ""
    running.end(0, "")


def test_port_in_use_is_a_user_error(pair: tuple[Machine, Machine]) -> None:
    with doubles.listening(pair[0]), pytest.raises(UserError, match="Port .* cannot be used: Address already in use"):
        pair[0].chief()
    with doubles.listening(pair[1]), pytest.raises(UserError, match="Port .* cannot be used: Address already in use"):
        pair[1].worker().run()


def test_run_id_in_the_root_is_new_for_every_run(pair: tuple[Machine, Machine]) -> None:
    ids = []
    for _ in range(2):
        pair[0].chief().end(0, "")
        ids.append((pair[0].root / admission.RUN_FILE).read_text())
    assert ids[0] != ids[1]
