"""Generate text with an export and compare it with the training text."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from components.evaluate import samples
from components.evaluate.generalization import SPANS, Generalization
from serving.graph.generation_config import Limits
from trainer.data.documents import Split
from trainer.generalization import copies
from transform.vocabulary import END_OF_DOCUMENT, Vocabulary

Generate = Callable[..., dict[str, tf.Tensor]]  # the signature `generate`
_ROWS, _ROW_CHARS = 40, 512  # of one call of the model, at most; no span is longer than a row


def measure(
    generate: Generate,
    limits: Limits,
    vocabulary: Vocabulary,
    train: Split,
    losses: tuple[float, float],
    chars: int,
    seed: int,
) -> Generalization:
    """Measure how much of a model's text is copied from the train split.

    Args:
      generate: the model's signature of that name.
      limits: of one call of it.
      losses: nats per character of the train and of the eval split.
      chars: characters to generate, at least.

    Example: tests/trainer/generalization/test_measure.py.
    """
    length = min(_ROW_CHARS, limits.max_chars)
    rows = min(_ROWS, max(1, limits.max_batch_chars // length))
    texts = [vocabulary.encode(text) for text in _texts(generate, -(-chars // length), length, rows, seed)]
    end = vocabulary.encode(END_OF_DOCUMENT)[0]
    found = copies.find(train, texts, SPANS, None if end == vocabulary.out_of_vocabulary else end)
    return Generalization(
        *losses,
        generated_chars=sum(map(len, texts)),
        copied=dict(zip(SPANS, found.shares)),
        longest_copy=vocabulary.decode(found.longest),
        copied_from="" if found.document is None else train.documents[found.document],
        generated_documents=found.documents,
        copied_documents=found.copied_documents / found.documents if found.documents else None,
    )


def sample(generate: Generate, limits: Limits) -> dict[float, str]:
    """Generate a text from the start of a document or line at each temperature of `components.evaluate.samples`.

    Args:
      generate, limits: as in `measure`.
    """
    temperatures = sorted({min(one, limits.max_temperature) for one in samples.TEMPERATURES})
    rows = len(temperatures)
    length = min(samples.CHARS, limits.max_chars, limits.max_batch_chars // rows)
    if not length:
        return {}
    outputs = generate(
        prompt=tf.fill([rows], ""),
        num_chars=tf.fill([rows], length),
        temperature=tf.constant(temperatures),
        top_k=tf.fill([rows], 0),
        seed=tf.fill([rows], tf.constant(samples.SEED, tf.int64)),
    )
    texts: Any = outputs["text"].numpy()
    return dict(zip(temperatures, (text.decode() for text in texts)))


def _texts(generate: Generate, count: int, length: int, most_rows: int, seed: int) -> Iterator[str]:
    """Yield texts of `length` characters at temperature 1, each from the start of a document or line."""
    for first in range(0, count, most_rows):
        rows = min(most_rows, count - first)
        outputs = generate(
            prompt=tf.fill([rows], ""),
            num_chars=tf.fill([rows], length),
            temperature=tf.fill([rows], 1.0),
            top_k=tf.fill([rows], 0),
            seed=tf.constant(seed + first + np.arange(rows), tf.int64),
        )
        texts: Any = outputs["text"].numpy()
        yield from (text.decode() for text in texts)
