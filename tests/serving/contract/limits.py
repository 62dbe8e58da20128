"""Sizes of the text model, shared by its builder and the cases; separate, so that the cases need no TensorFlow."""

UNITS = 6
STATE_SIZE = UNITS + 2  # the recurrence, the last character, the number of samples
DEFAULT_CHARS = 40
MAX_CHARS = 1000
