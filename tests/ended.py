"""Runs of the real command line, and what is on disk before and after them."""

import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Ended:
    """What a run has said."""

    code: int
    out: str
    error: str

    def paragraph(self) -> str:
        """The mistake's one paragraph, after which nothing is said."""
        said = self.out + self.error
        assert self.code == 2, said
        assert "Traceback" not in said
        assert said.count("error: ") == 1
        last = said.splitlines()[-1]
        assert last.startswith("error: ")
        return last


def run(*arguments: str, code: str = "", python: str = sys.executable, **environment: str) -> Ended:
    """Run `local_runner.py`, or the code in its place, to its end."""
    command = [python, *(["-c", code] if code else ["local_runner.py"]), *arguments]
    kept = {name: value for name, value in os.environ.items() if name != "TF_CONFIG"}
    kept |= {"NO_PROXY": "127.0.0.1", **environment}
    done = subprocess.run(command, cwd=ROOT, env=kept, capture_output=True, encoding="utf-8", check=False)
    return Ended(done.returncode, done.stdout, done.stderr)


def files(*directories: Path) -> dict[str, str]:
    """Digest of every file by path."""
    found = [path for directory in directories for path in directory.rglob("*") if path.is_file()]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def former(root: Path) -> list[Path]:
    """Where a root keeps what runs have made: not its lock and logs."""
    return [root / name for name in ("serving", "registry", "checkpoints", "pipeline", "corpus")]
