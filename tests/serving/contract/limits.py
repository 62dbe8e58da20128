"""Sizes of the text model that its builder and the cases must agree about, apart so that cases need no TensorFlow."""

UNITS = 6
STATE_SIZE = UNITS + 2  # the recurrence, the last character, the number of draws
DEFAULT_CHARS = 40
MAX_CHARS = 1000
