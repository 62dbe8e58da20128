"""The model is that of a named server, the default address, the newest pushed version, or a checkpoint."""

import argparse
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.errors import UserError
from pipeline.config.run import Config
from serving.client.blocking import Client
from serving.commands.shared import config_options, model_source
from serving.commands.shared.local_model import LocalModel
from serving.tf_serving import model_config
from serving.tf_serving.model_config import ServedModel, Specific

pytestmark = pytest.mark.integration


def parsed(*arguments: str) -> tuple[argparse.Namespace, Config]:
    parser = argparse.ArgumentParser()
    model_source.add_arguments(parser)
    config_options.add_arguments(parser)
    options = parser.parse_args(list(arguments))
    return options, config_options.load(options)


def port(url: str) -> str:
    return f"serving.rest_port={url.rpartition(':')[2]}"


NO_SERVER = "serving.rest_port=1"


def test_default_is_the_server_at_the_default_address(served: Any) -> None:
    with model_source.chosen(*parsed("--model", "tiny", "--set", port(served.url))) as (model, where):
        assert isinstance(model, Client)
        assert where == f"tiny (newest version) at {served.url}"


def test_description_has_no_password(served: Any) -> None:
    url = served.url.replace("//", "//user:secret@")
    with model_source.chosen(*parsed("--model", "tiny", "--url", url)) as (_, where):
        assert where == f"tiny (newest version) at {served.url}"


def test_without_a_server_it_is_the_newest_pushed_version(
    served: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    how: Any = {"num_chars": 40, "seed": 4}
    with Client(served.url, served.model) as client:
        expected = client.generate(["A"], **how)
    monkeypatch.chdir(tmp_path)
    Path("output").symlink_to(served.root)  # the default root
    with model_source.chosen(*parsed("--model", "tiny", "--set", NO_SERVER)) as (model, where):
        assert isinstance(model, LocalModel)
        assert where == "tiny (version 3) in this process"
        assert model.generate(["A"], **how) == expected
    # A server of other models only does not count.
    with (
        pytest.raises(UserError, match="nothing serves char_rnn"),
        model_source.chosen(*parsed("--set", port(served.url))),
    ):
        pass


@pytest.mark.parametrize("option", ["--root", "--serving-dir"])
def test_explicit_directory_takes_precedence_over_a_server(option: str, served: Any, tmp_path: Path) -> None:
    folder = tmp_path / "serving" if option == "--root" else tmp_path
    shutil.copytree(Path(served.root) / "serving" / "tiny" / "3", folder / "tiny" / "0008")
    arguments = ["--model", "tiny", option, str(tmp_path), "--set", port(served.url)]
    with model_source.chosen(*parsed(*arguments)) as (model, where):
        assert isinstance(model, LocalModel)
        assert where == "tiny (version 8) in this process"
    with model_source.chosen(*parsed(*arguments, "--url", served.url)) as (model, where):
        assert isinstance(model, Client)


@pytest.fixture
def chosen_directory(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Return the directory that would be loaded."""
    loaded: list[str] = []
    monkeypatch.setattr(LocalModel, "load", loaded.append)

    def choose(*arguments: str) -> str:
        with model_source.chosen(*parsed(*arguments)):
            return Path(loaded[-1]).name

    return choose


def test_withdrawn_version_is_not_loaded(
    root: Path, push: Callable[..., Path], chosen_directory: Callable[..., str]
) -> None:
    for version in (1, 2, 3):
        push(version)
    where = ("--root", str(root))
    assert chosen_directory(*where) == "3"
    entry = ServedModel("char_rnn", str(root / "serving" / "char_rnn"), Specific((1, 2)), {"stable": 1, "lost": 9})
    config = root / "serving" / "models.config"
    config.write_text(model_config.merged("", entry))
    assert chosen_directory(*where) == "2"
    assert chosen_directory(*where, "--label", "stable") == "1"
    assert chosen_directory(*where, "--version", "3") == "3"
    for label, message in (("beta", "there are: lost, stable. Set one"), ("lost", "Received: version 9 in models")):
        with pytest.raises(UserError, match=message):
            chosen_directory(*where, "--label", label)
    config.write_text(model_config.merged("", replace(entry, policy=Specific((9,)))))
    with pytest.raises(UserError, match="No version of char_rnn is served"):
        chosen_directory(*where)


def test_version_that_was_not_pushed(pushed: str) -> None:
    options = parsed("--model", "tiny", "--root", pushed, "--set", NO_SERVER, "--version", "9")
    with pytest.raises(UserError, match="there are: 3. Received: --version 9"), model_source.chosen(*options):
        pass


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--label", "stable", "--root", "/nowhere"], "Received: /nowhere/serving/char_rnn"),
        (["--checkpoint", "--url", "http://x", "--version", "1"], "--url and --version"),
        (["--set", NO_SERVER, "--root", "/nowhere"], "/nowhere/serving/char_rnn"),
        (["--checkpoint", "/nowhere"], "no checkpoint"),
    ],
)
def test_no_model_is_a_user_error(arguments: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message), model_source.chosen(*parsed(*arguments)):
        pass


def test_checkpoint_below_the_root(tmp_path: Path) -> None:
    import tensorflow as tf

    from pipeline.config.training import ModelConfig
    from serving.graph.one_step import Defaults
    from trainer import checkpoint, export
    from trainer.checkpoint import Checkpoints, Position
    from trainer.model import LanguageModel
    from transform.vocabulary import Vocabulary

    vocabulary = Vocabulary(tuple(map(ord, "\n abé")))
    model = LanguageModel(vocabulary.size, 3, 5)
    optimizer = tf.Variable(0.0)
    folder = str(tmp_path / "checkpoints" / "key" / "cpu")
    checkpoint.describe(folder, vocabulary, ModelConfig(embedding=3, units=5), True)
    checkpoints = Checkpoints(folder, model, optimizer, 2, True, False)
    checkpoints.save(Position(step=1_200), [np.zeros((2, 5), np.float32)])
    how: Any = {"num_chars": 30, "seed": 4}
    with model_source.chosen(*parsed("--root", str(tmp_path), "--checkpoint")) as (restored, where):
        assert where.startswith(f"the checkpoint of step 1,200 in {folder}")
        exported = LocalModel.of(export.one_step(model, vocabulary, Defaults(**Config().export.model_dump())))
        assert restored.generate(["a", "é"], **how) == exported.generate(["a", "é"], **how)
