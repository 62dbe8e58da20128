"""The models that the contract suite expects on a server, and the `models.config` that names them.

    python -m tests.serving.contract.models DIR [DIR_ON_SERVER]

writes them and `monitoring.config`, and prints the command that starts TF Serving with them; DIR_ON_SERVER is the path
of DIR on that server, for example in a container. The models:

- `contract`, versions 1 and 2, labels stable=1 and canary=2: one signature for each conversion of types and shapes.
  `serving_default` is x / 2 + 1 + version, so a response identifies the version.
- `latest!#`, the same files without a version policy: only version 2 is served. The name needs percent-encoding.
- `text`, versions 3 and 7, labels stable=3 and canary=7: an export of this project with random weights.
"""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from serving.graph import signatures, warmup
from serving.graph.one_step import Defaults, OneStep, Weights
from tests.serving.contract.limits import DEFAULT_CHARS, MAX_CHARS, MAX_SCORE_CHARS, METRICS_PATH, UNITS
from transform.vocabulary import Vocabulary

VERSIONS = {"contract": (1, 2), "text": (3, 7)}
CHARACTERS = "\n !,.abcdefghijklmnopqrstuvwxyzABTé日😀\0"

ECHOED = {
    "float": tf.float32,
    "double": tf.float64,
    "int8": tf.int8,
    "int16": tf.int16,
    "int32": tf.int32,
    "int64": tf.int64,
    "uint8": tf.uint8,
    "uint32": tf.uint32,
    "uint64": tf.uint64,
    "bool": tf.bool,
    "string": tf.string,
    "half": tf.float16,
}


class Contract(tf.Module):
    """The module that `tf.saved_model.save` requires."""


def contract_signatures(version: int) -> dict[str, Any]:
    """Signatures by name."""

    def signature(function: Callable[..., dict[str, tf.Tensor]], **inputs: tuple[Any, tf.DType]) -> Any:
        specs = [tf.TensorSpec(shape, dtype, name) for name, (shape, dtype) in inputs.items()]
        return tf.function(function, input_signature=specs, autograph=False)

    def echo(dtype: tf.DType) -> Any:
        return signature(lambda x: {"y": tf.identity(x)}, x=(None, dtype))

    def positive(x: tf.Tensor) -> dict[str, tf.Tensor]:
        with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(x > 0), ["x must be positive", x])]):
            return {"y": tf.identity(x)}

    rows, matrix = ([None], tf.float32), ([None, 2], tf.float32)
    return {
        **{f"echo_{name}": echo(dtype) for name, dtype in ECHOED.items()},
        "serving_default": signature(lambda x: {"y": x / 2 + (1.0 + version)}, x=rows),
        "bytes": signature(lambda x: {"y_bytes": tf.identity(x)}, x=(None, tf.string)),
        "text_and_bytes": signature(
            lambda x: {"text": tf.identity(x), "raw_bytes": tf.identity(x)}, x=([None], tf.string)
        ),
        "half_output": signature(lambda x: {"y": tf.cast(x, tf.float16)}, x=rows),
        "two_inputs": signature(lambda a, b: {"total": a + tf.cast(b, tf.float32)}, a=rows, b=([None], tf.int32)),
        "two_outputs": signature(lambda x: {"double": x * 2, "square": x * x}, x=rows),
        "two_each": signature(
            lambda a, b: {"joined": tf.strings.join([a, b]), "length": tf.strings.length(a)},
            a=([None], tf.string),
            b=([None], tf.string),
        ),
        "scalar": signature(lambda x: {"y": x + 1}, x=([], tf.float32)),
        "scalar_output": signature(lambda x: {"mean": tf.reduce_mean(x)}, x=rows),
        "inconsistent": signature(lambda x: {"as_many": tf.identity(x), "more": tf.concat([x, [0.0]], 0)}, x=rows),
        "no_rows": signature(lambda x: {"y": x[:0]}, x=rows),
        "no_inputs": signature(lambda: {"y": tf.constant([1.0])}),
        "column": signature(lambda x: {"y": x / 2 + 2}, x=([None, 1], tf.float32)),
        "matmul": signature(lambda x: {"y": tf.matmul(x, [[1.0], [10.0]])}, x=matrix),
        "positive": signature(positive, x=rows),
    }


def text_model(seed: int) -> OneStep:
    """An export of this project with random weights."""
    random = np.random.default_rng(seed)

    def normal(*shape: int) -> Any:
        return np.asarray(random.standard_normal(shape), np.float32)

    ids, embedding = len(CHARACTERS) + 1, 4
    gru = (normal(embedding, 3 * UNITS), normal(UNITS, 3 * UNITS), normal(2, 3 * UNITS))
    weights = Weights(normal(ids, embedding), [gru], normal(UNITS, ids), normal(ids))
    defaults = Defaults(DEFAULT_CHARS, 0.8, top_k=0, max_chars=MAX_CHARS, max_score_chars=MAX_SCORE_CHARS)
    return OneStep(weights, Vocabulary(tuple(map(ord, CHARACTERS))), defaults)


def config(base: str) -> str:
    """The text of `models.config`; `base` is the directory of the models on the server."""

    def model(name: str, directory: str, versions: tuple[int, ...] = (), labels: tuple[str, ...] = ()) -> str:
        policy = "".join(f" versions: {version}" for version in versions)
        lines = [
            f"    name: '{name}'",
            f"    base_path: '{base}/{directory}'",
            "    model_platform: 'tensorflow'",
            *([f"    model_version_policy {{ specific {{{policy} }} }}"] if versions else []),
            *(f"    version_labels {{ key: '{key}' value: {value} }}" for key, value in zip(labels, versions)),
        ]
        return "\n".join(["  config {", *lines, "  }"])

    labels = ("stable", "canary")
    models = [
        model("contract", "contract", VERSIONS["contract"], labels),
        model("latest!#", "contract"),
        model("text", "text", VERSIONS["text"], labels),
    ]
    return "\n".join(["model_config_list {", *models, "}", ""])


def build(directory: Path, on_server: str | None = None) -> Path:
    """Write models, `models.config` and `monitoring.config` to a directory; return the path of `models.config`."""
    for name in VERSIONS:
        shutil.rmtree(directory / name, ignore_errors=True)
    for version in VERSIONS["contract"]:
        tf.saved_model.save(
            Contract(), str(directory / "contract" / str(version)), signatures=contract_signatures(version)
        )
    for version in VERSIONS["text"]:
        model, place = text_model(version), str(directory / "text" / str(version))
        signatures.save(model, place)
        warmup.write(place, "text", model.state_size)
    path = directory / "models.config"
    path.write_text(config(on_server or str(directory.resolve())))
    (directory / "monitoring.config").write_text(f'prometheus_config {{ enable: true path: "{METRICS_PATH}" }}\n')
    return path


def main(arguments: list[str]) -> None:
    """Write the models that the command line names."""
    if len(arguments) not in (1, 2):
        raise SystemExit(__doc__)
    directory = Path(arguments[0])
    path = build(directory, *arguments[1:])
    seen = path.parent if len(arguments) == 1 else arguments[1]
    print(
        "tensorflow_model_server --port=8500 --rest_api_port=8501 --allow_version_labels_for_unavailable_models=true "
        f"--model_config_file={seen}/models.config --monitoring_config_file={seen}/monitoring.config\n"
        "pytest tests/serving/contract --serving-url http://127.0.0.1:8501"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
