"""Compare a new text with the one that the last blessed model was trained on, by TFDV's drift comparators."""

from collections import Counter
from dataclasses import dataclass

import tensorflow_data_validation as tfdv
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2
from tensorflow_metadata.proto.v0.statistics_pb2 import DatasetFeatureStatisticsList as Statistics

from components.validate import text_statistics
from components.validate.text_statistics import CHARACTER, DOCUMENT, LINE, PASSAGE, REPEATED, shares

UNKNOWN = "unknown"
_KNOWN = "known"
_NAMED = 5  # values that a sentence names
_NAMES = {CHARACTER: "characters", LINE: "lengths of lines", DOCUMENT: "lengths of documents"}


@dataclass(frozen=True)
class Drift:
    """The result of a comparison.

    Attributes:
      anomalies: TFDV's.
      sentences: one for each distribution that is further away than its threshold, with what moved most.
    """

    anomalies: anomalies_pb2.Anomalies
    sentences: tuple[str, ...]


def compare(now: Statistics, before: Statistics, thresholds: str) -> Drift:
    """Compare two texts.

    Example: tests/components/validate/test_drift.py.

    Args:
      now: of the new text; of its passages, those of the earlier text count as repeated.
      before: of the earlier text.
      thresholds: a schema with drift comparators, as text.
    """
    schema = text_format.Parse(thresholds, schema_pb2.Schema())
    current, previous = (
        Statistics.FromString(now.SerializeToString()),
        Statistics.FromString(before.SerializeToString()),
    )
    unknown = _unknown(now, before)
    for made, share in ((current, sum(unknown.values())), (previous, 0.0)):
        count = made.datasets[0].num_examples
        # A value with the count 0 would be missing in one of the two, as in a text without it.
        values = Counter({_KNOWN: round(count * (1 - share)), UNKNOWN: round(count * share)})
        text_statistics.add_feature(made.datasets[0], UNKNOWN, values)
    found = tfdv.validate_statistics(current, schema, previous_statistics=previous)
    measured = {info.path.step[0]: info.drift_measurements[0] for info in found.drift_skew_info}
    sentences = []
    for name in sorted(found.anomaly_info):
        value, bound = measured[name].value, measured[name].threshold
        if name == UNKNOWN:
            listed = ", ".join(f"{character!r} {share:.2%}" for character, share in unknown.most_common(_NAMED))
            sentences.append(
                f"{value:.2%} of the characters are not in the earlier text, more than {bound:.2%}: {listed}."
            )
        elif name == PASSAGE:
            now_share, share = (shares(one, PASSAGE).get(REPEATED, 0.0) for one in (now, before))
            sentences.append(
                f"{now_share:.1%} of the passages repeat an earlier one, and {share:.1%} of the earlier text: a "
                f"difference of more than {bound:.1%}."
            )
        else:
            sentences.append(
                f"The {_NAMES[name]} have a Jensen-Shannon divergence of {value:.4f}, more than {bound:g}; moved most: "
                f"{_moved(shares(now, name), shares(before, name))}."
            )
    return Drift(found, tuple(sentences))


def furthest(documents: dict[str, "Counter[str]"], before: Statistics) -> list[str]:
    """Return the names of the documents whose characters are furthest from the earlier text, by their size."""
    known = shares(before, CHARACTER)

    def distance(counts: "Counter[str]") -> float:
        total = sum(counts.values())
        return sum(abs(counts[one] - known.get(one, 0.0) * total) for one in known.keys() | counts.keys())

    return sorted(documents, key=lambda name: (-distance(documents[name]), name))[:_NAMED]


def _unknown(now: Statistics, before: Statistics) -> "Counter[str]":
    """Return the share of each character that the earlier text does not have."""
    known = shares(before, CHARACTER)
    return Counter({value: share for value, share in shares(now, CHARACTER).items() if value not in known})


def _moved(now: dict[str, float], before: dict[str, float]) -> str:
    def order(value: str) -> tuple[float, str]:
        return -abs(now.get(value, 0.0) - before.get(value, 0.0)), value

    return ", ".join(
        f"{value if len(value) > 1 else repr(value)} ({before.get(value, 0.0):.1%}, now {now.get(value, 0.0):.1%})"
        for value in sorted(now.keys() | before.keys(), key=order)[:_NAMED]
    )
