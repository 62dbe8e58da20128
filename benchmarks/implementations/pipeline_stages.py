"""Cost of the pipeline's components, from a text file to training steps.

The job: `settings`, as for the runner's `--set`, and `threads`. The request: `text`, a path; `root`, an empty
directory; `steps`; `evaluate`, whether the Evaluator runs. The answer: number of characters, wall and CPU seconds of
each stage in the order of the data with the most memory that the process has used until its end (MiB), seconds of all
training steps but the first, which traces, and of the Evaluator, see `benchmarks.implementations.evaluator_batches`.
"""

import contextlib
import itertools
import os
import resource
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from tfx.orchestration.metadata import sqlite_metadata_connection_config

from benchmarks.implementations import evaluator_batches
from benchmarks.implementations.ours import build, set_threads
from benchmarks.implementations.protocol import Answer, Stopwatch, serve
from components.ingest import corpora
from pipeline import local
from pipeline.config import overrides
from pipeline.config.parameters import ComponentParameters
from pipeline.config.places import Places
from pipeline.create import Inputs, create_pipeline
from pipeline.launch import WatchedRunner
from serving.graph.one_step import Defaults
from trainer import export, fitting, hardware
from trainer.checkpoint import Position
from trainer.data import windows
from trainer.plan import choices, sizes


class Preparation(WatchedRunner):
    """Runs the components before the Trainer."""

    def run_with_ir(self, pipeline: Any, run_options: Any = None) -> None:
        first = [node.pipeline_node.node_info.id for node in pipeline.nodes].index("Trainer")
        del pipeline.nodes[first:]
        super().run_with_ir(pipeline, run_options)


def start(job: dict[str, Any]) -> tuple[dict[str, Any], Answer]:
    """Set the number of threads."""
    set_threads(job["threads"])

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        explicit = {"root": request["root"], "corpus.source": request["text"]}
        return run(overrides.load("quick", job["settings"], explicit), request["steps"], request["evaluate"])

    return {}, answer


def run(config: Any, steps: int, evaluate: bool) -> dict[str, Any]:
    """Stage, prepare, load, train on, and evaluate on the corpus of a configuration."""
    costs: dict[str, dict[str, float]] = {}

    @contextlib.contextmanager
    def taken(stage: str) -> Iterator[None]:
        watch = Stopwatch()
        yield
        costs[stage] = {**watch.read(), "peak_mib": peak()}

    places = Places(config)
    with local.locked(places, lambda _: None):
        with taken("stage"):
            corpus, facts, staged, _ = local.ingest(config, places)
        outputs = prepare(config, places, corpus, staged, taken)
    transformed = outputs["Transform"].outputs
    examples = transformed["transformed_examples"].uri
    with taken("load"):
        text = fitting.load(
            SimpleNamespace(
                transform_graph_path=transformed["transform_graph"].uri,
                train_files=[os.path.join(examples, "Split-train", "*")],
                eval_files=[os.path.join(examples, "Split-eval", "*")],
            ),
            ComponentParameters(
                **config.model_dump(include={"seed", "model", "training"}),
                **config.corpus.model_dump(include={"normalization", "fold_case"}),
                checkpoints="",
                registry="",
                sources="",
            ),
        )
    config = choices.apply(config, fitting.choose(config, text))
    training = config.training
    machine = hardware.choose(training.strategy, training.precision, training.logical_cpus)
    with taken("windows"):
        cut = windows.contiguous if training.data_order == "contiguous" else windows.independent
        train, evaluation = (
            cut(split.ids, split.lengths, int(training.sequence_length), text.vocabulary.end_of_document)
            for split in (text.train, text.evaluation)
        )
        size = sizes.measure(training, train, evaluation, machine.strategy.num_replicas_in_sync, text.vocabulary.size)
        total = choices.count_steps(training, size)
    model, loop = build(config.model_dump(), machine, text.vocabulary.size, train, evaluation, total)
    state = loop.zero_state(size.rows)
    batches = itertools.chain.from_iterable(loop.batches(Position()) for _ in itertools.count())
    _, state, _ = loop.train_steps(0, [next(batches)], state)
    watch = Stopwatch()
    measured = list(itertools.islice(batches, steps))
    loop.train_steps(1, measured, state)
    characters = sum(int(batch.lengths.sum()) for batch in measured)
    trained = watch.read()
    evaluated = None
    if evaluate:
        exported = export.one_step(model, text.vocabulary, Defaults(**config.export.model_dump()))
        examples = outputs["CorpusExampleGen"].outputs["examples"]
        evaluated = evaluator_batches.compare(exported, examples, os.path.join(config.root, "evaluator"))
    return {
        "characters": facts.characters,
        "stages": costs,
        "trained": {**trained, "characters": characters, "batch": size.rows},
        "evaluated": evaluated,
    }


def peak() -> float:
    """Return the most memory that this process has used, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def prepare(config: Any, places: Places, corpus: corpora.Corpus, staged: str, taken: Any) -> dict[str, Any]:
    """Run the components before the Trainer; return the outcome of each."""
    inputs = Inputs(staged, corpus.label, local.stage_schema(places), "benchmark", "")
    pipeline = create_pipeline(config, places, inputs)
    pipeline.metadata_connection_config = sqlite_metadata_connection_config(places.metadata)
    runner = Preparation(taken, lambda *_: None, "benchmark")
    runner.run(pipeline)
    return runner.outcomes


if __name__ == "__main__":
    serve(start)
