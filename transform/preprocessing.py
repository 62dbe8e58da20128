"""The preprocessing function of the TFX Transform component: text to ids over a vocabulary of code points."""

from typing import Any

import tensorflow as tf
import tensorflow_transform as tft

VOCABULARY_NAME = "characters"


def preprocessing_fn(inputs: dict[str, tf.Tensor], custom_config: dict[str, Any]) -> dict[str, Any]:
    """Convert passages into ids.

    The vocabulary has zero-padded decimal code points ("000010" for a newline), because a text vocabulary silently
    drops tokens that contain a newline or carriage return. The most frequent character has id 0; all characters
    outside the vocabulary share the id after the last one: those that the train split does not contain, and those that
    `max_size` or `min_count` cuts off.

    Args:
      inputs: `text`, `document`, `position` and `length`, each of shape (batch,).
      custom_config: `max_size` (int or None) and `min_count` (int) of the vocabulary.

    Returns:
      `ids`: ragged int64 (batch, characters); `document` and `position`: (batch,).
    """
    code_points = tf.strings.unicode_decode(inputs["text"], "UTF-8")  # (batch, characters)
    # Strings are made, counted and looked up once for each different character of a batch: Transform would pass every
    # single one of a text to Beam.
    points, index = tf.unique(code_points.flat_values)  # (different,), (characters of the batch,)
    tokens = tf.strings.as_string(points, width=6, fill="0")
    # A passage starts with the last character of the previous one: count it once. Without ragged arithmetic, whose
    # graph takes longer to build than everything else here.
    positions = tf.ragged.range(code_points.row_lengths()).flat_values  # (characters of the batch,)
    starts_document = tf.repeat(inputs["position"] == 0, code_points.row_lengths())  # (characters of the batch,)
    counted = tf.cast((positions > 0) | starts_document, tf.int64)
    counts = tf.math.unsorted_segment_sum(counted, index, tf.size(points))  # (different,)
    vocabulary = tft.vocabulary(
        tf.boolean_mask(tokens, counts > 0),
        weights=tf.boolean_mask(counts, counts > 0),
        top_k=custom_config["max_size"],
        frequency_threshold=custom_config["min_count"] if custom_config["min_count"] > 1 else None,
        vocab_filename=VOCABULARY_NAME,
    )
    ids = tf.gather(tft.apply_vocabulary(tokens, vocabulary, num_oov_buckets=1), index)
    return {"ids": code_points.with_flat_values(ids), "document": inputs["document"], "position": inputs["position"]}
