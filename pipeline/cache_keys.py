"""Digests of this project's code and of its libraries' versions, so that a change of either invalidates TFX's cache.

TFX compares only the inputs and parameters of a component. It detects neither a change of the code behind a dotted path
nor an upgrade of a library.
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
    """Code that determines the output of a component, together with its inputs and parameters.

    >>> digest(Code(("transform",))) == digest(Code(("transform",), ("tensorflow",)))
    False

    Attributes:
      files: Python files of this project, or folders with all files in and below them.
      libraries: names of distributions whose versions are in the digest.
    """

    files: tuple[str, ...]
    libraries: tuple[str, ...] = ()


INGEST = Code(
    (
        "components/ingest/corpus_example_gen.py",
        "components/ingest/staging.py",
        "components/ingest/text.py",
        "components/ingest/passages.py",
        "components/ingest/documents.py",
        "components/ingest/rows.py",
    ),
    # StatisticsGen and ExampleValidator cannot have a digest, but they run again on new examples, like all later
    # components. Therefore the versions of the libraries that all components use are in this digest.
    ("tfx", "tensorflow-data-validation"),
)
GATE = Code(("components/validate/anomaly_gate.py",))
TRANSFORM = Code(("transform",), ("tensorflow", "tensorflow-transform"))
# Decides the weights, together with `seed`, `model` and `training` of the configuration: after a change of these, the
# Trainer trains again. Progress output and cluster start-up, for example, are not listed because they change no weight.
TRAINER = Code(
    (
        "trainer/checkpoint.py",
        "trainer/compiled",
        "trainer/data/documents.py",
        "trainer/fitting.py",
        "trainer/engine",
        "trainer/hardware.py",
        "trainer/hyperparameters.py",
        "trainer/loop.py",
        "trainer/model.py",
        "trainer/optimizer.py",
        "trainer/plan",
        "pipeline/config/parameters.py",
        "trainer/run.py",
        "trainer/warm_start.py",
        "trainer/data/unigram.py",
        "trainer/data/windows.py",
        "transform",
        "serving/graph/cells.py",
    ),
    ("tensorflow", "keras"),
)
TUNER = Code(("trainer/tuning.py",), ("keras-tuner", "scikit-learn"))
_REFERENCE = ("components/evaluate/perplexity.py", "components/evaluate/reference.py")
# The Trainer gets this digest as well. After a change that is only in these files, it exports the weights that it has.
EXPORT = Code(
    (
        *_REFERENCE,
        "trainer/export.py",
        "trainer/run.py",
        "components/evaluate/generalization.py",
        "components/evaluate/samples.py",
        "trainer/data/trigram.py",
        "trainer/generalization",
        "trainer/warm_start.py",
        "transform",
        "serving/graph",
    ),
    ("tensorflow",),
)
_REGISTRY = ("components/files.py", "components/models/registry.py", "components/models/versions.py")
DRIFT = Code(
    (
        "components/validate/drift.py",
        "components/validate/drift_check.py",
        "components/validate/text_statistics.py",
        "components/ingest/documents.py",
        *_REGISTRY,
    ),
    ("tensorflow-data-validation",),
)
BASELINE = Code(("components/evaluate/last_blessed.py", *_REGISTRY))
EVALUATOR = Code(
    (
        "components/evaluate/metrics.py",
        "components/evaluate/evaluator.py",
        "components/evaluate/extractors.py",
        "components/evaluate/hardest.py",
        "components/evaluate/generalization.py",
        *_REFERENCE,
        "components/files.py",
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
PUSHER = Code(
    (
        "components/release/pusher.py",
        "components/release/model_card.py",
        "components/release/markdown.py",
        "components/evaluate/evaluation.py",
        "components/evaluate/generalization.py",
        "components/evaluate/samples.py",
        "components/models/training.py",
        "components/validate/splits.py",
        "components/models/original.py",
        "components/validate/text_statistics.py",
        *_REFERENCE,
        *_REGISTRY,
    )
)


def digest(*codes: Code) -> str:
    """Return the digest of code and versions. Comments, docstrings and formatting do not change it."""
    total = hashlib.sha256()
    for code in codes:
        for place in code.files:
            path = ROOT / place
            for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
                total.update(f"{file.relative_to(ROOT)}\0{_without_docstrings(file)}\0".encode())
        for library in code.libraries:
            total.update(f"{library}\0{version(library)}\0".encode())
    return total.hexdigest()[:16]


@cache
def _without_docstrings(file: Path) -> str:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and node.body:
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)
