"""A model in this process, with operations of `serving.client.Client`: no server is needed."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from components.errors import UserError
from serving.client.errors import plain_message
from serving.client.options import GenerateArguments, GenerateOptions
from serving.client.values import Generated, Score
from serving.graph import signatures
from serving.graph.one_step import OneStep

if TYPE_CHECKING:
    from typing_extensions import Unpack

CHUNK = 256  # characters in one run of the graph, which no signal can interrupt


class LocalModel:
    """Generates and scores by calling the signatures of a SavedModel or of a `OneStep`.

    Example: tests/serving/commands/shared/test_local_model.py.
    """

    def __init__(self, signatures: Mapping[str, Any], state_size: int) -> None:
        self._signatures, self._state_size = signatures, state_size

    @classmethod
    def load(cls, directory: str) -> "LocalModel":
        """Load a SavedModel.

        Raises:
          UserError: it does not load, or it is another kind of model.
        """
        try:
            found = tf.saved_model.load(directory).signatures
            state = found["generate_from_state"].structured_input_signature[1]["state"]
        except Exception as error:
            reason = plain_message(str(error))[:300] or type(error).__name__
            raise UserError(
                f"The model cannot be loaded: {reason}. Choose another one with --version. Received: {directory}"
            ) from error
        return cls(found, int(state.shape[1]))

    @classmethod
    def of(cls, model: OneStep) -> "LocalModel":
        """Wrap a model that was not exported."""
        return cls(signatures.build(model), model.state_size)

    def generate(self, prompts: Sequence[str], **options: "Unpack[GenerateArguments]") -> list[Generated]:
        """Generate text after each prompt, as `Client.generate` does."""
        chosen = GenerateOptions(**options)
        texts = ["".join(parts) for parts in zip(*self._chunks(prompts, chosen, CHUNK))]
        seeds = chosen.seeds(len(prompts))
        return [Generated(text, seed) for text, seed in zip(texts or [""] * len(prompts), seeds)]

    def stream(self, prompt: str, *, chunk_chars: int = 16, **options: "Unpack[GenerateArguments]") -> Iterator[str]:
        """Generate text in chunks, as `Client.stream` does; small chunks cost nothing in this process."""
        return (chunk for (chunk,) in self._chunks([prompt], GenerateOptions(**options), chunk_chars))

    def score(self, texts: Sequence[str]) -> list[Score]:
        """Score each text, as `Client.score` does."""
        with _rejections():
            outputs = self._signatures["score"](text=tf.constant([text.encode() for text in texts], tf.string))
        rows = zip(*(outputs[name].numpy() for name in ("nll", "nll_sum", "num_chars")))
        return [Score(tuple(map(float, nll[:count])), float(total), int(count)) for nll, total, count in rows]

    def _chunks(self, prompts: Sequence[str], options: GenerateOptions, size: int) -> Iterator[list[str]]:
        """Yield the new text of each row, up to `size` characters at a time."""
        state = tf.zeros((len(prompts), self._state_size))
        for done in range(0, options.num_chars, size):
            part = replace(options, num_chars=min(size, options.num_chars - done))
            texts, state = self._continue(prompts if not done else [""] * len(prompts), state, part)
            yield texts

    def _continue(
        self, prompts: Sequence[str], state: tf.Tensor, options: GenerateOptions
    ) -> tuple[list[str], tf.Tensor]:
        rows = len(prompts)
        with _rejections():
            outputs = self._signatures["generate_from_state"](
                prompt=tf.constant([prompt.encode() for prompt in prompts], tf.string),
                state=state,  # (rows, state_size)
                num_chars=tf.fill([rows], options.num_chars),
                temperature=tf.fill([rows], float(options.temperature)),
                top_k=tf.fill([rows], options.top_k),
                seed=tf.constant(options.seeds(rows), tf.int64),
            )
        return [text.decode("utf-8") for text in outputs["text"].numpy()], outputs["state"]


@contextmanager
def _rejections() -> Iterator[None]:
    """Turn a failed assertion of the graph into a `UserError`."""
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        raise UserError(f"The model rejects the request: {plain_message(error.message)}") from error
