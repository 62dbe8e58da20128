"""`run_fn`, which the TFX Trainer calls."""

import os
from functools import partial
from typing import Any

import tensorflow as tf
from tfx.utils import io_utils

from components.models import original, training, versions
from pipeline.config.parameters import TrainerParameters
from serving.graph.one_step import Defaults
from trainer import cluster, export, fitting, hardware, hyperparameters, warm_start
from trainer.cluster import collective
from trainer.data import trigram
from trainer.generalization.measure import measure
from trainer.plan import record
from trainer.progress import LOGGER


def run_fn(fn_args: Any) -> None:
    """Train the language model and export it as a OneStep SavedModel.

    Checkpoints are in a directory named by a digest of everything that decides the result: data, configuration and
    sources. An interrupted run resumes from there, and a complete export is reused.

    Args:
      fn_args: TFX's `FnArgs`; `custom_config` as in `pipeline.config.parameters.TrainerParameters`. Hyperparameters of
        a Tuner replace the configured ones.

    Raises:
      UserError: `TF_CONFIG` cannot be used, or the processes that it names do not begin alike.
      ProcessLost: one of these processes ended or cannot be reached.
    """
    together = cluster.from_environment()
    with collective.explain_loss(together.processes):
        _train_and_export(fn_args, together)


def _train_and_export(fn_args: Any, together: cluster.Cluster) -> None:
    parameters = TrainerParameters.model_validate(fn_args.custom_config)
    parameters = hyperparameters.apply_hyperparameters(parameters, fn_args.hyperparameters)
    training = parameters.training
    if together.processes > 1:
        LOGGER.info("process %s of %s; waiting for the others", together.position + 1, together.processes)
    # First: a strategy over several workers, and a GPU's memory, must be set up before TensorFlow computes anything.
    machine = hardware.choose(training.strategy, training.precision, training.logical_cpus, together.processes)
    text = fitting.load(fn_args, parameters)
    source = warm_start.initial_model(parameters.registry, text.data_digest) if training.warm_start else None
    key = _key(parameters, text.data_digest, source)
    # Before the first variable, whose shape would differ: TensorFlow would wait forever, or end without a reason.
    export_key = _export_key(parameters)
    both = fitting.digest({"training": key, "export": export_key})
    collective.check_same(machine.strategy, int(both[:7], 16), f"the digest {both} of data, configuration and code")
    directory = os.path.join(parameters.checkpoints, key)
    finished = os.path.join(directory, f"export-{export_key}")
    chief = together.is_chief
    if versions.is_complete(finished):
        LOGGER.info("Reusing the finished export for this data, configuration and code")
    else:
        fitted = fitting.fit(parameters, machine, text, directory, chief, source)
        chars = training.measured_chars
        losses = fitting.losses(fitted, text) if chars else (0.0, 0.0)
        if chief:
            known = text.vocabulary
            reference_nats = trigram.cross_entropy(
                text.train, text.evaluation, known.size, known.out_of_vocabulary, known.unknown_characters
            )
            exported = export.one_step(fitted.model, known, Defaults(**parameters.export.model_dump()))
            measuring = partial(
                measure, vocabulary=known, train=text.train, losses=losses, chars=chars, seed=parameters.seed
            )
            name, data = parameters.model_name, text.data_digest
            export.save(exported, finished, name, reference_nats, data, measuring if chars else None)
    if chief:
        original.note(fn_args.serving_model_dir, finished)
        versions.copy(finished, fn_args.serving_model_dir)
        _copy_logs(directory, fn_args.model_run_dir)
    # Until the export is complete, all are needed: a chief that is started again waits for them.
    collective.wait_for_all(machine.strategy)


def _copy_logs(directory: str, model_run: str) -> None:
    """Copy what the training states, and what TensorBoard reads if it was not deleted, to the run's artifact."""
    logs = os.path.join(directory, "tensorboard")
    if tf.io.gfile.exists(logs):
        io_utils.copy_dir(logs, model_run)
    tf.io.gfile.makedirs(model_run)
    for name in (record.NAME, training.NAME):
        stated = os.path.join(directory, name)
        if tf.io.gfile.exists(stated):  # trainings of earlier releases have none
            tf.io.gfile.copy(stated, os.path.join(model_run, name), overwrite=True)


def _key(parameters: TrainerParameters, data_digest: str, source: warm_start.SourceModel | None) -> str:
    source_digest = source.digest if source else None
    return fitting.digest({**parameters.decisive(), "data": data_digest, "source_model": source_digest})


def _export_key(parameters: TrainerParameters) -> str:
    included = parameters.model_dump(
        include={"export_sources": True, "model_name": True, "export": True, "training": {"measured_chars"}}
    )
    return fitting.digest(included)
