"""The text files of the repository that are written by hand."""

import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Generated, or written elsewhere.
_OTHERS = ("LICENSE", "components/sample/the_lamp_at_harrow_quay.txt", "docs/configuration.md", "uv.lock")


@cache
def own_texts() -> dict[str, str]:
    """Return the files that git tracks or would add, by their name from the root; skip the test outside git."""
    if not (ROOT / ".git").exists():
        pytest.skip("no git repository")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    contents = {name: (ROOT / name).read_bytes() for name in names if name not in _OTHERS and (ROOT / name).is_file()}
    return {name: content.decode() for name, content in contents.items() if b"\0" not in content}
