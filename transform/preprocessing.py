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
    tokens = tf.ragged.map_flat_values(tf.strings.as_string, code_points, width=6, fill="0")
    # A passage starts with the last character of the previous one: count it once. Without ragged arithmetic, whose
    # graph takes longer to build than everything else here.
    positions = tf.ragged.range(tokens.row_lengths()).flat_values  # (characters of the batch,)
    starts_document = tf.repeat(inputs["position"] == 0, tokens.row_lengths())  # (characters of the batch,)
    counted = tf.boolean_mask(tokens.flat_values, (positions > 0) | starts_document)
    vocabulary = tft.vocabulary(
        counted,
        top_k=custom_config["max_size"],
        frequency_threshold=custom_config["min_count"] if custom_config["min_count"] > 1 else None,
        vocab_filename=VOCABULARY_NAME,
    )
    ids = tft.apply_vocabulary(tokens, vocabulary, num_oov_buckets=1)
    return {"ids": ids, "document": inputs["document"], "position": inputs["position"]}
