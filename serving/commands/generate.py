r"""Write text after a prompt.

  python -m serving generate "ROMEO:" --chars 500 --temperature 0.8 --top-k 40 --seed 7
  python -m serving generate "ROMEO:" --stream --stop '\n\n'
  python -m serving generate "ROMEO:" "JULIET:" --samples 3 --json > texts.jsonl
  python -m serving generate --prompt-file - < beginning.txt

The new text goes to standard output, all else to standard error.
"""

import argparse
import json
import re
import sys
import time
from collections.abc import Iterator

from components.errors import UserError
from serving.client import stop
from serving.client.values import NUM_CHARS, TEMPERATURE, TOP_K, Controls, texts_of
from serving.commands.shared import config_options, input_text, model_source

_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `generate`."""
    add = parser.add_argument
    add("prompts", nargs="*", metavar="PROMPT", help="text to go on from; none: begin as a line begins")
    add("--prompt-file", metavar="FILE|-", help="the prompt is this file's text, or standard input's")
    add("--chars", type=int, default=NUM_CHARS, metavar="N", help="characters to write; default %(default)s")
    add(
        "--temperature",
        type=float,
        default=TEMPERATURE,
        metavar="T",
        help="0 always takes the most likely character, 1 draws as the model foresees; default %(default)s",
    )
    add("--top-k", type=int, default=TOP_K, metavar="K", help="draw among the K most likely characters; 0: all")
    add("--seed", type=int, metavar="N", help="the same seed gives the same text; default a new one")
    add("--stop", metavar="TEXT", help=r"end before the first occurrence; \n, \t, \r and \\ are understood")
    add("--samples", type=int, default=1, metavar="N", help="texts for each prompt, with seeds seed, seed + 1, ...")
    add("--stream", action="store_true", help="show the text while it is written, one sample after the other")
    add("--echo", action="store_true", help="write the prompt before the text, too")
    add("--json", action="store_true", help="write one JSON object a line: prompt, seed, text")
    model_source.add_arguments(parser)
    config_options.add_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Generate and write."""
    config = config_options.load(options)
    prompts, controls = _wanted(options)
    with model_source.chosen(options, config) as (model, where):
        _note(f"{where}; seed {controls.seeds[0]}")
        began = time.monotonic()
        written = 0
        for row, (prompt, chunks) in enumerate(zip(prompts, _rows(model, prompts, controls, options))):
            if options.json:
                text = "".join(chunks)
                line = {"prompt": prompt, "seed": controls.seeds[row], "text": text}
                print(json.dumps(line, ensure_ascii=False), flush=True)
                written += len(text)
            else:
                if len(prompts) > 1:
                    _note(f"--- {row + 1} of {len(prompts)}, seed {controls.seeds[row]}")
                written += _show(prompt, chunks, options.echo, options.stream)
        _note(f"{written:,} characters in {time.monotonic() - began:.2f} s")
    return 0


def _wanted(options: argparse.Namespace) -> tuple[list[str], Controls]:
    """A prompt for each row, and how to generate."""
    prompts = list(options.prompts)
    if options.prompt_file is not None:
        if prompts:
            raise UserError(
                "Give prompts or a file with one, not both. "
                f"Received: {prompts[0]!r} and --prompt-file {options.prompt_file}"
            )
        prompts = [input_text.text(options.prompt_file, "prompt")]
    if options.samples < 1:
        raise UserError(f"There must be at least one sample. Received: --samples {options.samples}")
    prompts = [prompt for prompt in prompts or [""] for _ in range(options.samples)]
    try:
        controls = Controls.of(len(prompts), options.chars, options.temperature, options.top_k, options.seed)
        return texts_of(prompts, "prompt"), controls
    except ValueError as error:
        raise UserError(str(error).replace("num_chars", "--chars")) from None


def _rows(
    model: model_source.Model, prompts: list[str], controls: Controls, options: argparse.Namespace
) -> Iterator[Iterator[str]]:
    """The chunks of each row: all rows in one request, or one row after the other where the end is open or watched."""
    chars, temperature, top_k = controls.num_chars, controls.temperature, controls.top_k
    if options.stop or options.stream:
        end = _unescaped(options.stop or "")
        for prompt, seed in zip(prompts, controls.seeds):
            chunks = model.stream(prompt, num_chars=chars, temperature=temperature, top_k=top_k, seed=seed)
            yield stop.until(chunks, end)
    else:
        seeds = controls.seeds
        for text in model.generate(prompts, num_chars=chars, temperature=temperature, top_k=top_k, seed=seeds):
            yield iter([text])


def _show(prompt: str, chunks: Iterator[str], echo: bool, at_once: bool) -> int:
    """Write a text and the end of its last line; returns the characters generated."""
    if echo:
        sys.stdout.write(prompt)
    elif sys.stdout.isatty() and sys.stderr.isatty():
        sys.stderr.write(prompt)  # so that it can be read as one text, and is not in a file all the same
        sys.stderr.flush()
    count, last = 0, ""
    try:
        for chunk in chunks:
            sys.stdout.write(chunk)
            count, last = count + len(chunk), chunk[-1:]
            if at_once:
                sys.stdout.flush()
    finally:
        if last != "\n":
            sys.stdout.write("\n")  # also after Ctrl-C: what is said next gets a line of its own
        sys.stdout.flush()
    return count


def _unescaped(text: str) -> str:
    """The text with the escapes that a shell leaves as they are."""
    return re.sub(r"\\([ntr\\])", lambda match: _ESCAPES[match[1]], text)


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
