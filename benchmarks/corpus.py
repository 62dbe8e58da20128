"""A corpus as the Trainer gets it, prepared by the same functions without running the components."""

from collections import Counter
from pathlib import Path

import numpy as np

from components.ingest import passages, text
from components.ingest.documents import END, FILE, divide
from trainer import fitting
from trainer.data.documents import Split
from transform.vocabulary import Vocabulary


def load(path: str, repeat: int = 1, documents: str = FILE, held_out: int = 0) -> fitting.Data:
    """Read one file.

    Args:
      path: UTF-8 text file.
      repeat: how often the train split is repeated, to measure longer texts.
      documents: what one document is, `corpus.documents`.
      held_out: documents of the eval split, see `split_at_random`; 0: the pipeline's splits.
    """
    document = text.read_document(Path(path).read_bytes(), path)
    if held_out:
        blocks = split_at_random(document, documents, held_out)
    else:
        blocks = {block.split: block.text for block in passages.blocks(document, 0.1, 0.0, documents)[0]}
    counts = Counter(blocks["train"])
    ordered = sorted(counts, key=lambda character: (-counts[character], character))
    known = Vocabulary(tuple(map(ord, ordered)))
    train, evaluation = _split(blocks["train"] * repeat, known), _split(blocks["eval"], known)
    return fitting.Data(known, train, evaluation, fitting.digest_data(known, train, evaluation))


def split_at_random(document: str, rule: str, held_out: int) -> dict[str, str]:
    """Return the text of both splits; random documents are held out, so that equal ones may be in both.

    Args:
      rule: what one document is.
      held_out: documents of the eval split.
    """
    found = list(divide(document, rule))
    order = np.random.default_rng(0).permutation(len(found))
    parts = {"eval": order[:held_out], "train": order[held_out:]}
    return {split: END + "".join(found[place] + END for place in places) for split, places in parts.items()}


def _split(block: str, known: Vocabulary) -> Split:
    ids = np.array(known.encode(block), np.min_scalar_type(known.size - 1))
    return Split(("corpus",), np.array([len(ids)], np.int64), ids)
