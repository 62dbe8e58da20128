"""A compiled pipeline and the values with which it runs."""

import hashlib
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Package:
    """A compiled pipeline and how to run it. Example: tests/kubeflow/deploy/test_kubeflow_pipelines.py.

    Attributes:
      name: name of the pipeline and of its schedule, first part of its versions' names.
      file: path of the compiled YAML.
      parameters: run parameters that differ from the compiled defaults.
    """

    name: str
    file: str
    parameters: dict[str, str] = field(default_factory=dict)
    pipeline_root: str | None = None
    service_account: str | None = None

    @property
    def version(self) -> str:
        """Name of the version; equal content has an equal name."""
        with open(self.file, "rb") as file:
            return f"{self.name}-{hashlib.sha256(file.read()).hexdigest()[:16]}"
