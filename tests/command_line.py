"""Runs of the real command line, and the files on disk before and after them."""

import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Result:
    """Exit code and output of a run."""

    code: int
    out: str
    error: str

    def paragraph(self) -> str:
        """Return the single error paragraph, which must be the last line of the output."""
        output = self.out + self.error
        assert self.code == 2, output
        assert "Traceback" not in output
        assert output.count("error: ") == 1
        last = output.splitlines()[-1]
        assert last.startswith("error: ")
        return last


def run(*arguments: str, code: str = "", python: str = sys.executable, **environment: str) -> Result:
    """Run `local_runner.py`, or `code` instead, and wait for it."""
    command = [python, *(["-c", code] if code else ["local_runner.py"]), *arguments]
    kept = {name: value for name, value in os.environ.items() if name != "TF_CONFIG"}
    kept |= {"NO_PROXY": "127.0.0.1", **environment}
    done = subprocess.run(command, cwd=ROOT, env=kept, capture_output=True, encoding="utf-8", check=False)
    return Result(done.returncode, done.stdout, done.stderr)


def files(*directories: Path) -> dict[str, str]:
    """Return the digest of every file, by path."""
    found = [path for directory in directories for path in directory.rglob("*") if path.is_file()]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def results(root: Path) -> list[Path]:
    """Return the folders of a root that hold results of runs, without its lock and logs."""
    return [root / name for name in ("serving", "registry", "checkpoints", "pipeline", "corpus")]
