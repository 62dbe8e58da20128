"""Run the complete pipeline on this machine: from a corpus to a blessed model in a TF Serving directory.

python local_runner.py                                   # tiny Shakespeare, some minutes on two CPU cores
python local_runner.py --corpus my_texts/ --preset best
python local_runner.py --set training.steps=2000 --set model.units=768
"""

import os
import signal
import sys

# First on the path, so that `kubeflow` and `tests` are this project's packages and not installed ones.
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from components import startup

if __name__ == "__main__":
    startup.begin("local_runner.py", *startup.PIPELINE, also=(signal.SIGTERM, signal.SIGHUP))

import argparse
import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import components
import pipeline
from components import beam, command_line, own_packages, shell_command
from components.errors import UserError
from components.ingest import documents
from pipeline import failure
from pipeline.config import overrides
from pipeline.config.places import Places
from pipeline.config.run import Config
from trainer import cluster

if TYPE_CHECKING:
    from pipeline.machines.chief import Chief

ROOT = Path(__file__).resolve().parent


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line; an error in it ends the program with code 2."""
    parser = command_line.Parser(
        prog="local_runner.py",
        description="Train, evaluate and push a character-level language model with TFX on this machine.",
        epilog="Exit codes: 0 pushed or already served, 3 trained but not good enough, 2 an error in input or "
        "options, 130 interrupted, 1 any other error. All values for --set: docs/configuration.md.",
    )
    add = parser.add_argument
    presets = ", ".join(overrides.preset_names())
    add("--preset", default="quick", metavar="NAME[,NAME]", help=f"some of: {presets}; default quick")
    add("--corpus", metavar="NAME|PATH|DIR|GLOB|URL", help="text to train on; default shakespeare")
    add("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings", help="override a value; repeatable")
    add("--model", metavar="NAME", help="name, with its own registry and serving directory; default char_rnn")
    add("--root", metavar="DIR", help="directory for everything that a run writes; default output")
    add("--serving-dir", metavar="DIR", help="TF Serving reads DIR/<model>/<version>; default <root>/serving")
    add("--summary", metavar="FILE", help="write the result as JSON")
    add("--verbose", action="store_true", help="framework logs on the terminal instead of in a file")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    options = arguments(argv)
    return command_line.run(lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    startup.hand_over()
    own_packages.require(ROOT, components, pipeline)
    explicit: dict[str, Any] = {
        "corpus.source": options.corpus,
        "model_name": options.model,
        "root": options.root,
        "serving_dir": options.serving_dir,
    }
    config = overrides.load(options.preset, options.settings, explicit)
    machines = cluster.from_environment()
    # Hidden from all components: the training processes of several machines get it, see pipeline/machines.
    tf_config = os.environ.pop(cluster.VARIABLE) if machines.processes > 1 else ""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    # Worker processes of Beam (--direct_running_mode=multi_processing) import the project's packages, too.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    # Set before TensorFlow starts: Transform uses it before the Trainer, and InfraCheck needs memory of the same GPU.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    if not machines.is_chief:
        _take_part(config, machines, tf_config, options.verbose)
    _check_summary(options.summary)
    beam.check_runner(config.beam_args)
    beam.check_job_service(config.beam_args)
    from pipeline import local

    places = Places(config)
    with local.locked(places, lambda text: print(text, flush=True)):
        staged = local.ingest(config, places)
        corpus, facts = staged.corpus, staged.facts
        from pipeline.console import Screen, duplicate_stdout, redirect_output

        log = None if options.verbose else os.path.join(places.logs, time.strftime("%Y%m%d-%H%M%S.log"))
        screen = Screen(duplicate_stdout())
        chief: Chief | None = None
        result = "it was interrupted"

        def train() -> int:
            nonlocal chief, result
            if log:
                redirect_output(log)
            if machines.processes > 1:
                chief = _open(config, places, machines, tf_config, screen)
            counted = command_line.counted(facts.documents, "document")
            screen.print(f"corpus {corpus.label}: {counted}, {facts.characters:,} characters")
            if corpus.spans:
                screen.print(f"spans {', '.join(corpus.spans)}")
            for note in filter(None, (corpus.note, facts.note)):
                screen.print(f"NOTE: {note}", style="bold yellow")
            report = local.run(config, places, screen, staged, chief.train if chief else None)
            screen.print("")
            rows = report.rows()
            screen.table(rows)
            result = "; ".join(f"{name} {value}" for name, value in rows if name in ("perplexity", "version"))
            if options.summary:
                report.write(options.summary)
            _show_text(screen, report.model, config)
            _show_next(screen, config, report.pushed_version)
            return report.exit_code

        def report_error(text: str) -> None:
            nonlocal result
            result = text.partition(": ")[2]
            screen.print(text, style="red")

        code = command_line.run(
            train,
            report=report_error,
            interrupted=screen.interrupted,
            explain=lambda error: failure.explain(error, places.root, log),
        )
        if chief:
            chief.end(code, result)
    _leave(screen, code)


def _open(config: Config, places: Places, machines: cluster.Cluster, tf_config: str, screen: Any) -> "Chief":
    """Begin to admit workers."""
    from pipeline.machines import agreement
    from pipeline.machines.chief import Chief

    chief = Chief(machines, tf_config, agreement.facts(config, places, machines), places, screen)
    screen.print(f"training on {machines.processes} machines: {', '.join(machines.addresses)}; this is the chief")
    return chief


def _take_part(config: Config, machines: cluster.Cluster, tf_config: str, verbose: bool) -> NoReturn:
    """Train as a worker of the run on the chief."""
    from pipeline.console import Screen, duplicate_stdout
    from pipeline.machines import agreement
    from pipeline.machines.worker import Worker

    places, screen = Places(config), Screen(duplicate_stdout())
    log = os.path.join(places.logs, time.strftime(f"%Y%m%d-%H%M%S-worker-{machines.position}.log"))
    facts = agreement.facts(config, places, machines)

    def work() -> int:
        with screen.component("worker"):
            return Worker(machines, tf_config, facts, places, screen, None if verbose else log).run()

    code = command_line.run(
        work,
        failures=(failure.TrainingFailed,),
        report=lambda text: screen.print(text, style="red"),
        interrupted=screen.interrupted,
    )
    _leave(screen, code)


def _show_text(screen: Any, model: str, config: Config) -> None:
    """Print text that the trained model generates."""
    import tensorflow as tf

    length = min(300, config.export.max_chars)
    generate = tf.saved_model.load(model).signatures["generate"]
    text = generate(
        prompt=tf.constant([""]),
        num_chars=tf.constant([length]),
        temperature=tf.constant([config.export.temperature]),
        top_k=tf.constant([config.export.top_k]),
        seed=tf.constant([config.seed], tf.int64),
    )["text"]
    screen.print(f"\n{length} characters at temperature {config.export.temperature:g}:\n", style="bold")
    screen.print(text.numpy()[0].decode("utf-8").replace(documents.END, "\n"))


def _show_next(screen: Any, config: Config, version: str | None) -> None:
    """Print the next commands."""
    if version is None:
        screen.print("\nNext: see `why not` above. For a lower perplexity train longer: --set training.steps=2000")
        return
    given = {"--model": config.model_name, "--root": config.root, "--serving-dir": config.serving_dir}
    usual = {"--model": Config().model_name, "--root": Config().root, "--serving-dir": None}
    options = [word for name in given if given[name] != usual[name] for word in (name, str(given[name]))]
    screen.print("\nGenerate text with it, or serve it over REST:", style="bold")
    screen.print(shell_command.of("serving", "generate", "The ", *options))
    screen.print(shell_command.of("serving", "up", *options))


def _check_summary(path: str | None) -> None:
    if path is None:
        return
    directory = Path(path).absolute().parent
    if not (directory.is_dir() and os.access(directory, os.W_OK)):
        raise UserError(
            f"The summary cannot be written: its directory is missing or read-only. Received: --summary {path}"
        )
    if os.path.isdir(path):
        raise UserError(f"The summary cannot be written: there is a directory of that name. Received: --summary {path}")


def _leave(screen: Any, code: int) -> NoReturn:
    """Exit at once: threads of Beam and TensorFlow keep an interrupted process alive."""
    with contextlib.suppress(OSError):
        screen.console.file.flush()
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
