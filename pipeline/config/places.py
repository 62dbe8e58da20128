"""Paths of the files of a run: one root with the same layout for every runner."""

import os

from pipeline.config.run import Config


class Places:
    """Paths of one model lineage below a root, which may be a bucket.

    >>> Places(Config(root="gs://bucket", model_name="poems")).serving
    'gs://bucket/serving/poems'

    Attributes:
      root: directory of everything that a run writes.
      pipeline: TFX's artifacts.
      metadata: ML Metadata's SQLite file.
      corpus: staged corpora, by content digest.
      schema: staged schemas, by content digest.
      checkpoints: checkpoints of training, by digest of data, configuration and code.
      registry: entries of blessed models.
      serving: TF Serving's base path of the model.
      logs: framework logs.
      reports: plots of training runs.
      lock: file whose lock keeps a second run out.
    """

    def __init__(self, config: Config) -> None:
        """Derive the paths from a configuration; local ones become absolute."""
        self.root = _absolute(config.root)
        self.pipeline = os.path.join(self.root, "pipeline")
        self.metadata = os.path.join(self.root, "metadata.db")
        self.corpus = os.path.join(self.root, "corpus")
        self.schema = os.path.join(self.root, "schema")
        self.checkpoints = os.path.join(self.root, "checkpoints")
        self.registry = os.path.join(self.root, "registry", config.model_name)
        serving = config.serving_dir or os.path.join(self.root, "serving")
        self.serving = os.path.join(_absolute(serving), config.model_name)
        self.logs = os.path.join(self.root, "logs")
        self.reports = os.path.join(self.root, "reports")
        self.lock = os.path.join(self.root, ".lock")


def _absolute(path: str) -> str:
    return path if "://" in path else os.path.abspath(os.path.expanduser(path))
