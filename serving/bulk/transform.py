"""The Beam pipeline of a job: shards of the input in, files with an output line for each of their lines out.

An element is a shard, not a line: it is read, answered and written in one step of any runner, so that each finished one
is on disk at once. Elements for single lines would have to be grouped into shards again, and a runner may start that
only when all lines are answered.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.ml.inference.base import ModelHandler, RunInference
from apache_beam.options.pipeline_options import PipelineOptions

from components import files
from serving.bulk import shards
from serving.bulk.inference import Model
from serving.bulk.lines import Task
from serving.bulk.shards import Shard


class Lines(NamedTuple):
    """The lines of a shard, of the input or of the output, and the path of the output."""

    first_line: int
    contents: list[bytes]
    path: str


class Handler(ModelHandler[Lines, Lines, Model]):
    """Runs the signatures of an export, whose inputs differ from row to row.

    Beam's own handler for TensorFlow loads SavedModels with Keras and passes one tensor; that of TFX's BulkInferrer
    requires signatures with one input of serialized examples.
    """

    def __init__(self, model: str, task: Task) -> None:
        """Take the directory of the SavedModel."""
        super().__init__()
        self._model, self._task = model, task

    def load_model(self) -> Model:
        """Load the export; Beam calls this once in a process."""
        return Model(self._model)

    def run_inference(
        self, batch: Sequence[Lines], model: Model, inference_args: Mapping[str, Any] | None = None
    ) -> Iterable[Lines]:
        """Answer shards; the model forms the batches of rows."""
        del inference_args  # RunInference passes none
        return [one._replace(contents=model.answer(one.first_line, one.contents, self._task)) for one in batch]

    def get_num_bytes(self, batch: Sequence[Lines]) -> int:
        """Size of the lines, for Beam's metrics."""
        return sum(len(content) for one in batch for content in one.contents)

    def batch_elements_kwargs(self) -> Mapping[str, Any]:
        """One shard at a time, so that it is written before the next one is answered."""
        return {"min_batch_size": 1, "max_batch_size": 1}


def run(source: str, outputs: Mapping[Shard, str], model: str, task: Task, arguments: Sequence[str]) -> None:
    """Run the pipeline and wait for its end.

    Args:
      source: path of the input, which the workers read.
      outputs: the shards to write, and the paths of their files.
      model: directory of the SavedModel.
      task: what to do with each line.
      arguments: of the Beam pipeline.

    Raises:
      Exception: what the runner raises for a step that failed.
    """
    with beam.Pipeline(options=PipelineOptions(list(arguments))) as pipeline:
        _ = (
            pipeline
            | "Shards" >> beam.Create(list(outputs.items()))
            | "Distribute" >> beam.Reshuffle()
            | "Read" >> beam.MapTuple(lambda shard, path: Lines(shard.first_line, shards.read(source, shard), path))
            | "Answer" >> RunInference(Handler(model, task))
            | "Write" >> beam.Map(lambda one: files.write(one.path, b"".join(one.contents)))
        )
