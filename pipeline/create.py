"""The pipeline itself: components in the order in which data flows, the same for every runner."""

import hashlib
import os
from dataclasses import dataclass

from components import lean_imports

lean_imports.frameworks()

from tfx.components.example_validator.component import ExampleValidator  # noqa: E402
from tfx.components.schema_gen.import_schema_gen.component import ImportSchemaGen  # noqa: E402
from tfx.components.statistics_gen.component import StatisticsGen  # noqa: E402
from tfx.components.trainer.component import Trainer  # noqa: E402
from tfx.components.transform.component import Transform  # noqa: E402
from tfx.components.tuner.component import Tuner  # noqa: E402
from tfx.orchestration.pipeline import Pipeline  # noqa: E402
from tfx.proto import trainer_pb2, transform_pb2  # noqa: E402

from components.evaluate.evaluator import PerplexityEvaluator, eval_config  # noqa: E402
from components.evaluate.last_blessed import LastBlessed  # noqa: E402
from components.ingest import corpus_example_gen  # noqa: E402
from components.release.infra_check import InfraCheck  # noqa: E402
from components.release.pusher import Pusher  # noqa: E402
from components.validate.anomaly_gate import AnomalyGate  # noqa: E402
from pipeline import sources  # noqa: E402
from pipeline.config.places import Places  # noqa: E402
from pipeline.config.run import Config  # noqa: E402


@dataclass(frozen=True)
class Inputs:
    """What a runner hands to the pipeline besides the configuration.

    Attributes:
      corpus: directory of the staged corpus.
      corpus_label: what the user called it.
      schema: a schema file whose path changes with its content.
      run_key: digest of all that decides the trained model, for the registry.
      newest_other: digest of the newest registered model of another run; "" if there is none.
    """

    corpus: str
    corpus_label: str
    schema: str
    run_key: str
    newest_other: str


def create_pipeline(config: Config, places: Places, inputs: Inputs, beam_args: list[str]) -> Pipeline:
    """Build the TFX pipeline of a configuration."""
    # Reads and cleans the corpus and cuts it into passages, each split a contiguous block of every document.
    examples = corpus_example_gen.create(
        inputs.corpus,
        config.corpus.passage_length,
        config.corpus.eval_fraction,
        config.corpus.test_fraction,
        sources.digest(sources.INGEST),
    )
    # Figures over every feature, for the validation and for people.
    statistics = StatisticsGen(examples=examples.outputs["examples"])
    # The curated schema: what a passage must look like.
    schema = ImportSchemaGen(schema_file=inputs.schema)
    # Holds the figures against the schema; only reports.
    validator = ExampleValidator(statistics=statistics.outputs["statistics"], schema=schema.outputs["schema"])
    # Stops the run on an anomaly.
    gate = AnomalyGate(anomalies=validator.outputs["anomalies"], sources=sources.digest(sources.GATE))
    # Makes the vocabulary of the train split and turns text into ids.
    transform = Transform(
        examples=examples.outputs["examples"],
        schema=schema.outputs["schema"],
        preprocessing_fn="transform.preprocessing.preprocessing_fn",
        splits_config=transform_pb2.SplitsConfig(
            analyze=["train"], transform=["train", "eval"] + (["test"] if config.corpus.test_fraction else [])
        ),
        custom_config={**config.vocabulary.model_dump(), "sources": sources.digest(sources.TRANSFORM)},
        # StatisticsGen has measured these records already, and nothing reads statistics of ids.
        disable_statistics=True,
        disable_analyzer_cache=True,
    )
    transform.add_upstream_node(gate)
    training = {
        "model": config.model.model_dump(),
        "training": config.training.model_dump(),
        "seed": config.seed,
        "checkpoints": places.checkpoints,
        "registry": places.registry,
        "sources": sources.digest(sources.TRAINER),
    }
    splits = {
        "examples": transform.outputs["transformed_examples"],
        "transform_graph": transform.outputs["transform_graph"],
        "train_args": trainer_pb2.TrainArgs(splits=["train"]),
        "eval_args": trainer_pb2.EvalArgs(splits=["eval"]),
    }
    # Looks for better hyperparameters, if asked to.
    tuner = None
    if config.tuner.enabled:
        tuner = Tuner(
            tuner_fn="trainer.tuning.tuner_fn",
            custom_config={
                **training,
                "tuner": config.tuner.model_dump(),
                "tuner_sources": sources.digest(sources.TUNER),
            },
            **splits,
        )
    # Trains the language model and exports it with its serving signatures.
    trainer = Trainer(
        run_fn="trainer.run.run_fn",
        custom_config={
            **training,
            "export": config.export.model_dump(),
            "model_name": config.model_name,
            "export_sources": sources.digest(sources.EXPORT),
        },
        hyperparameters=tuner.outputs["best_hyperparameters"] if tuner else None,
        **splits,
    )
    # Finds the model that the candidate has to compare with.
    baseline = LastBlessed(
        candidate=trainer.outputs["model"],
        registry_directory=places.registry,
        newest=inputs.newest_other,
        sources=sources.digest(sources.BASELINE),
    )
    # Measures perplexity on the eval split and blesses the model if it is good enough.
    threshold = config.evaluation.threshold
    evaluator = PerplexityEvaluator(
        examples=examples.outputs["examples"],
        model=trainer.outputs["model"],
        baseline_model=baseline.outputs["baseline"],
        schema=schema.outputs["schema"],
        example_splits=["eval"],
        eval_config=eval_config(
            None if threshold == "auto" else float(threshold),
            config.evaluation.max_increase,
            config.evaluation.by_document,
            sources.digest(sources.EVALUATOR),
        ),
    ).with_id("Evaluator")
    # Makes sure that a server can use the export.
    infra = InfraCheck(model=trainer.outputs["model"], sources=sources.digest(sources.INFRA))
    # Hands a model that passed both over to TF Serving.
    pusher = Pusher(
        model=trainer.outputs["model"],
        model_blessing=evaluator.outputs["blessing"],
        infra_blessing=infra.outputs["blessing"],
        evaluation=evaluator.outputs["evaluation"],
        serving=places.serving,
        registry_directory=places.registry,
        run_key=inputs.run_key,
        corpus=inputs.corpus_label,
        sources=sources.digest(sources.PUSHER),
    )
    return Pipeline(
        pipeline_name=config.model_name,
        pipeline_root=places.pipeline,
        components=[
            examples,
            statistics,
            schema,
            validator,
            gate,
            transform,
            *([tuner] if tuner else []),
            trainer,
            baseline,
            evaluator,
            infra,
            pusher,
        ],
        enable_cache=True,
        beam_pipeline_args=beam_args,
    )


def run_key(config: Config, corpus: str) -> str:
    """Digest of all that decides the trained model: corpus, configuration, code, libraries.

    Args:
      corpus: the staged corpus's content-addressed path.
    """
    decides = config.model_dump_json(
        include={
            "model_name": True,
            "seed": True,
            "corpus": {"passage_length", "eval_fraction", "test_fraction"},
            "vocabulary": True,
            "model": True,
            "training": True,
            "tuner": True,
            "export": True,
        }
    )
    code = sources.digest(sources.INGEST, sources.TRANSFORM, sources.TRAINER, sources.EXPORT)
    return hashlib.sha256(f"{decides}\0{code}\0{os.path.basename(corpus)}".encode()).hexdigest()[:16]
