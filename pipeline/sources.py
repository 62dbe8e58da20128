"""Digests of the project's own code, so that TFX's cache notices an edit behind a dotted path."""

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# What decides the output of each component; a file or a whole folder.
INGEST = (
    "components/corpus_example_gen.py",
    "components/staging.py",
    "components/text.py",
    "components/passages.py",
)
GATE = ("components/anomaly_gate.py",)
TRANSFORM = ("transform",)
TRAINER = (
    "trainer/checkpoint.py",
    "trainer/data.py",
    "trainer/hardware.py",
    "trainer/loop.py",
    "trainer/model.py",
    "trainer/optimizer.py",
    "trainer/recurrent.py",
    "trainer/run.py",
    "trainer/windows.py",
    "transform",
)
EXPORT = (
    "trainer/export.py",
    "trainer/run.py",
    "trainer/trigram.py",
    "transform",
    "serving/limits.py",
    "serving/one_step.py",
    "serving/sampling.py",
    "serving/signatures.py",
    "serving/warmup.py",
)
BASELINE = ("components/last_blessed.py", "components/versions.py", "components/registry.py")
EVALUATOR = ("components/metrics.py", "components/evaluator.py", "components/versions.py")
INFRA = (
    "components/infra_check.py",
    "components/infra_probe.py",
    "components/model_server.py",
    "serving/signatures.py",
    "serving/warmup.py",
)
PUSHER = ("components/pusher.py", "components/evaluation.py", "components/versions.py", "components/registry.py")


def digest(places: Iterable[str]) -> str:
    """Digest of Python files: of what they do, so that comments, docstrings and layout do not count."""
    whole = hashlib.sha256()
    for place in places:
        path = ROOT / place
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            whole.update(f"{file.relative_to(ROOT)}\0{_meaning(file)}\0".encode())
    return whole.hexdigest()[:16]


@cache
def _meaning(file: Path) -> str:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and node.body:
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)
