"""An export that answers the lines of a shard, in batches of rows of similar length, within its limits."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import tensorflow as tf

from serving.bulk import lines
from serving.bulk.lines import BadLine, Row, Task
from serving.client.errors import Unsupported, plain_message
from serving.client.options import GenerateOptions
from serving.client.stop import StopString
from serving.client.values import Score
from serving.graph import generation_config

BATCH_ROWS = 64  # every export takes as many
# Of exports that do not state them: the defaults of the configuration.
_MAX_BATCH_CHARS, _MAX_SCORE_CHARS = 2_000_000, 500_000
_REJECTED = (tf.errors.InvalidArgumentError, tf.errors.ResourceExhaustedError)


@dataclass(frozen=True)
class _Ready:
    """A row, its options as far as the export has them, and its length, to which a batch is padded."""

    row: Row
    options: GenerateOptions | None
    length: int


class Model:
    """A loaded export.

    Example: tests/serving/bulk/test_inference.py.
    """

    def __init__(self, directory: str) -> None:
        """Load the SavedModel in this directory."""
        self._signatures: Mapping[str, Any] = tf.saved_model.load(directory).signatures
        self._limits = generation_config.read(directory)

    def answer(self, first_line: int, contents: Sequence[bytes], task: Task) -> list[bytes]:
        """Return an output line for each line, in their order.

        Args:
          first_line: number of the first line in the input, from 1.
          contents: consecutive lines of the input.
          task: what to do with them.
        """
        answers: dict[int, bytes] = {}
        ready = []
        for number, content in enumerate(contents, first_line):
            try:
                ready.append(self._ready(lines.parse(number, content, task)))
            except BadLine as bad:
                answers[number] = lines.error(number, str(bad), bad.id)
        call = self._score if task.defaults is None else self._generate
        for batch in self._batches(ready, task):
            answers |= zip((one.row.line for one in batch), _rows(call, batch))
        return [answers[number] for number in range(first_line, first_line + len(contents))]

    def _ready(self, row: Row) -> _Ready:
        if row.options is None:
            return _Ready(row, None, len(row.text))
        options, limits = row.options, self._limits
        try:
            if limits and options.num_chars > limits.max_chars:
                raise ValueError(
                    f"num_chars must be from 0 to {limits.max_chars}, as this model was exported. "
                    f"Received: num_chars={options.num_chars}"
                )
            if limits and options.temperature > limits.max_temperature:
                raise ValueError(
                    f"temperature must be from 0 to {limits.max_temperature:g}, as this model was exported. "
                    f"Received: temperature={options.temperature}"
                )
            adapted = options.adapted(self._signatures, "The model")
        except (ValueError, Unsupported) as error:
            raise BadLine(str(error), row.id) from None
        return _Ready(row, adapted, max(options.num_chars, len(row.text)))

    def _batches(self, ready: Sequence[_Ready], task: Task) -> Iterator[list[_Ready]]:
        """Yield rows for one call each: with the same signature, sorted by length, within the bound of the export."""
        limits = self._limits
        if task.defaults is None:
            bound = (limits and limits.max_score_chars) or _MAX_SCORE_CHARS
        else:
            bound = (limits and limits.max_batch_chars) or _MAX_BATCH_CHARS
        for _, group in groupby(sorted(ready, key=lambda one: (_kind(one), one.length)), _kind):
            batch: list[_Ready] = []
            for one in group:  # by ascending length
                if batch and (len(batch) == BATCH_ROWS or (len(batch) + 1) * one.length > bound):
                    yield batch
                    batch = []
                batch.append(one)
            yield batch

    def _generate(self, batch: Sequence[_Ready]) -> list[bytes]:
        options = [one.options for one in batch if one.options]
        inputs = {
            "prompt": tf.constant([one.row.text.encode() for one in batch], tf.string),
            "num_chars": tf.constant([one.num_chars for one in options], tf.int32),
            "temperature": tf.constant([float(one.temperature) for one in options], tf.float32),
            "top_k": tf.constant([one.top_k for one in options], tf.int32),
            "seed": tf.constant([one.seeds(1)[0] for one in options], tf.int64),
        }
        if options[0].controls:
            inputs |= {
                "top_p": tf.constant([float(one.top_p) for one in options], tf.float32),
                "repetition_penalty": tf.constant([float(one.repetition_penalty) for one in options], tf.float32),
                "stop": tf.constant([one.stop.encode() for one in options], tf.string),
            }
        outputs = self._signatures[options[0].signature](**inputs)
        stopped = outputs["stopped"].numpy().tolist() if "stopped" in outputs else [False] * len(batch)
        return [
            _generated(one.row, text.decode("utf-8"), found)
            for one, text, found in zip(batch, outputs["text"].numpy(), stopped)
        ]

    def _score(self, batch: Sequence[_Ready]) -> list[bytes]:
        texts = tf.constant([one.row.text.encode() for one in batch], tf.string)
        outputs = self._signatures["score"](text=texts)
        sums, counts = (outputs[name].numpy() for name in ("nll_sum", "num_chars"))
        return [
            lines.scored(one.row, Score((), float(total), int(count))) for one, total, count in zip(batch, sums, counts)
        ]


def _kind(one: _Ready) -> tuple[str, bool]:
    """Rows of different kinds do not share a batch: the slower signature, and top-k, would apply to all rows."""
    return (one.options.signature, one.options.top_k > 0) if one.options else ("score", False)


def _rows(call: Callable[[Sequence[_Ready]], list[bytes]], batch: Sequence[_Ready]) -> list[bytes]:
    """Call with a batch; if the graph rejects it, with its halves, down to the rows that are the reason."""
    try:
        return call(batch)
    except _REJECTED as error:
        if len(batch) == 1:
            row = batch[0].row
            return [lines.error(row.line, f"The model rejects the line: {plain_message(error.message)}", row.id)]
    half = len(batch) // 2
    return [*_rows(call, batch[:half]), *_rows(call, batch[half:])]


def _generated(row: Row, text: str, stopped: bool) -> bytes:
    assert row.options is not None
    stop = StopString(row.options.stop)
    text = stop.read(text, last=True, stopped=stopped)
    return lines.generated(row, text, stop.found)
