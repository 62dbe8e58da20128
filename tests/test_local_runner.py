"""Errors on the command line before the pipeline starts: one error paragraph and code 2."""

import dataclasses
import fcntl
import gzip
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[1]
TEXT = "To be, or not to be, that is the question.\n" * 100

# Runs the command line and then prints which of the slow packages were imported.
LISTEN = """
import atexit, sys
SLOW = ("tensorflow", "tfx", "apache_beam", "keras", "numpy", "requests")
atexit.register(lambda: print("imported:", *[name for name in SLOW if name in sys.modules], file=sys.stderr))
import local_runner
sys.exit(local_runner.main(sys.argv[1:]))
"""


@dataclasses.dataclass(frozen=True)
class Result:
    code: int
    out: str
    error: str
    imported: list[str]


class CommandLine:
    """Runs the command line in a directory with a good corpus."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "good.txt").write_text(TEXT)

    def __call__(self, *arguments: str) -> Result:
        done = subprocess.run(
            [sys.executable, "-c", LISTEN, *arguments],
            cwd=self.directory,
            env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100"},
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        error, marker, imported = done.stderr.rpartition("imported:")
        assert marker, done.stderr
        return Result(done.returncode, done.stdout, error, imported.split())

    def refused(self, *arguments: str) -> str:
        """Return the single error paragraph; nothing slow may be imported before it."""
        ended = self(*arguments)
        assert (ended.code, ended.out, ended.imported) == (2, "", [])
        assert ended.error.startswith("error: ")
        assert "Traceback" not in ended.error
        assert ended.error.count("\n") == 1, ended.error
        return ended.error


@pytest.fixture
def run(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path)


# Help and errors of the parser


def test_help_lists_options_presets_and_exit_codes_without_importing_tensorflow(run: CommandLine) -> None:
    ended = run("--help")
    assert (ended.code, ended.error, ended.imported) == (0, "", [])
    for word in (
        *("--preset", "--corpus", "--set", "--model", "--root", "--serving-dir", "--summary", "--verbose"),
        *("quick", "tutorial", "best", "shakespeare"),
    ):
        assert word in ended.out
    assert set(re.findall(r"\b(130|[0-3])\b", ended.out.partition("Exit codes:")[2])) == {"0", "1", "2", "3", "130"}


def test_script_runs_from_any_directory(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "local_runner.py"), "--preset", "nope"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: Unknown preset.")


PRESETS = "best, char_rnn_series, dickens, quick, spot, tutorial"


def test_beam_that_cannot_run_is_refused_before_the_start(run: CommandLine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    engine = f'["--runner=PortableRunner", "--job_endpoint=127.0.0.1:{port}"]'
    assert "Beam's job service cannot be reached" in run.refused("--set", f"beam_args={engine}")
    assert "Dask runner cannot run" in run.refused("--set", 'beam_args=["--runner=DaskRunner"]')


@pytest.mark.parametrize(
    "arguments", [["--nonsense"], ["stray"], ["--corpus"], ["--corpus", ""], ["--serving-dir", ""]]
)
def test_unknown_option_ends_with_code_2_and_the_usage(run: CommandLine, arguments: list[str]) -> None:
    ended = run(*arguments)
    assert (ended.code, ended.out, ended.imported) == (2, "", [])
    assert "usage: local_runner.py" in ended.error
    assert "Traceback" not in ended.error


# Errors in the configuration


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--preset", "qick"],
            f"Unknown preset. Give one of these, or several with commas between them: {PRESETS}. Received: ",
        ),
        (["--set", "training.step=5"], "Did you mean training.steps"),
        (["--set", "training.steps"], "written key=value"),
        (["--set", "training.steps=0"], "training.steps should be greater than or equal to 1"),
        (["--set", "training.steps=soon"], "training.steps should be a valid integer"),
        (["--set", "training.steps=5", "--set", "training.epochs=5"], "exactly one of them"),
        (["--set", "training.logical_cpus=2"], "training.strategy=mirrored"),
        (["--model", "my model"], "model_name should"),
        (["--set", "corpus.source="], "corpus.source should"),
    ],
)
def test_error_in_the_configuration_is_reported_and_nothing_is_written(
    run: CommandLine, arguments: list[str], message: str
) -> None:
    assert message in run.refused(*arguments, "--root", "root")
    assert not (run.directory / "root").exists()


def test_error_in_tf_config_is_reported_and_nothing_is_written(
    run: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = {"chief": ["a:2222"], "worker": ["b:2222"]}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": "worker", "index": 1}}))
    assert "TF_CONFIG cannot be used" in run.refused("--corpus", "good.txt", "--root", "root")
    cluster["ps"] = ["c:2222"]
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": "chief", "index": 0}}))
    assert "TF_CONFIG has the role 'ps'" in run.refused("--corpus", "good.txt", "--root", "root")
    assert not (run.directory / "root").exists()


# Errors in the corpus


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.txt", None, "There is no such corpus"),
        ("gone/*.txt", None, "The glob matches no file"),
        ("empty.txt", b"", "is empty"),
        ("blank.txt", b" \n" * 5000, "is empty"),
        ("binary.txt", TEXT.encode() + b"\0\x01\x02", "looks binary: .*0x00 at byte offset 4300"),
        ("latin.txt", TEXT.encode() + "é".encode("latin-1"), "is not UTF-8 at byte offset 4300"),
        ("utf16.txt", TEXT.encode("utf-16"), "is UTF-16"),
        ("short.txt", TEXT.encode()[:1999], "is too short to learn from: .*2000 characters"),
        ("cut.txt.gz", gzip.compress(TEXT.encode(), mtime=0)[:-20], "cannot be decompressed"),
    ],
)
def test_error_in_the_corpus_is_reported_and_nothing_is_staged(
    run: CommandLine, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (run.directory / name).write_bytes(content)
    error = run.refused("--corpus", name, "--root", "root")
    assert re.search(message, error)
    assert name.partition("*")[0] in error
    assert not (run.directory / "root" / "corpus").exists()


def test_directory_without_texts_is_refused(run: CommandLine) -> None:
    (run.directory / "texts").mkdir()
    (run.directory / "texts" / "book.pdf").write_bytes(b"%PDF")
    assert "The directory has no text" in run.refused("--corpus", "texts", "--root", "root")


def test_wrong_checksum_is_refused(run: CommandLine) -> None:
    setting = f"corpus.checksum={'12' * 32}"
    assert "another SHA-256" in run.refused("--corpus", "good.txt", "--set", setting, "--root", "root")


def test_bad_document_among_good_ones_is_named(run: CommandLine) -> None:
    (run.directory / "bad.txt").write_bytes(b"\xff\xfe\xfd")
    error = run.refused("--corpus", "*.txt", "--root", "root")
    assert "'bad.txt'" in error
    assert "good.txt" not in error


# Paths that cannot be written


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--root", "good.txt/root"], "The root cannot be written: Not a directory"),
        (["--root", "good.txt"], "The root cannot be written"),
        (["--serving-dir", "good.txt/served"], "The serving directory cannot be written"),
        (["--summary", "missing/summary.json"], "its directory is missing or read-only"),
        (["--summary", "good.txt/summary.json"], "its directory is missing or read-only"),
        (["--summary", "."], "there is a directory of that name"),
    ],
)
def test_unwritable_path_is_reported_before_the_corpus_is_read(
    run: CommandLine, arguments: list[str], message: str
) -> None:
    where = [] if "--root" in arguments else ["--root", "root"]
    assert message in run.refused("--corpus", "missing.txt", *arguments, *where)


def test_error_keeps_the_summary_of_an_earlier_run(run: CommandLine) -> None:
    (run.directory / "summary.json").write_text(json.dumps({"run": "earlier"}))
    run.refused("--corpus", "missing.txt", "--root", "root", "--summary", "summary.json")
    assert json.loads((run.directory / "summary.json").read_text()) == {"run": "earlier"}


# Interrupted


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_waiting_run_reports_it_and_ends_with_130_when_interrupted(run: CommandLine, number: signal.Signals) -> None:
    (run.directory / "root").mkdir()
    command = [sys.executable, str(ROOT / "local_runner.py"), "--corpus", "good.txt", "--root", "root"]
    with open(run.directory / "root" / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with subprocess.Popen(
            command, cwd=run.directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as waiting:
            try:
                assert waiting.stdout is not None
                assert waiting.stdout.readline().startswith(f"Another run is using {run.directory / 'root'}; waiting")
                waiting.send_signal(number)
                out, error = waiting.communicate(timeout=60)
            finally:
                waiting.kill()
    assert (waiting.returncode, out, error) == (130, "", "interrupted\n")
