"""Compare the prompts in a server's request log with the text that the model was trained on.

  python -m serving up --request-log requests.jsonl --set serving.request_log.text=true
  python -m serving skew requests.jsonl
  python -m serving skew requests.jsonl.1 requests.jsonl --max-unknown 0.05 --json

Measured are the share of characters that the model does not know, and the perplexity of the prompts. Perplexity is
compared with that of the eval text: prompts are short and begin from the initial state, so some more is usual.
"""

import argparse
import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from components.command_line import counted, to_json, visible
from components.errors import UserError
from components.models import registry
from pipeline.config.places import Places
from pipeline.config.run import Config
from serving.client.unknown import split
from serving.commands.shared import config_options, model_source

ABOVE_BOUND = 3  # exit code
MAX_UNKNOWN, MAX_RATIO = 0.01, 3.0
_CONTINUES = ("generate", "generate_from_state", "serving_default", "sample", "sample_from_state")
_ROWS, _CHARACTERS = 64, 2_000  # in one request: prompts, and of a prompt
_SHOWN, _SHOWN_CHARACTERS = 5, 50


@dataclass(frozen=True)
class Skew:
    """What was measured. Example: tests/serving/commands/test_skew.py.

    Attributes:
      requests: lines of the log with prompts for this model.
      prompts: that were compared.
      characters: of all these prompts.
      unknown: how often the prompts have each character that the model does not know.
      perplexity: of the prompts together; None if none has two characters.
      hardest: perplexity and text of the prompts with the highest.
    """

    requests: int
    prompts: int
    characters: int
    unknown: Counter[str]
    perplexity: float | None
    hardest: list[tuple[float, str]]

    @property
    def unknown_share(self) -> float:
        """Share of the characters that the model does not know."""
        return self.unknown.total() / self.characters if self.characters else 0.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `skew`."""
    add = parser.add_argument
    add("logs", metavar="LOG", nargs="+", help="request logs with texts, the newest last")
    add("--prompts", type=int, default=1_000, metavar="N", help="compare the last N prompts; default %(default)s")
    add(
        "--max-unknown",
        type=float,
        default=MAX_UNKNOWN,
        metavar="SHARE",
        help="highest share of unknown characters; default %(default)g",
    )
    add(
        "--max-perplexity",
        type=float,
        metavar="P",
        help=f"highest perplexity of the prompts; default {MAX_RATIO:g} times that of the eval text in the registry",
    )
    add("--json", action="store_true", help="print one JSON object")
    model_source.add_arguments(parser)
    config_options.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Compare and print; the exit code is 3 above a bound."""
    if arguments.prompts < 1:
        raise UserError(f"--prompts should be at least 1. Received: --prompts {arguments.prompts}")
    config = config_options.load(arguments)
    found = [prompts for path in arguments.logs for prompts in _read(path, config.model_name)]
    texts = [prompt for prompts in found for prompt in prompts][-arguments.prompts :]
    if not texts:
        raise UserError(
            f"The log has no prompt for the model {config.model_name}: its requests began with none, or were for "
            f"scores or for another model. Received: {' '.join(arguments.logs)}"
        )
    expected = _expected(config, arguments.version)
    with model_source.chosen(arguments, config) as (model, where):
        skew = measure(model, texts, len(found))
    bound = arguments.max_perplexity
    if bound is None and expected is not None:
        bound = MAX_RATIO * expected
    reasons = []
    if skew.unknown_share > arguments.max_unknown:
        reasons.append(f"{skew.unknown_share:.2%} of the characters are unknown, more than {arguments.max_unknown:.2%}")
    if bound is not None and skew.perplexity is not None and skew.perplexity > bound:
        reasons.append(f"the perplexity of the prompts is {skew.perplexity:.3f}, more than {bound:.3f}")
    if arguments.json:
        print(to_json(_values(skew, where, expected, bound, reasons)))
    else:
        print(visible(_table(skew, where, expected, reasons)), end="")
    return ABOVE_BOUND if reasons else 0


def measure(model: model_source.Model, prompts: Sequence[str], requests: int) -> Skew:
    """Score prompts, each of which counts as often as it occurs."""
    counts = Counter(prompts)
    unknown = set(model.unknown(list(counts)))
    found = Counter[str]()
    for prompt, count in counts.items():
        for character in split(prompt):
            if character in unknown:
                found[character] += count
    nats, characters, hardest = 0.0, 0, list[tuple[float, str]]()
    shortened = sorted((prompt for prompt in counts if len(prompt) > 1), key=len)
    while rows := shortened[:_ROWS]:
        del shortened[:_ROWS]
        for prompt, score in zip(rows, model.score([prompt[:_CHARACTERS] for prompt in rows])):
            nats += counts[prompt] * score.nll_sum
            characters += counts[prompt] * score.num_chars
            if score.num_chars:
                hardest.append((score.perplexity, prompt))
    perplexity = math.exp(nats / characters) if characters else None
    total = sum(len(prompt) * count for prompt, count in counts.items())
    return Skew(requests, len(prompts), total, found, perplexity, sorted(hardest, reverse=True)[:_SHOWN])


def _read(path: str, model: str) -> Iterator[list[str]]:
    """Yield the prompts of each request that continues some."""
    try:
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith("\n"):
                    return  # the server is writing it
                yield from _prompts(line, model, f"line {number} of {path}")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"The request log cannot be read: {reason}. Received: {path}") from error


def _prompts(line: str, model: str, place: str) -> Iterator[list[str]]:
    try:
        entry = json.loads(line)
        if entry["model"] != model or entry["signature"] not in _CONTINUES or entry["status"] != "OK":
            return
        texts, rows = entry.get("texts_in"), int(entry["rows"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"This is no log of requests: {place} is not one of its JSON objects. Name a file that `python -m serving "
            f"up --request-log FILE` wrote. Received: {line.strip()[:80]}"
        ) from error
    if texts is None:
        raise UserError(
            "The log has no texts, so there is nothing to compare: serve with --set serving.request_log.text=true. "
            f"Received: {place}"
        )
    # The texts of `sample` are the prompts, then the stop texts. An empty prompt continues a state.
    if prompts := list(filter(None, islice(texts, rows))):
        yield prompts


def _expected(config: Config, version: int | None) -> float | None:
    """Return the perplexity on the eval text of this version, or of the newest one; None if it is not known."""
    entries = registry.entries(Places(config).registry)
    chosen = [entry for entry in entries if version in (None, entry.version)]
    return chosen[-1].perplexity if chosen else None


def _values(
    skew: Skew, where: str, expected: float | None, bound: float | None, reasons: Sequence[str]
) -> dict[str, Any]:
    return {
        "model": where,
        "requests": skew.requests,
        "prompts": skew.prompts,
        "characters": skew.characters,
        "unknown_share": skew.unknown_share,
        "unknown": dict(skew.unknown.most_common()),
        "perplexity": skew.perplexity,
        "eval_perplexity": expected,
        "max_perplexity": bound,
        "hardest": [{"perplexity": perplexity, "prompt": prompt} for perplexity, prompt in skew.hardest],
        "reasons": list(reasons),
    }


def _table(skew: Skew, where: str, expected: float | None, reasons: Sequence[str]) -> str:
    shown = ", ".join(f"{character!r} {count:,}" for character, count in skew.unknown.most_common(_SHOWN))
    perplexity = "-" if skew.perplexity is None else f"{skew.perplexity:.3f}"
    rows = [
        ("model", where),
        ("prompts", f"{skew.prompts:,} of {counted(skew.requests, 'request')}, {skew.characters:,} characters"),
        ("unknown characters", f"{skew.unknown_share:.2%}{f': {shown}' if shown else ''}"),
        ("perplexity", perplexity + (f" (eval text {expected:.3f})" if expected is not None else "")),
        *(("hardest prompt", f"{one:.1f} {text[:_SHOWN_CHARACTERS]!r}") for one, text in skew.hardest),
        *(("above bound", reason) for reason in reasons),
    ]
    return "".join(f"{name:<20}{value}\n" for name, value in rows)
