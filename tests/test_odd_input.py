"""Odd input in the real pipeline: unusual corpora work, a full disk is one error paragraph, two runs do the work once.

The model is too small to learn much. A small tmpfs is the disk; the test is skipped if it cannot be mounted.
Two corpora show everything, because a run of even this model takes twenty CPU-seconds.
"""

import contextlib
import json
import os
import random
import subprocess
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import warm
from tests.command_line import Result, files, results, run

pytestmark = pytest.mark.e2e
TINY = {
    "model.units": 16,
    "model.embedding": 8,
    "training.batch_size": 8,
    "training.sequence_length": 40,
    "training.steps": 20,
    "training.eval_every": 10,
    "training.sample_chars": 0,
    "training.measured_chars": 0,
    "evaluation.threshold": 1e30,
    "evaluation.max_increase": 1e30,
    "evaluation.by_document": "false",
}
AUTO = {"evaluation.threshold": "auto"}  # the trigram model is bad at these texts too, so even this model is better
ROOMS = {0: "cannot be copied into", 200_000: "The disk is full", 700_000: "The disk is full"}


@contextlib.contextmanager
def small_disk(directory: Path, megabytes: int) -> Iterator[str]:
    """Mount a tmpfs on the directory; yield the reason if that fails, else an empty string."""
    directory.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", str(directory)]
    try:
        mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
        reason = mounted.stderr.strip() or "mount failed" if mounted.returncode else ""
    except FileNotFoundError as error:
        reason = str(error)
    try:
        yield reason
    finally:
        if not reason:
            subprocess.run(["umount", "-l", str(directory)], check=True)


def fill(disk: Path, room: int) -> Path:
    """Fill a disk except for `room` bytes."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * 65536)
    os.truncate(filler, filler.stat().st_size - room)
    return filler


@dataclass(frozen=True)
class Done:
    """A run that has ended."""

    root: Path
    ended: Result
    report: Path

    def summary(self) -> dict[str, Any]:
        assert self.ended.code == 0, self.ended
        result: dict[str, Any] = json.loads(self.report.read_text())
        return result


@dataclass(frozen=True)
class FullDisk:
    """Runs on a full disk.

    Attributes:
      before: digests of the results before them.
      runs: each run by the number of bytes that were left, with the digests after it.
      last: the same run with enough room.
    """

    before: dict[str, str]
    runs: dict[int, tuple[Result, dict[str, str]]]
    last: Done


@dataclass(frozen=True)
class Odd:
    """Runs by name, and those on a full disk; `no_disk` is the reason if a small disk cannot be mounted."""

    runs: dict[str, "Future[Done]"]
    full_disk: "Future[FullDisk]"
    no_disk: str

    def __getitem__(self, name: str) -> Done:
        return self.runs[name].result()


def odd_texts() -> dict[str, str]:
    generator = random.Random(1)
    scripts = [chr(0x4E00 + i) for i in range(20_000)]  # CJK ideographs
    return {
        "one": "a" * 5000,
        "ideographs": "".join(generator.sample(scripts, 20_000) + generator.sample(scripts, 20_000)),
    }


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Odd]:
    """Runs on odd corpora, two at a time because most of a run uses one core."""
    directory = tmp_path_factory.mktemp("odd")
    disk, root = directory / "disk", directory / "disk" / "root"
    for name, text in odd_texts().items():
        (directory / f"{name}.txt").write_text(text)

    def learn(name: str, corpus: str, root: Path, **changes: Any) -> Done:
        settings = [word for item in (TINY | changes).items() for word in ("--set", "=".join(map(str, item)))]
        report = directory / f"{name}.json"
        where = ("--corpus", str(directory / f"{corpus}.txt"), "--root", str(root), "--summary", str(report))
        return Done(root, run(*where, *settings, python=warm.python()), report)

    def full(earlier: "list[Future[Done]]", no_disk: str) -> FullDisk:
        for one in earlier:
            one.result()
        before, runs = files(*results(root)), {}
        for room in () if no_disk else ROOMS:
            filler = fill(disk, room)
            ended = learn(f"{room} bytes", "ideographs", root, **AUTO).ended
            filler.unlink()
            runs[room] = ended, files(*results(root))
        return FullDisk(before, runs, learn("ideographs", "ideographs", root, **AUTO))

    with small_disk(disk, 96) as no_disk, ThreadPoolExecutor(2) as pool:
        runs = {name: pool.submit(learn, name, "one", root) for name in ("one", "one, at once")}
        full_disk = pool.submit(full, [*runs.values()], no_disk)
        yield Odd(runs, full_disk, no_disk)


def test_corpus_of_one_repeated_character_is_learned(odd: Odd) -> None:
    summary = odd["one"].summary()
    assert (summary["vocabulary_size"], summary["eval_chars"], summary["out_of_vocabulary_rate"]) == (1, 499, 0)
    assert 1 <= summary["perplexity"] < 2  # of this character and the unknown ones
    assert "a" * 300 in odd["one"].ended.out


def test_twenty_thousand_characters_get_ids_and_are_generated(odd: Odd) -> None:
    done = odd.full_disk.result().last
    summary = done.summary()
    assert (summary["vocabulary_size"], summary["out_of_vocabulary_rate"]) == (20_000, 0)
    assert any(len(line) == 300 and min(line) >= "\u4e00" for line in done.ended.out.splitlines())


def test_two_concurrent_runs_on_one_root_do_the_work_once(odd: Odd) -> None:
    done = [odd["one"], odd["one, at once"]]
    assert [one.ended.code for one in done] == [0, 0], done
    first, second = sorted((one.ended for one in done), key=lambda ended: "Another run is using" in ended.out)
    assert "Another run is using" not in first.out
    assert second.out.startswith(f"Another run is using {done[0].root}; waiting until it has ended")
    assert "executed" not in second.out
    assert "1 (served already)" in second.out
    serving = done[0].root / "serving" / "char_rnn"
    before = map(Path, odd.full_disk.result().before)
    assert {path.relative_to(serving).parts[0] for path in before if path.is_relative_to(serving)} == {"1"}


def test_full_disk_is_reported_at_every_stage_and_finished_results_are_kept(odd: Odd) -> None:
    """A tmpfs is full before the copy of the corpus, before the first record, and during Transform (see `ROOMS`)."""
    if odd.no_disk:
        pytest.skip(f"a small disk cannot be mounted here: {odd.no_disk}")
    disk = odd.full_disk.result()
    assert list(disk.runs) == list(ROOMS)
    for room, (ended, after) in disk.runs.items():
        output = ended.paragraph()
        assert ROOMS[room] in output
        assert "No space left on device" in output or "disk is full" in output
        assert str(disk.last.root) in output
        assert disk.before.items() <= after.items(), "results of the first run are unchanged"
    assert disk.last.ended.code == 0, disk.last.ended
    assert "2 (pushed)" in disk.last.ended.out
    assert disk.before.items() <= files(*results(disk.last.root)).items()
