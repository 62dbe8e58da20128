"""A model in this process, with the operations of `serving.client.blocking.Client`: for when there is no server."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf

from components.errors import UserError
from serving.client.errors import refusal
from serving.client.values import NUM_CHARS, TEMPERATURE, TOP_K, Continuation, Controls, Generated, Score
from serving.graph import signatures
from serving.graph.one_step import OneStep

CHUNK = 256  # characters in one run of the graph, which no signal can interrupt


class LocalModel:
    """Generates and scores by calling the signatures of a SavedModel or of a `OneStep`."""

    def __init__(self, signatures: Mapping[str, Any], state_size: int) -> None:
        self._signatures, self._state_size = signatures, state_size

    @classmethod
    def load(cls, directory: str) -> "LocalModel":
        """Load a SavedModel.

        Raises:
          UserError: it does not load, or is another kind of model.
        """
        try:
            found = tf.saved_model.load(directory).signatures
            state = found["generate_from_state"].structured_input_signature[1]["state"]
        except Exception as error:
            first = next(iter(str(error).strip().splitlines()), type(error).__name__)[:300]
            raise UserError(
                f"The model cannot be loaded: {first}. Choose another one with --version. Received: {directory}"
            ) from error
        return cls(found, int(state.shape[1]))

    @classmethod
    def of(cls, model: OneStep) -> "LocalModel":
        """Use a model that was not exported."""
        return cls(signatures.build(model), model.state_size)

    def generate(
        self,
        prompts: Sequence[str],
        *,
        num_chars: int = NUM_CHARS,
        temperature: float = TEMPERATURE,
        top_k: int = TOP_K,
        seed: int | Sequence[int] | None = None,
    ) -> list[Generated]:
        """As `Client.generate`."""
        controls = Controls.of(len(prompts), num_chars, temperature, top_k, seed)
        written = ["".join(parts) for parts in zip(*self._chunks(prompts, controls, CHUNK))]
        return [Generated(text, seed) for text, seed in zip(written or [""] * len(prompts), controls.seeds)]

    def stream(
        self,
        prompt: str,
        *,
        num_chars: int = NUM_CHARS,
        temperature: float = TEMPERATURE,
        top_k: int = TOP_K,
        seed: int | None = None,
        chunk_chars: int = 16,
    ) -> Iterator[str]:
        """As `Client.stream`; here small chunks cost nothing."""
        controls = Controls.of(1, num_chars, temperature, top_k, seed)
        return (chunk for (chunk,) in self._chunks([prompt], controls, chunk_chars))

    def generate_from_state(
        self,
        prompts: Sequence[str],
        states: Sequence[Sequence[float]] | None = None,
        *,
        num_chars: int = 1,
        temperature: float = TEMPERATURE,
        top_k: int = TOP_K,
        seed: int | Sequence[int] | None = None,
    ) -> list[Continuation]:
        """As `Client.generate_from_state`."""
        controls = Controls.of(len(prompts), num_chars, temperature, top_k, seed)
        fresh = tf.zeros((len(prompts), self._state_size))
        texts, after = self._continue(prompts, fresh if states is None else tf.constant(states, tf.float32), controls)
        return [
            Continuation(Generated(text, seed), state.tolist())
            for text, seed, state in zip(texts, controls.seeds, after.numpy())
        ]

    def score(self, texts: Sequence[str]) -> list[Score]:
        """As `Client.score`."""
        outputs = self._signatures["score"](text=tf.constant([text.encode() for text in texts], tf.string))
        rows = zip(*(outputs[name].numpy() for name in ("nll", "nll_sum", "num_chars")))
        return [Score(tuple(map(float, nll[:count])), float(total), int(count)) for nll, total, count in rows]

    def _chunks(self, prompts: Sequence[str], controls: Controls, size: int) -> Iterator[list[str]]:
        """New text of each row, up to `size` characters at a time."""
        state = tf.zeros((len(prompts), self._state_size))
        for done in range(0, controls.num_chars, size):
            now = min(size, controls.num_chars - done)
            part = Controls(now, controls.temperature, controls.top_k, controls.seeds)
            texts, state = self._continue(prompts if not done else [""] * len(prompts), state, part)
            yield texts

    def _continue(self, prompts: Sequence[str], state: tf.Tensor, controls: Controls) -> tuple[list[str], tf.Tensor]:
        rows = len(prompts)
        try:
            outputs = self._signatures["generate_from_state"](
                prompt=tf.constant([prompt.encode() for prompt in prompts], tf.string),
                state=state,
                num_chars=tf.fill([rows], controls.num_chars),
                temperature=tf.fill([rows], controls.temperature),
                top_k=tf.fill([rows], controls.top_k),
                seed=tf.constant(controls.seeds, tf.int64),
            )
        except tf.errors.InvalidArgumentError as error:
            raise UserError(f"The model refuses: {refusal(error.message)}") from error
        return [text.decode("utf-8") for text in outputs["text"].numpy()], outputs["state"]
