"""Measure how well a model foresees a text: characters, nats, perplexity, bits per character.

  python -m serving score my_text.txt
  python -m serving score shakespeare.txt --split eval     # the figure that the pipeline reports
  cat my_text.txt | python -m serving score - --json

The text is cleaned and cut as the pipeline does it for its evaluation: into passages of about 2,000 characters that
overlap by one, each read from a fresh start, the state carried through it.
"""

import argparse
import dataclasses
import json
import math
import sys

from components.errors import UserError
from components.ingest import passages
from pipeline.config.run import Config
from serving.commands.shared import config_options, input_text, model_source

_ROWS = 16  # passages in one request
_SPLITS = ("all", "train", "eval", "test")


@dataclasses.dataclass(frozen=True)
class Result:
    """A text's score.

    Attributes:
      characters: of the text that was measured.
      predicted: characters that were predicted: all but the first.
      nats: their summed negative log-likelihood.
      passages: pieces that the text was cut into.
      passage_length: most characters predicted in one of them.
    """

    text: str
    split: str
    model: str
    characters: int
    predicted: int
    nats: float
    nats_per_character: float
    perplexity: float
    bits_per_character: float
    passages: int
    passage_length: int

    def table(self) -> str:
        """The figures for people."""
        part = "" if self.split == "all" else f", {self.split} split"
        rows = [
            ("text", f"{self.text}{part}: {self.characters:,} characters, {self.predicted:,} predicted"),
            ("nats", f"{self.nats:,.1f} ({self.nats_per_character:.4f} per character)"),
            ("perplexity", f"{self.perplexity:.3f}"),
            ("bits per character", f"{self.bits_per_character:.3f}"),
            (
                "measured",
                f"in {self.passages:,} passage{'s' if self.passages > 1 else ''} of up to {self.passage_length:,} "
                "characters overlapping by one, each from a fresh start, as the pipeline evaluates",
            ),
            ("model", self.model),
        ]
        return "".join(f"{name:<20}{value}\n" for name, value in rows)


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
    add("--json", action="store_true", help="write one JSON object")
    model_source.add_arguments(parser)
    config_options.add_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Score and print."""
    config = config_options.load(options)
    pieces = _cut(input_text.document(options.file), options.split, config)
    if not sum(len(piece.text) - 1 for piece in pieces):
        raise UserError(
            "There is nothing to predict: the text, or this split of it, has fewer than two characters. Received: "
            f"{options.file} --split {options.split}"
        )
    nats, predicted = [], 0
    with model_source.chosen(options, config) as (model, where):
        print(where, file=sys.stderr, flush=True)
        for first in range(0, len(pieces), _ROWS):
            for score in model.score([piece.text for piece in pieces[first : first + _ROWS]]):
                nats.append(score.nll_sum)
                predicted += score.num_chars
            if sys.stderr.isatty():
                print(f"\r{min(first + _ROWS, len(pieces)):,} of {len(pieces):,} passages", end="", file=sys.stderr)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    mean = math.fsum(nats) / predicted
    result = Result(
        text="standard input" if options.file == "-" else options.file,
        split=options.split,
        model=where,
        characters=predicted + 1,
        predicted=predicted,
        nats=math.fsum(nats),
        nats_per_character=mean,
        perplexity=math.inf if mean > 709 else math.exp(mean),
        bits_per_character=mean / math.log(2),
        passages=len(pieces),
        passage_length=config.corpus.passage_length,
    )
    sys.stdout.write(json.dumps(dataclasses.asdict(result)) + "\n" if options.json else result.table())
    return 0


def _cut(text: str, split: str, config: Config) -> list[passages.Passage]:
    corpus = config.corpus
    held_out = (0.0, 0.0) if split == "all" else (corpus.eval_fraction, corpus.test_fraction)
    pieces = passages.cut("text", text, corpus.passage_length, *held_out)
    return [piece for piece in pieces if split in ("all", piece.split)]
