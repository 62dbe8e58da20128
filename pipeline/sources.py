"""Digests of the project's own code and of its libraries' versions, so that TFX's cache notices a change of either.

TFX takes a component's inputs and parameters for all that decides its output, and sees neither the code behind a dotted
path nor an upgrade.
"""

import ast
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Code:
    """What decides the output of a component besides its inputs and parameters.

    Attributes:
      files: Python files of this project, or whole folders.
      libraries: names of distributions whose version counts.
    """

    files: tuple[str, ...]
    libraries: tuple[str, ...] = ()


INGEST = Code(
    (
        "components/ingest/corpus_example_gen.py",
        "components/ingest/staging.py",
        "components/ingest/text.py",
        "components/ingest/passages.py",
    ),
    # StatisticsGen and ExampleValidator have no place for a digest of their own, but run again on new examples, as all
    # does that comes after: the versions that concern everything stand here.
    ("tfx", "tensorflow-data-validation"),
)
GATE = Code(("components/validate/anomaly_gate.py",))
TRANSFORM = Code(("transform",), ("tensorflow", "tensorflow-transform"))
TRAINER = Code(
    (
        "trainer/checkpoint.py",
        "trainer/data/documents.py",
        "trainer/fitting.py",
        "trainer/engine",
        "trainer/hardware.py",
        "trainer/hyperparameters.py",
        "trainer/loop.py",
        "trainer/model.py",
        "trainer/optimizer.py",
        "trainer/run.py",
        "trainer/warm_start.py",
        "trainer/data/windows.py",
        "transform",
        "serving/graph/cells.py",
    ),
    ("tensorflow", "keras"),
)
TUNER = Code(("trainer/tuning.py",), ("keras-tuner",))
_REFERENCE = ("components/evaluate/perplexity.py", "components/evaluate/reference.py")
EXPORT = Code(
    (
        *_REFERENCE,
        "trainer/export.py",
        "trainer/run.py",
        "trainer/data/trigram.py",
        "trainer/warm_start.py",
        "transform",
        "serving/graph/cells.py",
        "serving/graph/generation_config.py",
        "serving/graph/network.py",
        "serving/graph/one_step.py",
        "serving/graph/sampling.py",
        "serving/graph/scoring.py",
        "serving/graph/signatures.py",
        "serving/graph/warmup.py",
        "serving/graph/weights.py",
    ),
    ("tensorflow",),
)
_REGISTRY = ("components/files.py", "components/models/registry.py", "components/models/versions.py")
BASELINE = Code(("components/evaluate/last_blessed.py", *_REGISTRY))
EVALUATOR = Code(
    (
        "components/evaluate/metrics.py",
        "components/evaluate/evaluator.py",
        *_REFERENCE,
        "components/models/versions.py",
    ),
    ("tensorflow", "tensorflow-model-analysis"),
)
INFRA = Code(
    (
        "components/release/infra_check.py",
        "components/lean_imports.py",
        "serving/probe",
        "serving/client",
        "serving/graph/signatures.py",
        "serving/graph/warmup.py",
    ),
    ("tensorflow",),
)
PUSHER = Code(("components/release/pusher.py", "components/evaluate/evaluation.py", *_REFERENCE, *_REGISTRY))


def digest(*codes: Code) -> str:
    """Digest of what the code does, in which comments, docstrings and layout do not count, and of the versions."""
    whole = hashlib.sha256()
    for code in codes:
        for place in code.files:
            path = ROOT / place
            for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
                whole.update(f"{file.relative_to(ROOT)}\0{_meaning(file)}\0".encode())
        for library in code.libraries:
            whole.update(f"{library}\0{version(library)}\0".encode())
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
