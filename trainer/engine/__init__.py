"""Engine: recurrent layers over a window of text, forward and backward, on a CPU. README.md explains it.

`run` is its only entry point. Imports `serving.graph.cells`.
"""

from trainer.engine.recurrent import run

__all__ = ["run"]
