"""Odd input in the real pipeline: unusual corpora work, a full disk is one error paragraph, two runs do the work once.

The model is too small to learn much. A small tmpfs is the disk; the test is skipped if it cannot be mounted.
"""

import contextlib
import json
import os
import random
import string
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
    "evaluation.threshold": 1e30,
    "evaluation.max_increase": 1e30,
    "evaluation.by_document": "false",
}


def tiny(corpus: Path, root: Path, **changes: Any) -> Result:
    settings = TINY | {key.replace("__", "."): value for key, value in changes.items()}
    words = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    summary = str(root.parent / f"{root.name}.json")
    return run("--corpus", str(corpus), "--root", str(root), "--summary", summary, *words, python=warm.python())


def odd_texts() -> dict[str, str]:
    generator = random.Random(1)
    scripts = [chr(0x4E00 + i) for i in range(20_000)]  # CJK ideographs
    words = ["tea", "at", "the", "harbor", "lamp", "and", "quay"]
    line = " ".join(generator.choice(words) for _ in range(300_000))[: 1 << 20]
    return {
        "one": "a" * 5000,
        "unseen": "ab c\n" * 900 + "xyz!" * 125,
        "lines": f"{line}\n{line[:1000]}",
        "ideographs": "".join(generator.sample(scripts, 20_000) + generator.sample(scripts, 20_000)),
    }


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
            file.write(b"\0" * 4096)
    os.truncate(filler, filler.stat().st_size - room)
    return filler


@dataclass(frozen=True)
class Root:
    path: Path
    ended: Result

    def summary(self) -> dict[str, Any]:
        assert self.ended.code == 0, self.ended
        result: dict[str, Any] = json.loads((self.path.parent / f"{self.path.name}.json").read_text())
        return result


@dataclass(frozen=True)
class Odd:
    """Runs by name, the first on a small disk; `no_disk` is the reason if it cannot be mounted."""

    runs: dict[str, "Future[Root]"]
    disk: Path
    no_disk: str

    def __getitem__(self, name: str) -> Root:
        return self.runs[name].result()


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Odd]:
    """Runs on odd corpora, two at a time because most of a run uses one core."""
    directory = tmp_path_factory.mktemp("odd")
    disk = directory / "disk"
    texts = odd_texts()
    for name, text in texts.items():
        (directory / f"{name}.txt").write_text(text)

    def learn(name: str) -> Root:
        # The trigram model is bad at these texts too, so even this model is better.
        threshold = {"evaluation__threshold": "auto"} if name in ("unseen", "ideographs") else {}
        root = (disk if name == "one" else directory) / name
        return Root(root, tiny(directory / f"{name}.txt", root, **threshold))

    with small_disk(disk, 24) as no_disk, ThreadPoolExecutor(2) as pool:
        again = {"one, at once": pool.submit(learn, "one")}
        yield Odd(again | {name: pool.submit(learn, name) for name in texts}, disk, no_disk)


def test_corpus_of_one_repeated_character_is_learned(odd: Odd) -> None:
    root = odd["one"]
    summary = root.summary()
    assert (summary["vocabulary_size"], summary["eval_chars"], summary["out_of_vocabulary_rate"]) == (1, 499, 0)
    assert 1 <= summary["perplexity"] < 2  # of this character and the unknown ones
    assert "a" * 300 in root.ended.out


def test_eval_split_of_unknown_characters_pays_for_every_one(odd: Odd) -> None:
    summary = odd["unseen"].summary()
    assert (summary["vocabulary_size"], summary["eval_chars"], summary["out_of_vocabulary_rate"]) == (5, 499, 1)
    assert summary["perplexity"] > 0x110000 - 5  # no better than a choice among all unknown characters


def test_line_of_a_megabyte_is_read_completely(odd: Odd) -> None:
    summary = odd["lines"].summary()
    assert summary["characters"] == 2**20 + 1001
    assert summary["eval_chars"] == summary["characters"] - summary["characters"] * 9 // 10 - 1


def test_twenty_thousand_characters_get_ids_and_are_generated(odd: Odd) -> None:
    root = odd["ideographs"]
    summary = root.summary()
    assert (summary["vocabulary_size"], summary["out_of_vocabulary_rate"]) == (20_000, 0)
    assert any(len(line) == 300 and min(line) >= "\u4e00" for line in root.ended.out.splitlines())


def test_two_concurrent_runs_on_one_root_do_the_work_once(odd: Odd) -> None:
    roots = [odd["one"], odd["one, at once"]]
    assert [root.ended.code for root in roots] == [0, 0], roots
    first, second = sorted((root.ended for root in roots), key=lambda ended: "Another run is using" in ended.out)
    assert "Another run is using" not in first.out
    assert second.out.startswith(f"Another run is using {roots[0].path}; waiting until it has ended")
    assert "executed" not in second.out
    assert "1 (served already)" in second.out
    assert [path.name for path in (roots[0].path / "serving" / "char_rnn").iterdir()] == ["1"]


def test_full_disk_is_reported_at_every_stage_and_finished_results_are_kept(odd: Odd, tmp_path: Path) -> None:
    """A tmpfs of 24 MB is full before the copy of the corpus, before the first record, and during Transform."""
    if odd.no_disk:
        pytest.skip(f"a small disk cannot be mounted here: {odd.no_disk}")
    root = odd["one"].path
    assert odd["one, at once"].path == root
    generator = random.Random(2)
    (tmp_path / "second.txt").write_text("".join(generator.choices(string.ascii_lowercase, k=20_000)))
    before = files(*results(root))
    for room, message in (
        (0, "cannot be copied into"),
        (60_000, "The disk is full"),
        (300_000, "The disk is full"),
    ):
        filler = fill(odd.disk, room)
        output = tiny(tmp_path / "second.txt", root).paragraph()
        filler.unlink()
        assert message in output
        assert "No space left on device" in output or "disk is full" in output
        assert str(root) in output
        after = files(*results(root))
        assert before.items() <= after.items(), "results of the first run are unchanged"
    ended = tiny(tmp_path / "second.txt", root)
    assert ended.code == 0, ended
    assert "2 (pushed)" in ended.out
    assert before.items() <= files(*results(root)).items()
