"""Measure the log-likelihood of a text under a model: characters, nats, perplexity, bits per character.

  python -m serving score my_text.txt
  python -m serving score shakespeare.txt --split eval     # the figure that the pipeline reports
  cat my_text.txt | python -m serving score - --json
  echo "ROMEO: But soft" | python -m serving score - --alternatives 5

The text is cleaned and cut as the pipeline does for its evaluation: into passages of about 2,000 characters that
overlap by one. Each passage is read from the initial state, and the state is carried through it.
"""

import argparse
import json
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from components.command_line import counted, visible
from components.errors import UserError
from components.ingest import documents, passages
from components.ingest.text import Reading, normalize
from pipeline.config.run import Config
from serving.client import unknown
from serving.client.values import Alternative, Score, as_top_n
from serving.commands.shared import config_options, input_text, model_source, unknown_characters

_ROWS = 16  # passages in one request, at most
_SHOWN = 10  # characters in an error message, at most
_CELLS = 10  # of a terminal, for a character with its probability
_ESCAPES = {"\n": r"\n", "\t": r"\t", "\r": r"\r", "\\": r"\\", " ": "␣"}
_HEADER = f"{'character':<{_CELLS}}{'chance':>6}{'nats':>8}  most likely\n"
_SPLITS = ("all", "train", "eval", "test")
_FORMS = ("nfc", False), (None, True), ("nfc", True)  # in which a model may read texts


class Prediction(NamedTuple):
    """A character of the text, its negative log-likelihood in nats, and the characters that were most likely."""

    character: str
    nats: float
    alternatives: list[Alternative]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `score`."""
    add = parser.add_argument
    add("file", metavar="FILE|-", help="text in UTF-8, may be gzipped; - reads standard input")
    add(
        "--split",
        choices=_SPLITS,
        default="all",
        help="only the part of the text that the pipeline puts into this split; default all",
    )
    add(
        "--alternatives",
        type=int,
        metavar="N",
        help="print each predicted character with the N characters that the model expected most",
    )
    add("--json", action="store_true", help="print one JSON object")
    model_source.add_arguments(parser)
    config_options.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Score and print."""
    config = config_options.load(arguments)
    corpus = config.corpus
    reading = Reading(corpus.column, corpus.normalization, corpus.fold_case)
    pieces = _cut(input_text.document(arguments.file, reading), arguments.split, config)
    if not sum(len(piece.text) - 1 for piece in pieces):
        raise UserError(
            "There is nothing to predict: the text, or this split of it, has fewer than two characters. Received: "
            f"{arguments.file} --split {arguments.split}"
        )
    try:
        count = 0 if arguments.alternatives is None else as_top_n(arguments.alternatives)
    except ValueError as error:
        raise UserError(str(error).replace("top_n", "--alternatives")) from None
    scores: list[Score] = []
    predictions: list[Prediction] = []  # if they are not printed at once
    prints = count > 0 and not arguments.json
    rows = min(_ROWS, config.export.max_score_chars // (config.corpus.passage_length + 1))
    rows = max(1, rows // max(1, count))  # a response has so many characters for each one of the text
    shows_progress = sys.stderr.isatty() and not prints
    with model_source.chosen(arguments, config) as (model, where):
        print(where, file=sys.stderr, flush=True)
        for first in range(0, len(pieces), rows):
            texts = [piece.text for piece in pieces[first : first + rows]]
            found, predicted = _score(model, texts, count)
            scores += found
            if prints:
                sys.stdout.writelines([*([] if first else [_HEADER]), *map(_line, predicted)])
            else:
                predictions += predicted
            if shows_progress:
                print(f"\r{len(scores):,} of {len(pieces):,} passages", end="", file=sys.stderr)
        if shows_progress:
            print("\r\033[K", end="", file=sys.stderr)
        whole = [piece.text[1 if number else 0 :] for number, piece in enumerate(pieces)]  # they overlap by one
        unknown_characters.note(model, whole, "text")
    total = Score((), math.fsum(score.nll_sum for score in scores), sum(score.num_chars for score in scores))
    result = {
        "text": "standard input" if arguments.file == "-" else arguments.file,
        "split": arguments.split,
        "model": where,
        "characters": total.num_chars + 1,
        "predicted": total.num_chars,  # all characters but the first
        "nats": total.nll_sum,
        "nats_per_character": total.nll_sum / total.num_chars,
        "perplexity": total.perplexity,
        "bits_per_character": total.bits_per_character,
        "passages": len(pieces),
        "passage_length": config.corpus.passage_length,  # most characters predicted in a passage
    }
    if predictions:
        result["predictions"] = [one._asdict() for one in predictions]
    if prints:
        print()
    sys.stdout.write(json.dumps(result) + "\n" if arguments.json else visible(_table(result)))
    return 0


def _score(model: model_source.Model, texts: Sequence[str], top_n: int) -> tuple[list[Score], Iterator[Prediction]]:
    """Score some passages; unless `top_n` is 0, list the predictions of all their characters but the first."""
    if top_n:
        _check_form(model, texts)
    scores = model.score(texts)
    places = model.alternatives(texts, top_n) if top_n else [[] for _ in texts]
    each = zip(texts, scores, places)
    predictions = (Prediction(*one) for text, score, row in each for one in zip(text[1:], score.nll, row[1:]))
    return [replace(score, nll=()) for score in scores], predictions


def _check_form(model: model_source.Model, texts: Sequence[str]) -> None:
    """Refuse texts of which the model reads some character as several, or several as one: the rest would shift."""
    for characters in unknown.batches(texts):
        asked = [one for one in characters if any(len(normalize(one, *form)) != len(one) for form in _FORMS)]
        found = model.score([f"\n{one}" for one in asked]) if asked else []
        if changed := [one for one, score in zip(asked, found) if score.num_chars != len(one)]:
            raise UserError(
                "The model reads another number of characters than the text has, because it normalizes texts. Set what "
                "it was trained with, --set corpus.normalization=nfc or --set corpus.fold_case=true or both, so that "
                f"this command does so, too. Received: {', '.join(map(ascii, changed[:_SHOWN]))}"
            )


def _line(prediction: Prediction) -> str:
    """Format one predicted character for reading."""
    from rich.cells import set_cell_size  # late: only this needs it

    likely = (set_cell_size(f"{_shown(one)} {chance:.1%}", _CELLS) for one, chance in prediction.alternatives)
    character = set_cell_size(_shown(prediction.character), _CELLS)
    return f"{character}{math.exp(-prediction.nats):>6.1%}{prediction.nats:>8.3f}  {'  '.join(likely)}".rstrip() + "\n"


def _shown(character: str) -> str:
    """A character as a terminal can show it: control characters and the like as escapes."""
    if character in _ESCAPES:
        return _ESCAPES[character]
    return character if character.isprintable() else character.encode("unicode_escape").decode()


def _table(result: dict[str, Any]) -> str:
    """Format the result for reading."""
    part = "" if result["split"] == "all" else f", {result['split']} split"
    passages = counted(result["passages"], "passage")
    rows = {
        "text": "{text}{part}: {characters:,} characters, {predicted:,} predicted",
        "nats": "{nats:,.1f} ({nats_per_character:.4f} per character)",
        "perplexity": "{perplexity:.3f}",
        "bits per character": "{bits_per_character:.3f}",
        "measured": "in {counted} of up to {passage_length:,} characters overlapping by one, each "
        "from the initial state, as the pipeline evaluates",
        "model": "{model}",
    }
    return "".join(f"{name:<20}{row.format(**result, part=part, counted=passages)}\n" for name, row in rows.items())


def _cut(text: str, split: str, config: Config) -> list[passages.Passage]:
    corpus = config.corpus
    held_out = (0.0, 0.0) if split == "all" else (corpus.eval_fraction, corpus.test_fraction)
    rule = documents.FILE if split == "all" else corpus.documents
    pieces = passages.cut("text", text, corpus.passage_length, *held_out, rule)
    return [piece for piece in pieces if split in ("all", piece.split)]
