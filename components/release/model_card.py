"""Model card of a pushed version: a Markdown file in the format of Hugging Face, and the same facts as JSON.

The Pusher writes it next to the SavedModel, in `assets.extra`, which TF Serving ignores.
"""

import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import yaml

from components.evaluate import samples
from components.evaluate.evaluation import Figures
from components.models import training, versions
from components.release import markdown
from components.validate import splits

_DOCUMENTS = 50  # rows of the table
_LICENSE = (
    "The license of the training text is not recorded. Check it before you publish the model or texts that it "
    "generates: a model can repeat parts of its training text, see Memorization."
)
_USE = (
    "Generates text in the style of its training text, character by character, and scores how likely a text is. "
    "It does not follow instructions and knows no facts; its texts are not reviewed."
)


@dataclass(frozen=True)
class Origin:
    """Where a version comes from.

    Attributes:
      model: its name.
      version: its number.
      pushed_at: time, ISO 8601, UTC.
      digest: of the SavedModel without the card.
      corpus: the name that the user gave the training text.
      eval_digest: of the text of the evaluation; empty if it is not known.
      spans: of the corpus, with commas between them; empty if it has none.
      statistics, model_run: directories of these artifacts, which may be missing.
    """

    model: str
    version: int
    pushed_at: str
    digest: str
    corpus: str
    eval_digest: str = ""
    spans: str = ""
    statistics: str = ""
    model_run: str = ""


def facts(export: str, figures: Figures, origin: Origin) -> dict[str, Any]:
    """Return what the card states, JSON values.

    Args:
      export: the SavedModel.
      figures: of its evaluation.
    """
    trained = training.read(origin.model_run) if origin.model_run else None
    stated = asdict(figures)
    del stated["reasons"], stated["baseline_by_document"]
    return {
        "model": origin.model,
        "version": origin.version,
        "pushed_at": origin.pushed_at,
        "model_digest": origin.digest,
        "intended_use": _USE,
        "data": {
            "corpus": origin.corpus,
            "spans": origin.spans or None,
            "train_digest": _data_digest(export),
            "eval_digest": origin.eval_digest or None,
            "splits": [split._asdict() for split in splits.read(origin.statistics)] if origin.statistics else [],
            "license": _LICENSE,
        },
        "evaluation": _finite(stated),
        "training": None if trained is None else {**asdict(trained), "frequencies": len(trained.frequencies)},
        "samples": {f"{temperature:g}": text for temperature, text in samples.read(export).items()},
    }


def files(facts: Mapping[str, Any]) -> dict[str, str]:
    """Return the texts of both files by their names in the version.

    Example: tests/components/release/test_model_card.py.
    """
    return {
        versions.CARD: text(facts),
        versions.CARD_JSON: json.dumps(facts, indent=2, ensure_ascii=False, allow_nan=False) + "\n",
    }


def text(facts: Mapping[str, Any]) -> str:
    """Return the Markdown file: a YAML header with the figures in Hugging Face's `model-index`, and sections."""
    header = yaml.safe_dump(_header(facts), sort_keys=False, allow_unicode=True)
    name, version, data, figures = facts["model"], facts["version"], facts["data"], facts["evaluation"]
    parts = [
        f"---\n{header}---",
        f"# {markdown.inline(name)}, version {version}",
        f"A character-level recurrent language model, pushed {facts['pushed_at']}. {facts['intended_use']}",
        "## Data",
        markdown.table(
            ("", "value"), [("corpus", data["corpus"]), *_given(data, "spans", "train_digest", "eval_digest")]
        ),
        markdown.table(
            ("split", "documents", "passages", "characters"), [tuple(one.values()) for one in data["splits"]]
        ),
        data["license"],
        "## Evaluation",
        markdown.table(("figure", "value"), _figures(figures)),
        *_documents(figures["by_document"]),
        "## Memorization",
        _memorization(figures["generalization"]),
        "## Training",
        _training(facts["training"]),
        "## Samples",
        *(f"Temperature {temperature}:\n\n{markdown.fenced(text)}" for temperature, text in facts["samples"].items()),
        "" if facts["samples"] else "None was generated.",
        "## How to use it",
        f"With TF Serving or `python -m serving up`:\n\n{markdown.fenced(_curl(name, version), 'bash')}",
        f"With the Python client:\n\n{markdown.fenced(_client(name, version), 'python')}",
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _header(facts: Mapping[str, Any]) -> dict[str, Any]:
    figures, data = facts["evaluation"], facts["data"]
    metrics = [
        {"type": kind, "value": figures[kind], "name": name}
        for kind, name in (("perplexity", "Perplexity per character"), ("bits_per_character", "Bits per character"))
        if figures[kind] is not None
    ]
    dataset = {"type": "text", "name": data["corpus"], "split": "eval"}
    if data["eval_digest"]:
        dataset["revision"] = data["eval_digest"]
    result = {"task": {"type": "text-generation"}, "dataset": dataset, "metrics": metrics}
    return {
        "license": "other",
        "license_name": "not-recorded",
        "library_name": "tensorflow",
        "pipeline_tag": "text-generation",
        "tags": ["character-level", "recurrent", "tfx", "tensorflow-serving"],
        **({"model-index": [{"name": facts["model"], "results": [result]}]} if metrics else {}),
    }


def _figures(figures: Mapping[str, Any]) -> list[tuple[str, Any]]:
    measured = figures["generalization"] or {}
    rows = [
        ("perplexity of the eval split", figures["perplexity"]),
        ("bits per character", figures["bits_per_character"]),
        ("perplexity of a character trigram model", figures["reference_perplexity"]),
        ("perplexity of the model blessed before, on the same text", figures["baseline_perplexity"]),
        ("eval characters", figures["eval_chars"]),
        ("share of characters that the vocabulary lacks", figures["out_of_vocabulary_rate"]),
        ("nats per character of the train split", measured.get("train_nats")),
        ("nats per character of the eval split, state carried", measured.get("eval_nats")),
    ]
    return [(name, value) for name, value in rows if value is not None]


def _documents(by_document: Mapping[str, float | None]) -> list[str]:
    if len(by_document) < 2:
        return []
    hardest = sorted(by_document.items(), key=lambda item: -(item[1] if item[1] is not None else math.inf))
    left_out = len(hardest) - _DOCUMENTS
    note = f"{left_out:,} more with lower perplexity are in {os.path.basename(versions.CARD_JSON)}."
    return [markdown.table(("document", "perplexity"), hardest[:_DOCUMENTS]), note if left_out > 0 else ""]


def _memorization(measured: Mapping[str, Any] | None) -> str:
    if not measured:
        return "Not measured."
    shares = [f"{share:.2%} of {span} characters" for span, share in measured["copied"].items() if share is not None]
    generated = f"{measured['generated_chars']:,} characters generated at temperature 1"
    if shares:
        found = f"Share of the spans in {generated} that occur in the training text: {', '.join(shares)}."
    else:
        found = f"In {generated} no document is long enough to compare spans of it with the training text."
    if measured["longest_copy"]:
        source = markdown.inline(measured["copied_from"])
        found += f" The longest copy has {len(measured['longest_copy'])} characters, from {source}:\n\n"
        found += markdown.fenced(measured["longest_copy"])
    return found


def _training(trained: Mapping[str, Any] | None) -> str:
    if not trained:
        return "Not recorded."
    rows = [
        ("network", trained["network"]),
        ("parameters", trained["parameters"]),
        ("steps", trained["steps"]),
        ("seconds", trained["seconds"]),
        ("CPU-seconds", trained["cpu_seconds"]),
        ("hardware", trained["hardware"]),
    ]
    return markdown.table(("", "value"), rows)


def _curl(name: str, version: int) -> str:
    body = '{"signature_name": "generate", "instances": [{"prompt": "The ", "num_chars": 200, "temperature": 0.8, '
    body += '"top_k": 0, "seed": 1}]}'
    return f"curl -d '{body}' http://127.0.0.1:8501/v1/models/{name}/versions/{version}:predict"


def _client(name: str, version: int) -> str:
    return (
        "from serving.client import Client\n\n"
        f'with Client("http://127.0.0.1:8501", model="{name}", version={version}) as client:\n'
        '    print(client.generate("The ", num_chars=200, temperature=0.8, seed=1))'
    )


def _given(values: Mapping[str, Any], *names: str) -> list[tuple[str, Any]]:
    return [(name.replace("_", " "), values[name]) for name in names if values[name]]


def _data_digest(export: str) -> str | None:
    from tensorflow.io import gfile

    path = os.path.join(export, "assets.extra", "trained_on.json")
    if not gfile.exists(path):
        return None
    with gfile.GFile(path) as file:
        digest: str | None = json.loads(file.read()).get("data")
    return digest


def _finite(value: Any) -> Any:
    """Replace infinity and NaN, which JSON cannot represent, by None."""
    if isinstance(value, Mapping):
        return {key: _finite(one) for key, one in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
