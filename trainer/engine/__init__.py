"""Engine: recurrent layers over a window of text, forward and backward, and the cross-entropy. README.md explains it.

Its entry points are the names below. Imports `serving.graph.cells`.
"""

from trainer.engine.recurrent import run
from trainer.engine.softmax import full as full_cross_entropy
from trainer.engine.softmax import logits
from trainer.engine.softmax import sampled as sampled_cross_entropy

__all__ = ["full_cross_entropy", "logits", "run", "sampled_cross_entropy"]
