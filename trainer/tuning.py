"""`tuner_fn`, which the TFX Tuner calls. KerasTuner searches; each trial is a short training by `trainer.fitting`.

A search is stored below the checkpoints, in a directory named by a digest of everything that decides it. An interrupted
search resumes with the trial that was running.
"""

import os
from typing import Any

import keras_tuner
from tfx.components.tuner.component import TunerFnResult

from pipeline.config.parameters import TunerParameters
from trainer import fitting, hardware, hyperparameters
from trainer.progress import LOGGER


class Oracle(keras_tuner.oracles.BayesianOptimizationOracle):
    """Bayesian optimization whose first trial is the configuration: tuning never ends with a worse result than that."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Return the values of the next trial."""
        if not self.trials:
            return {"status": keras_tuner.engine.trial.TrialStatus.RUNNING, "values": dict(self.hyperparameters.values)}
        return super().populate_space(trial_id)


class Search(keras_tuner.Tuner):
    """Search by short trainings; the objective is eval loss in nats per character.

    Example: `test_best_trial_has_the_lowest_eval_loss` in tests/trainer/test_tuning.py.
    """

    def __init__(
        self, parameters: TunerParameters, machine: hardware.Hardware, text: fitting.Data, directory: str
    ) -> None:
        """Start the search, or resume that of the directory."""
        # The Trainer chooses the same values for the same data.
        parameters, _ = fitting.resolve(parameters, machine, text)
        self._parameters, self._machine, self._text, self._directory = parameters, machine, text, directory
        trials = parameters.tuner.trials
        oracle = Oracle(
            objective=keras_tuner.Objective("default_objective", "min"),
            hyperparameters=hyperparameters.space(parameters),
            tune_new_entries=False,
            max_trials=trials,
            num_initial_points=max(1, trials // 3),
            seed=parameters.seed,
        )
        super().__init__(oracle, directory=directory, project_name="trials", overwrite=False)

    def run_trial(self, trial: Any, *_: Any, **__: Any) -> float:
        """Train one model for `tuner.steps` steps.

        Returns:
          Its lowest eval loss, nats per character.
        """
        values = trial.hyperparameters.values
        parameters = hyperparameters.apply_hyperparameters(_for_trials(self._parameters), {"values": values})
        described = ", ".join(f"{name}={value:.4g}" for name, value in values.items())
        LOGGER.info("trial %s of %s: %s", trial.trial_id, self._parameters.tuner.trials, described)
        directory = os.path.join(self._directory, "checkpoints", trial.trial_id)
        fitted = fitting.fit(parameters, self._machine, self._text, directory, chief=True)
        return float(fitted.position.best_loss)


def tuner_fn(fn_args: Any) -> TunerFnResult:
    """Create the search.

    Args:
      fn_args: TFX's `FnArgs`; `custom_config` as in `pipeline.config.parameters.TunerParameters`.
    """
    parameters = TunerParameters.model_validate(fn_args.custom_config)
    training = parameters.training
    machine = hardware.choose(training.strategy, training.precision, training.logical_cpus)
    text = fitting.load(fn_args, parameters)
    directory = os.path.join(parameters.checkpoints, f"tuner-{_key(parameters, text.data_digest)}")
    return TunerFnResult(tuner=Search(parameters, machine, text, directory), fit_kwargs={})


def _for_trials(parameters: TunerParameters) -> TunerParameters:
    """Return the parameters with the short training of a trial."""
    short: dict[str, Any] = {"steps": parameters.tuner.steps, "epochs": None, "max_minutes": None}
    short |= {"sample_chars": 0, "keep_every_epoch": False}
    return parameters.model_copy(update={"training": parameters.training.model_copy(update=short)})


def _key(parameters: TunerParameters, data_digest: str) -> str:
    searched = {"tuner_sources": parameters.tuner_sources, "trials": parameters.tuner.trials}
    return fitting.digest({**_for_trials(parameters).decisive(), **searched, "data": data_digest})
