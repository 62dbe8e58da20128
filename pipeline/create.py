"""The pipeline: components in the order of the data flow, the same for every runner."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from components import lean_imports

lean_imports.frameworks()

from tfx.components.example_validator.component import ExampleValidator  # noqa: E402
from tfx.components.schema_gen.import_schema_gen.component import ImportSchemaGen  # noqa: E402
from tfx.components.statistics_gen.component import StatisticsGen  # noqa: E402
from tfx.components.trainer.component import Trainer  # noqa: E402
from tfx.components.transform.component import Transform  # noqa: E402
from tfx.components.tuner.component import Tuner  # noqa: E402
from tfx.dsl.components.base.base_component import BaseComponent  # noqa: E402
from tfx.orchestration.pipeline import Pipeline  # noqa: E402
from tfx.proto import trainer_pb2, transform_pb2  # noqa: E402

from components import beam  # noqa: E402
from components.evaluate.component import PerplexityEvaluator  # noqa: E402
from components.evaluate.evaluator import eval_config  # noqa: E402
from components.evaluate.last_blessed import LastBlessed  # noqa: E402
from components.ingest import corpus_example_gen  # noqa: E402
from components.release.infra_check import InfraCheck  # noqa: E402
from components.release.pusher import Pusher  # noqa: E402
from components.validate.anomaly_gate import AnomalyGate  # noqa: E402
from components.validate.drift_check import DriftCheck  # noqa: E402
from pipeline import cache_keys  # noqa: E402
from pipeline.config.places import Places  # noqa: E402
from pipeline.config.run import Config  # noqa: E402

# Values of the section `corpus` that decide how documents become records.
_CUTTING = {"passage_length", "eval_fraction", "test_fraction", "documents", "column", "normalization", "fold_case"}
_THRESHOLDS = "components/validate/schema/text.pbtxt"  # of drift


@dataclass(frozen=True)
class Inputs:
    """Inputs of a run besides its configuration.

    Attributes:
      corpus: directory of the staged corpus.
      corpus_label: the name that the user gave it.
      schema: a schema file whose path changes with its content.
      run_key: digest of everything that determines the trained model, for the registry.
      newest_other: digest of the newest registered model of another run; "" if there is none.
      holdout: directory of the staged eval text; "": the eval split is a part of the corpus.
      properties: of the Examples artifact.
    """

    corpus: str
    corpus_label: str
    schema: str
    run_key: str
    newest_other: str
    holdout: str = ""
    properties: Mapping[str, Any] = field(default_factory=dict)


def create_pipeline(config: Config, places: Places, inputs: Inputs) -> Pipeline:
    """Build the TFX pipeline of a configuration."""
    # Reads and cleans the corpus and cuts it into passages; each split is a contiguous block of every document.
    examples = corpus_example_gen.create(
        inputs.corpus,
        **config.corpus.model_dump(include=_CUTTING),
        sources=cache_keys.digest(cache_keys.INGEST),
        holdout=inputs.holdout,
        properties=inputs.properties,
    )
    statistics, schema, validator, gate = _validate(examples, inputs)
    # Compares new text with that of the last blessed model.
    drift = DriftCheck(
        examples=examples.outputs["examples"],
        registry_directory=places.registry,
        newest=inputs.newest_other,
        documents=config.corpus.documents,
        thresholds=(cache_keys.ROOT / _THRESHOLDS).read_text(encoding="utf-8"),
        action=config.validation.drift,
        sources=cache_keys.digest(cache_keys.DRIFT),
    )
    transform = _transform(config, examples, schema, [gate, drift])
    *tuner, trainer = _train(config, places, transform)
    baseline, evaluator = _evaluate(config, places, inputs, examples, schema, trainer)
    # Checks that a server can load and use the export.
    infra = InfraCheck(model=trainer.outputs["model"], sources=cache_keys.digest(cache_keys.INFRA))
    # Copies a model that passed evaluation and infra check to where TF Serving reads it.
    pusher = Pusher(
        model=trainer.outputs["model"],
        model_blessing=evaluator.outputs["blessing"],
        infra_blessing=infra.outputs["blessing"],
        evaluation=evaluator.outputs["evaluation"],
        statistics=statistics.outputs["statistics"],
        text=drift.outputs["statistics"],
        model_run=trainer.outputs["model_run"],
        serving=places.serving,
        registry_directory=places.registry,
        run_key=inputs.run_key,
        corpus=inputs.corpus_label,
        sources=cache_keys.digest(cache_keys.PUSHER),
    )
    components = [examples, statistics, schema, validator, gate, drift, transform]
    components += [*tuner, trainer, baseline, evaluator, infra, pusher]
    return Pipeline(
        pipeline_name=config.model_name,
        pipeline_root=places.pipeline,
        components=components,
        enable_cache=True,
        beam_pipeline_args=beam.arguments(config.beam_args),
    )


def _validate(examples: BaseComponent, inputs: Inputs) -> tuple[BaseComponent, ...]:
    # Statistics of every feature, for the validation and for people.
    statistics = StatisticsGen(examples=examples.outputs["examples"])
    # The curated schema of a passage.
    schema = ImportSchemaGen(schema_file=inputs.schema)
    # Compares the statistics with the schema; only reports.
    validator = ExampleValidator(statistics=statistics.outputs["statistics"], schema=schema.outputs["schema"])
    # Stops the run on an anomaly.
    gate = AnomalyGate(anomalies=validator.outputs["anomalies"], sources=cache_keys.digest(cache_keys.GATE))
    return statistics, schema, validator, gate


def _transform(
    config: Config, examples: BaseComponent, schema: BaseComponent, checks: Sequence[BaseComponent]
) -> BaseComponent:
    """Make the vocabulary of the train split and turn text into ids."""
    transform = Transform(
        examples=examples.outputs["examples"],
        schema=schema.outputs["schema"],
        preprocessing_fn="transform.preprocessing.preprocessing_fn",
        splits_config=transform_pb2.SplitsConfig(
            analyze=["train"], transform=["train", "eval"] + (["test"] if config.corpus.test_fraction else [])
        ),
        custom_config={**config.vocabulary.model_dump(), "sources": cache_keys.digest(cache_keys.TRANSFORM)},
        # StatisticsGen has measured these records already, and no component reads statistics of ids.
        disable_statistics=True,
        disable_analyzer_cache=True,
    )
    for check in checks:
        transform.add_upstream_node(check)
    return transform


def _train(config: Config, places: Places, transform: BaseComponent) -> list[BaseComponent]:
    """Search for hyperparameters if that is enabled, then train the model and export it with its signatures."""
    training = {
        "model": config.model.model_dump(),
        "training": config.training.model_dump(),
        "seed": config.seed,
        "checkpoints": places.checkpoints,
        "registry": places.registry,
        **config.corpus.model_dump(include={"normalization", "fold_case"}),
        "sources": cache_keys.digest(cache_keys.TRAINER),
    }
    splits = {
        "examples": transform.outputs["transformed_examples"],
        "transform_graph": transform.outputs["transform_graph"],
        "train_args": trainer_pb2.TrainArgs(splits=["train"]),
        "eval_args": trainer_pb2.EvalArgs(splits=["eval"]),
    }
    tuner = []
    if config.tuner.enabled:
        search = {"tuner": config.tuner.model_dump(), "tuner_sources": cache_keys.digest(cache_keys.TUNER)}
        tuner = [Tuner(tuner_fn="trainer.tuning.tuner_fn", custom_config=training | search, **splits)]
    export = {
        "export": config.export.model_dump(),
        "model_name": config.model_name,
        "export_sources": cache_keys.digest(cache_keys.EXPORT),
    }
    trainer = Trainer(
        run_fn="trainer.run.run_fn",
        custom_config=training | export,
        hyperparameters=tuner[0].outputs["best_hyperparameters"] if tuner else None,
        **splits,
    )
    return [*tuner, trainer]


def _evaluate(
    config: Config,
    places: Places,
    inputs: Inputs,
    examples: BaseComponent,
    schema: BaseComponent,
    trainer: BaseComponent,
) -> tuple[BaseComponent, ...]:
    # Finds the model to compare the new one with.
    baseline = LastBlessed(
        candidate=trainer.outputs["model"],
        registry_directory=places.registry,
        newest=inputs.newest_other,
        sources=cache_keys.digest(cache_keys.BASELINE),
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
            config.evaluation.max_copied,
            cache_keys.digest(cache_keys.EVALUATOR),
        ),
    ).with_id("Evaluator")
    return baseline, evaluator


def run_key(config: Config, corpus: str, holdout: str = "", export: bool = True) -> str:
    """Return the digest of everything that determines the trained model: corpus, configuration, code, libraries.

    Args:
      corpus: path of the staged corpus, which contains its content digest.
      holdout: the same of the eval text; "" if there is none.
      export: whether what determines only the export is part of it; without it the digest stands for the weights.
    """
    settings = config.model_dump_json(
        include={
            "model_name": True,
            "seed": True,
            "corpus": _CUTTING,
            "vocabulary": True,
            "model": True,
            "training": True,
            "tuner": True,
            **({"export": True} if export else {}),
        }
    )
    codes = [cache_keys.INGEST, cache_keys.TRANSFORM, cache_keys.TRAINER]
    codes += [cache_keys.EXPORT] if export else []
    codes += [cache_keys.TUNER] if config.tuner.enabled else []
    code = cache_keys.digest(*codes)
    texts = "\0".join(os.path.basename(path) for path in (corpus, holdout) if path)
    return hashlib.sha256(f"{settings}\0{code}\0{texts}".encode()).hexdigest()[:16]
