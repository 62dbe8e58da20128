"""Unicode normalization and case folding in a graph of core operations, from the tables of Python's `unicodedata`.

The definitions are those of `components.ingest.text.normalize`, which the corpus goes through; a graph that TensorFlow
Serving can run must not need Python or TensorFlow Text.
"""

import unicodedata
from collections.abc import Mapping
from functools import cache

import tensorflow as tf

_SIZE = 0x110000  # code points that exist
_YPOGEGRAMMENI, _IOTA = "\u0345", "\u03b9"  # the only mark that case folding makes a letter


@cache
def replacements(form: str | None, fold_case: bool) -> dict[int, str]:
    """Return what code points become before marks are put in order, for those that change; U+0345 stays a mark."""

    def replace(character: str) -> str:
        if form:
            character = unicodedata.normalize("NFD", character)
        if fold_case:
            kept = [part.casefold() for part in character.split(_YPOGEGRAMMENI)] if form else [character.casefold()]
            character = _YPOGEGRAMMENI.join(kept)
        return unicodedata.normalize("NFD", character) if form else character

    replaced = ((code_point, replace(chr(code_point))) for code_point in range(_SIZE))
    return {code_point: text for code_point, text in replaced if text != chr(code_point)}


@cache
def compositions() -> dict[tuple[int, int], int]:
    """Return the primary composite of each pair of code points that has one."""
    found = {}
    for code_point, text in replacements("nfc", False).items():
        if len(text) > 1 and unicodedata.normalize("NFC", text) == chr(code_point):
            found[ord(unicodedata.normalize("NFC", text[:-1])), ord(text[-1])] = code_point
    return found


@cache
def combining_classes() -> dict[int, int]:
    """Return the canonical combining classes that are not 0."""
    each = ((code_point, unicodedata.combining(chr(code_point))) for code_point in range(_SIZE))
    return {code_point: number for code_point, number in each if number}


class Normalizer(tf.Module):
    """Normalizes code points: decomposes, folds case, puts marks in canonical order and composes (UAX #15).

    Example: tests/transform/test_normalization.py.
    """

    def __init__(self, form: str | None, fold_case: bool) -> None:
        """Create the lookup tables.

        Args:
          form: `nfc`; None only folds case.
          fold_case: whether to replace characters by their full case folding.
        """
        super().__init__(name="normalizer")
        self._form = form
        changed = replacements(form, fold_case)
        texts = [[-1], *(list(map(ord, text)) for text in changed.values())]  # the first: for characters that stay
        self._joined = tf.constant([one for text in texts for one in text], tf.int64)
        self._lengths = tf.constant(list(map(len, texts)), tf.int64)
        self._places = _table({code_point: place for place, code_point in enumerate(changed, 1)}, 0)
        self._mark, self._letter = (ord(_YPOGEGRAMMENI), ord(_IOTA)) if fold_case else (-1, -1)
        if form:
            self._classes = _table(combining_classes(), 0)
            self._pairs = _table({first * _SIZE + second: one for (first, second), one in compositions().items()}, -1)

    def __call__(self, code_points: tf.RaggedTensor) -> tf.RaggedTensor:
        """Return the normalized code points, ragged int32 (batch, time)."""
        values, rows = tf.cast(code_points.flat_values, tf.int64), code_points.value_rowids()
        texts = tf.RaggedTensor.from_row_lengths(self._joined, self._lengths, validate=False)
        found = tf.gather(texts, self._places.lookup(values))  # ragged (characters, what each becomes)
        values = tf.where(found.flat_values < 0, tf.gather(values, found.value_rowids()), found.flat_values)
        rows = tf.gather(rows, found.value_rowids())
        if self._form:
            values = self._in_canonical_order(values, rows)
            values = tf.where(values == self._mark, tf.constant(self._letter, tf.int64), values)
            start = values, rows, tf.constant(True)
            shapes = tuple(map(tf.TensorShape, ([None], [None], [])))
            values, rows, _ = tf.while_loop(lambda *state: state[2], self._compose, start, shapes)
        count = code_points.nrows()
        return tf.RaggedTensor.from_value_rowids(tf.cast(values, tf.int32), rows, nrows=count, validate=False)

    def _in_canonical_order(self, values: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        """Sort the marks after each starter by their combining classes; both arguments are (characters,)."""
        classes = self._classes.lookup(values)
        starters = tf.cumsum(tf.cast(classes == 0, tf.int64))
        return tf.gather(values, tf.argsort((starters + rows) * 256 + classes, stable=True))

    def _compose(self, values: tf.Tensor, rows: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Let each starter take one character, the first that fits; return values, rows, and whether one was taken."""
        classes = self._classes.lookup(values)
        starts = tf.cast(classes == 0, tf.int64)
        places = tf.concat([[0], tf.where(classes == 0)[:, 0]], 0)
        starter = tf.gather(places, tf.cumsum(starts, exclusive=True))  # place of the last starter before
        index = tf.range(tf.size(values, tf.int64))
        before = tf.maximum(index - 1, 0)
        # A mark of the same class, or a starter, in between blocks; the marks are in the order of their classes.
        free = (before == starter) | (tf.gather(classes, before) < classes)
        same_text = (starter < index) & (tf.gather(rows, starter) == rows) & (tf.gather(starts, starter) == 1)
        composites = self._pairs.lookup(tf.gather(values, starter) * _SIZE + values)
        fits = free & same_text & (composites >= 0)
        count = tf.cumsum(tf.cast(fits, tf.int64))
        # A starter that fits the one before it is taken itself before it takes another.
        taken = fits & (count - tf.gather(count, starter) == 1) & ~tf.gather(fits, starter)
        places, composed = tf.boolean_mask(starter, taken), tf.boolean_mask(composites, taken)
        values = tf.tensor_scatter_nd_update(values, places[:, None], composed)
        return tf.boolean_mask(values, ~taken), tf.boolean_mask(rows, ~taken), tf.reduce_any(taken)


def _table(values: Mapping[int, int], default: int) -> tf.lookup.StaticHashTable:
    keys = tf.constant(list(values), tf.int64)
    initializer = tf.lookup.KeyValueTensorInitializer(keys, tf.constant(list(values.values()), tf.int64))
    return tf.lookup.StaticHashTable(initializer, default)
