"""`tuner_fn`: what the TFX Tuner calls. KerasTuner searches, each trial is a short training of our own.

A search is kept below the checkpoints, in a directory named after all that decides it: one that was killed goes on with
the trial that was under way.
"""

import os
from typing import Any

import keras_tuner
from tfx.components.tuner.component import TunerFnResult

from trainer import fitting, hardware, hyperparameters
from trainer.progress import LOGGER


class Oracle(keras_tuner.oracles.BayesianOptimizationOracle):
    """Bayesian optimisation that tries what is configured first, so that tuning never ends with less than that."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """The values of the next trial."""
        if not self.trials:
            return {"status": keras_tuner.engine.trial.TrialStatus.RUNNING, "values": dict(self.hyperparameters.values)}
        return super().populate_space(trial_id)


class Search(keras_tuner.Tuner):
    """Search by short trainings; the objective is eval loss in nats per character."""

    def __init__(self, config: dict[str, Any], machine: hardware.Hardware, text: fitting.Data, directory: str) -> None:
        """Continue the search in the directory, or begin it."""
        self._config, self._machine, self._text, self._place = config, machine, text, directory
        trials = config["tuner"]["trials"]
        oracle = Oracle(
            objective=keras_tuner.Objective("default_objective", "min"),
            hyperparameters=hyperparameters.space(config),
            tune_new_entries=False,
            max_trials=trials,
            num_initial_points=max(1, trials // 3),
            seed=config["seed"],
        )
        super().__init__(oracle, directory=directory, project_name="trials", overwrite=False)

    def run_trial(self, trial: Any, *_: Any, **__: Any) -> float:
        """Train one model for a while.

        Returns:
          Its lowest eval loss, nats per character.
        """
        values = trial.hyperparameters.values
        config = hyperparameters.put_in(self._config, {"values": values})
        config["training"].update(steps=config["tuner"]["steps"], epochs=None, sample_chars=0, keep_every_epoch=False)
        described = ", ".join(f"{name}={value:.4g}" for name, value in values.items())
        LOGGER.info("trial %s of %s: %s", trial.trial_id, config["tuner"]["trials"], described)
        place = os.path.join(self._place, "checkpoints", trial.trial_id)
        _, position = fitting.fit(config, self._machine, self._text, place, chief=True)
        return float(position.best_loss)


def tuner_fn(fn_args: Any) -> TunerFnResult:
    """Make the search.

    Args:
      fn_args: TFX's `FnArgs`; `custom_config` as in `trainer.run.run_fn`, and the section `tuner`.
    """
    config = fn_args.custom_config
    training = config["training"]
    machine = hardware.choose(training["strategy"], training["precision"], training["logical_cpus"])
    text = fitting.load(fn_args, training["memory_limit_chars"])
    decides = {name: config[name] for name in ("sources", "seed", "model", "training", "tuner")}
    key = fitting.digest({**decides, "data": text.learned})
    directory = os.path.join(config["checkpoints"], f"tuner-{key}")
    return TunerFnResult(tuner=Search(config, machine, text, directory), fit_kwargs={})
