"""Names of objects in a cluster, made of model names, which have more letters than such a name may have."""

import hashlib
import re

_DIGEST_CHARS = 6


def of(name: str, longest: int) -> str:
    """Return a DNS label (RFC 1123) of at most this length, which models with different names do not share.

    Underscores become hyphens. A name with anything else than lower-case letters, digits and underscores, or one that
    is too long, gets a digest: `a-b`, `A_b` and `a_b` would otherwise be equal. Only a name that itself ends in such a
    digest, for example `a_b_f3c1d2`, could equal that of another one.

    Args:
      name: of a model, which begins with a letter.

    Example:
      >>> of("char_rnn", 40), of("Char_RNN", 40)
      ('char-rnn', 'char-rnn-12781c')
    """
    label = name.lower().replace("_", "-").rstrip("-")
    if re.fullmatch(r"[a-z0-9_]*[a-z0-9]", name) and len(label) <= longest:
        return label
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST_CHARS]
    return f"{label[: longest - len(digest) - 1].rstrip('-')}-{digest}"
