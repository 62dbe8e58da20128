"""A run that is killed (SIGKILL) at any stage resumes with the same command and ends with the same model.

On one root the run is killed during ingest, Transform, training, the write of a checkpoint, export, and push, and is
restarted each time; the run of `undisturbed.py` is not killed. Files on disk show the stage, so the kill occurs within
a few milliseconds of it, not at one exact instruction. `scripts/kill_runs.py` kills many more runs, at random moments.
"""

import contextlib
import ctypes
import os
import select
import shutil
import signal
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from scripts import published
from tests import undisturbed
from tests.undisturbed import EVALUATED_EVERY, STEPS

pytestmark = pytest.mark.e2e
_LIMIT_SECONDS = 300.0
_ATTEMPTS = 5
_CREATED, _MOVED_HERE, _DIRECTORY = 0x100, 0x80, 0x40000000  # flags of inotify


class Watch:
    """Waits for new files below a directory (inotify), because polling for them would slow down the run."""

    def __init__(self, directory: Path) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._file = self._libc.inotify_init1(os.O_CLOEXEC)
        assert self._file >= 0, os.strerror(ctypes.get_errno())
        self._directories: dict[int, str] = {}
        self._add(str(directory))

    def __enter__(self) -> "Watch":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def wait(self, seconds: float) -> None:
        """Return when there are new files, at the latest after these seconds."""
        if not select.select([self._file], [], [], seconds)[0]:
            return
        events, start = os.read(self._file, 1 << 16), 0
        while start < len(events):
            number, flags, _, length = struct.unpack_from("iIII", events, start)
            start += 16 + length
            if flags & _DIRECTORY:
                name = os.fsdecode(events[start - length : start].rstrip(b"\0"))
                self._add(os.path.join(self._directories[number], name))

    def _add(self, directory: str) -> None:
        number = self._libc.inotify_add_watch(self._file, os.fsencode(directory), _CREATED | _MOVED_HERE)
        if number < 0:
            return  # deleted already
        self._directories[number] = directory
        with contextlib.suppress(OSError):
            for entry in os.scandir(directory):
                if entry.is_dir(follow_symlinks=False):
                    self._add(entry.path)


def _kill_when(command: list[str], root: Path, moment: Callable[[], bool]) -> None:
    """Start a run and kill it as soon as `moment` is true, before it ends.

    The moment lasts a few milliseconds, and on a busy machine this process may miss it: then the root is restored, and
    the same run starts again.
    """
    before = root.with_name(f"{root.name}.before")
    if root.exists():
        shutil.copytree(root, before, symlinks=True)
    for _ in range(_ATTEMPTS):
        if _killed(command, root, moment):
            break
        shutil.rmtree(root)
        if before.exists():
            shutil.copytree(before, root, symlinks=True)
    else:
        pytest.fail(f"the run ended before it could be killed, {_ATTEMPTS} times")
    shutil.rmtree(before, ignore_errors=True)


def _killed(command: list[str], root: Path, moment: Callable[[], bool]) -> bool:
    root.mkdir(exist_ok=True)
    with Watch(root) as watch:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            end = time.monotonic() + _LIMIT_SECONDS
            while not moment():
                if process.poll() is not None:
                    assert process.returncode == 0
                    return False
                assert time.monotonic() < end, "the moment did not occur"
                watch.wait(seconds=0.1)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
    return True


def _weights(model: str) -> dict[str, np.ndarray]:
    reader = tf.train.load_checkpoint(os.path.join(model, "variables", "variables"))
    names = [name for name in reader.get_variable_to_shape_map() if name.endswith("VARIABLE_VALUE")]
    return {name: reader.get_tensor(name) for name in names}


def _steps_saved(root: Path) -> int:
    saved = [int(path.stem.rsplit("-", 1)[1]) for path in root.glob("checkpoints/*/*/ckpt-*.index")]
    return max(saved, default=0)


def test_killed_run_ends_with_the_model_of_an_undisturbed_run(tmp_path: Path) -> None:
    reference = undisturbed.run()
    root = tmp_path / "killed"
    serving = root / "serving" / "char_rnn"
    command = undisturbed.command(reference.corpus, root)

    def is_there(pattern: str) -> Callable[[], bool]:
        return lambda: next(root.glob(pattern), None) is not None

    _kill_when(command, root, is_there("pipeline/CorpusExampleGen/examples/*/*"))
    _kill_when(command, root, is_there("pipeline/Transform/transform_graph/*"))
    _kill_when(command, root, lambda: _steps_saved(root) >= EVALUATED_EVERY)
    first = _steps_saved(root)
    assert EVALUATED_EVERY <= first < STEPS
    _kill_when(command, root, lambda: _steps_saved(root) > first and is_there("checkpoints/*/*/ckpt-*_temp/*")())
    assert first <= _steps_saved(root) <= STEPS
    _kill_when(command, root, is_there("checkpoints/*/export-*.partial/saved_model.pb"))
    assert not [path for path in root.glob("checkpoints/*/export-*") if path.suffix != ".partial"]
    _kill_when(command, root, is_there("serving/char_rnn/.incoming-*/*"))
    assert not [path for path in serving.glob("[0-9]*") if not (path / "saved_model.pb").exists()]

    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    summary = undisturbed.summary(root)
    assert sorted(path.name for path in serving.iterdir()) == ["1"]
    assert summary["pushed_version"] == "1"
    assert summary["perplexity"] == reference.summary["perplexity"]
    killed, expected = _weights(summary["model"]), _weights(reference.summary["model"])
    assert killed.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(killed[name], value, err_msg=name)
    assert published.names(root) - published.names(reference.root) == set()
