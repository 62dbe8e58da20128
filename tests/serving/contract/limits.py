"""Sizes of the text model, and the path of the metrics: for its builder and the cases, which need no TensorFlow."""

UNITS = 6
STATE_SIZE = UNITS + 2  # the recurrence, the last character, the number of samples
DEFAULT_CHARS = 40
MAX_CHARS = 1000
METRICS_PATH = "/contract/metrics"  # not the default path, at which there must be no page
MAX_SCORE_CHARS = 4000
