"""A model in this process, with operations of `serving.client.Client`: no server is needed."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from components.errors import UserError
from serving.client import unknown
from serving.client.errors import plain_message
from serving.client.options import GenerateArguments, GenerateOptions, unsupported
from serving.client.stop import StopString
from serving.client.values import Alternative, Generated, Score, as_top_n
from serving.graph import generation_config, signatures
from serving.graph.one_step import OneStep

if TYPE_CHECKING:
    from typing_extensions import Unpack

_NAME = "The model in this process"
CHUNK = 256  # characters in one run of the graph, which no signal can interrupt


class LocalModel:
    """Generates and scores by calling the signatures of a SavedModel or of a `OneStep`.

    Example: tests/serving/commands/shared/test_local_model.py.
    """

    def __init__(self, signatures: Mapping[str, Any], max_chars: int = CHUNK) -> None:
        """Take signatures, and the most characters that one call of them generates."""
        self._signatures, self._max_chars = signatures, max_chars

    @classmethod
    def load(cls, directory: str) -> "LocalModel":
        """Load a SavedModel.

        Raises:
          UserError: it does not load, or it is another kind of model.
        """
        try:
            found = tf.saved_model.load(directory).signatures
            _state_size(found["generate_from_state"])
        except Exception as error:
            reason = plain_message(str(error))[:300] or type(error).__name__
            raise UserError(
                f"The model cannot be loaded: {reason}. Choose another one with --version. Received: {directory}"
            ) from error
        limits = generation_config.read(directory)
        return cls(found, limits.max_chars if limits else CHUNK)

    @classmethod
    def of(cls, model: OneStep) -> "LocalModel":
        """Wrap a model that was not exported."""
        return cls(signatures.build(model), model.limits.max_chars)

    def generate(self, prompts: Sequence[str], **options: "Unpack[GenerateArguments]") -> list[Generated]:
        """Generate text after each prompt, as `Client.generate` does."""
        chosen = GenerateOptions(**options)
        stops = [StopString(chosen.stop) for _ in prompts]
        texts = ["".join(parts) for parts in zip(*self._chunks(prompts, chosen, CHUNK, stops))]
        rows = zip(texts or [""] * len(prompts), chosen.seeds(len(prompts)), stops)
        return [Generated(text, seed, stop.found) for text, seed, stop in rows]

    def stream(self, prompt: str, *, chunk_chars: int = 16, **options: "Unpack[GenerateArguments]") -> Iterator[str]:
        """Generate text in chunks, as `Client.stream` does; small chunks cost nothing in this process."""
        chosen = GenerateOptions(**options)
        chunks = self._chunks([prompt], chosen, chunk_chars, [StopString(chosen.stop)])
        return (chunk for (chunk,) in chunks if chunk)

    def score(self, texts: Sequence[str]) -> list[Score]:
        """Score each text, as `Client.score` does."""
        with _rejections():
            outputs = self._signatures["score"](text=tf.constant([text.encode() for text in texts], tf.string))
        rows = zip(*(outputs[name].numpy() for name in ("nll", "nll_sum", "num_chars")))
        return [Score(tuple(map(float, nll[:count])), float(total), int(count)) for nll, total, count in rows]

    def alternatives(self, texts: Sequence[str], top_n: int = 5) -> list[list[list[Alternative]]]:
        """List the most likely characters at each place of each text, as `Client.alternatives` does."""
        top_n = as_top_n(top_n)
        if "alternatives" not in self._signatures:
            raise unsupported(_NAME, {"alternatives": top_n})
        with _rejections():
            outputs = self._signatures["alternatives"](
                text=tf.constant([text.encode() for text in texts], tf.string), top_n=tf.fill([len(texts)], top_n)
            )
        rows = zip(*(outputs[name].numpy() for name in ("characters", "probabilities", "num_chars")))
        return [
            [
                [Alternative(character.decode("utf-8"), float(p)) for character, p in zip(*place) if character]
                for place in zip(characters[:count], probabilities)
            ]
            for characters, probabilities, count in rows
        ]

    def unknown(self, texts: Sequence[str]) -> list[str]:
        """List the characters that the model does not know, as `Client.unknown` does."""
        found = []
        for batch in unknown.batches(texts):
            with _rejections():
                examples = tf.constant([unknown.example(one) for one in batch])
                counts = self._signatures[signatures.EVAL_SIGNATURE](examples=examples)["num_unknown"]
            found += [one for one, count in zip(batch, counts.numpy()) if count]
        return found

    def _chunks(
        self, prompts: Sequence[str], options: GenerateOptions, size: int, stops: Sequence[StopString]
    ) -> Iterator[list[str]]:
        """Yield the new text of each row, up to `size` characters at a time, until all rows have ended."""
        options, size = options.adapted(self._signatures, _NAME), min(size, self._max_chars)
        state = tf.zeros((len(prompts), _state_size(self._signatures[options.state_signature])))
        for done in range(0, options.num_chars, size):
            part = min(size, options.num_chars - done)
            counts = [0 if stop.found else part for stop in stops]
            if not any(counts):
                return
            texts, state, stopped = self._continue(prompts if not done else [""] * len(prompts), state, counts, options)
            last = done + part == options.num_chars
            each = zip(counts, stops, texts, stopped)
            yield ["" if not count else stop.read(text, last, found) for count, stop, text, found in each]

    def _continue(
        self, prompts: Sequence[str], state: tf.Tensor, counts: Sequence[int], options: GenerateOptions
    ) -> tuple[list[str], tf.Tensor, list[bool]]:
        rows = len(prompts)
        inputs = {
            "prompt": tf.constant([prompt.encode() for prompt in prompts], tf.string),
            "state": state,  # (rows, state size)
            "num_chars": tf.constant(counts, tf.int32),
            "temperature": tf.fill([rows], float(options.temperature)),
            "top_k": tf.fill([rows], options.top_k),
            "seed": tf.constant(options.seeds(rows), tf.int64),
        }
        if options.controls:
            inputs |= {
                "top_p": tf.fill([rows], float(options.top_p)),
                "repetition_penalty": tf.fill([rows], float(options.repetition_penalty)),
                "stop": tf.fill([rows], options.stop),
            }
        with _rejections():
            outputs = self._signatures[options.state_signature](**inputs)
        stopped = outputs["stopped"].numpy().tolist() if "stopped" in outputs else [False] * rows
        return [text.decode("utf-8") for text in outputs["text"].numpy()], outputs["state"], stopped


def _state_size(signature: Any) -> int:
    """Width of the state that a signature takes, of a SavedModel or as `signatures.build` returns it."""
    loaded = isinstance(signature, tf.types.experimental.ConcreteFunction)
    specs = signature.structured_input_signature[1].values() if loaded else signature.input_signature
    return next(int(spec.shape[1]) for spec in specs if spec.name == "state")


@contextmanager
def _rejections() -> Iterator[None]:
    """Turn a failed assertion of the graph into a `UserError`."""
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        raise UserError(f"The model rejects the request: {plain_message(error.message)}") from error
