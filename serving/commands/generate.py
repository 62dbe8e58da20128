r"""Generate text after a prompt.

  python -m serving generate "ROMEO:" --chars 500 --temperature 0.8 --top-k 40 --seed 7
  python -m serving generate "ROMEO:" --temperature 1 --top-p 0.9 --repetition-penalty 1.2
  python -m serving generate "ROMEO:" --stream --stop '\n\n'
  python -m serving generate "ROMEO:" "JULIET:" --samples 3 --json > texts.jsonl
  python -m serving generate --prompt-file - < beginning.txt

The generated text goes to standard output, everything else to standard error.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

from components.command_line import counted, print_error, to_json, utf8, visible
from components.errors import UserError
from components.ingest.documents import END
from serving.client.errors import ServerError
from serving.client.options import GenerateOptions
from serving.client.stream import CHUNK_LIMIT
from serving.client.values import as_texts
from serving.commands.shared import config_options, generation_options, input_text, model_source, unknown_characters


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `generate`."""
    add = parser.add_argument
    add("prompts", nargs="*", type=utf8, metavar="PROMPT", help="text to continue; default: start of a line")
    add("--prompt-file", metavar="FILE|-", help="read the prompt from this file, or from standard input")
    generation_options.add_arguments(add)
    add("--samples", type=int, default=1, metavar="N", help="texts for each prompt, with seeds seed, seed + 1, ...")
    add("--stream", action="store_true", help="print the text while it is generated, one sample after the other")
    add("--echo", action="store_true", help="print the prompt before the text")
    add("--json", action="store_true", help="print one JSON object per line: prompt, seed, text")
    model_source.add_arguments(parser)
    config_options.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Generate and print."""
    config = config_options.load(arguments)
    prompts = _prompts(arguments)
    with generation_options.as_user_errors():
        options = generation_options.read(arguments)
        prompts, seeds = as_texts(prompts, "prompt"), options.seeds(len(prompts))
    with model_source.chosen(arguments, config) as (model, where):
        print_error(f"{where}; seed {seeds[0]}")
        start = time.monotonic()
        count = 0
        for row, (prompt, seed, chunks) in enumerate(zip(prompts, seeds, _texts(model, prompts, options, arguments))):
            if arguments.json:
                text = "".join(chunks)
                line = {"prompt": prompt, "seed": seed, "text": text}
                print(to_json(line), flush=True)
                count += len(text)
            else:
                if len(prompts) > 1:
                    print_error(f"--- {row + 1} of {len(prompts)}, seed {seed}")
                count += _print(prompt, chunks, arguments.echo, arguments.stream)
        print_error(f"{counted(count, 'character')} in {time.monotonic() - start:.2f} s")
        unknown_characters.note(model, list(dict.fromkeys(prompts)), "prompt" if len(set(prompts)) == 1 else "prompts")
        if options.stop:
            unknown_characters.note_stop(model, options.stop)
    return 0


def _prompts(arguments: argparse.Namespace) -> list[str]:
    """One prompt for each text to generate."""
    prompts = list(arguments.prompts)
    if arguments.prompt_file is not None:
        if prompts:
            raise UserError(
                "Give prompts or a file with one, not both. "
                f"Received: {prompts[0]!r} and --prompt-file {arguments.prompt_file}"
            )
        prompts = [input_text.document(arguments.prompt_file)]
    if arguments.samples < 1:
        raise UserError(f"There must be at least one sample. Received: --samples {arguments.samples}")
    return [prompt for prompt in prompts or [""] for _ in range(arguments.samples)]


def _texts(
    model: model_source.Model, prompts: list[str], options: GenerateOptions, arguments: argparse.Namespace
) -> Iterator[Iterator[str]]:
    """Yield the chunks of each text: streamed one after the other with --stream, else from one request.

    One text with --stop is streamed as well, so that an older export generates no more than one chunk after it.
    """
    if arguments.stream or (options.stop and len(prompts) == 1):
        for prompt, seed in zip(prompts, options.seeds(len(prompts))):
            yield model.stream(prompt, **vars(replace(options, seed=seed)))
    else:
        try:
            texts = model.generate(prompts, **vars(options))
        except ServerError as error:
            limit = CHUNK_LIMIT.search(error.message)
            if arguments.chars is not None or limit is None:
                raise
            texts = model.generate(prompts, **vars(replace(options, num_chars=int(limit[1]))))
        yield from (iter([text]) for text in texts)


def _print(prompt: str, chunks: Iterator[str], echo: bool, flush: bool) -> int:
    """Print a text and the end of its last line; returns the number of characters generated."""
    on_terminal = sys.stdout.isatty()
    if echo:
        sys.stdout.write(visible(prompt) if on_terminal else prompt)
    elif on_terminal and sys.stderr.isatty():
        sys.stderr.write(visible(prompt))  # readable as one text on a terminal, and still not in a file
        sys.stderr.flush()
    count, last = 0, ""
    on_line = on_terminal or (echo and bool(prompt))  # something that a failure must not continue
    try:
        for chunk in chunks:
            on_line = True
            shown = chunk.replace(END, "\n")
            sys.stdout.write(visible(shown) if on_terminal else shown)
            count, last = count + len(chunk), chunk[-1:]
            if flush:
                sys.stdout.flush()
        on_line = True
    finally:
        if on_line and last != "\n":
            sys.stdout.write("\n")  # after Ctrl-C as well: the next message starts on a new line
        sys.stdout.flush()
    return count
