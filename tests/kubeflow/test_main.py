"""The command line; `test_compiler` checks the compiled pipeline."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kubeflow import __main__ as program
from kubeflow import rehearsal

ROOT = Path(__file__).resolve().parents[2]
PIPELINE = "pipelineInfo: {name: char-rnn}\nschemaVersion: 2.1.0\nroot: {dag: {tasks: {}}}\n"


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "_compiled", lambda *_, **__: PIPELINE)


@pytest.mark.integration
@pytest.mark.usefixtures("compiled")
def test_deploy_twice_pause_and_delete(state: Any, capsys: pytest.CaptureFixture[str]) -> None:
    host = ["--host", state.address]
    assert program.main(["deploy", "--dry-run", "--image", "i:1", "--cron", "0 0 3 * * *", *host]) == 0
    assert state.writes() == []
    assert program.main(["deploy", "--image", "i:1", "--cron", "0 0 3 * * *", "--param", "corpus=sample", *host]) == 0
    first = list(state.writes())
    assert program.main(["deploy", "--image", "i:1", "--cron", "0 0 3 * * *", "--param", "corpus=sample", *host]) == 0
    assert state.writes() == first
    for command in ("pause", "status", "resume", "delete"):
        assert program.main([command, *host]) == 0
    assert program.main(["submit", "--image", "i:1", *host]) == 0
    printed = capsys.readouterr().out
    for word in ("uploaded", "exists already", "paused", "resumed", "deleted", "started"):
        assert word in printed


@pytest.mark.usefixtures("compiled")
def test_rehearsal_prints_the_versions_that_were_pushed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(rehearsal, "run", lambda *_: None)
    command = ["rehearse", "--workspace", str(tmp_path)]
    assert program.main(command) == 0
    assert "none, because no model was blessed" in capsys.readouterr().out
    version = tmp_path / "serving" / "char_rnn" / "3"
    version.mkdir(parents=True)
    (version / "saved_model.pb").touch()
    assert program.main(command) == 0
    assert capsys.readouterr().out.endswith(f"{version.parent}: 3\n")


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (["deploy", "--image", "i:1", "--cron", "0 3 * * *"], "six fields"),
        (["deploy", "--image", "i:1"], "A schedule is needed"),
        (["deploy", "--backend", "vertex", "--image", "i:1", "--cron", "0 0 3 * * *"], "five fields"),
        (["submit", "--image", "i:1", "--param", "steps=3"], "parameters corpus, preset, model"),
        (["submit", "--image", "i:1", "--param", 'training={"stepps": 3}'], "Did you mean training.steps"),
        (["submit", "--image", "i:1", "--param", "corpus="], "`corpus` names no text"),
        (["status", "--host", "http://127.0.0.1:9"], "Failed to establish a new connection"),
        (["submit", "--image", "i:1", "--host", "localhost:8080"], "begin with the protocol, http://localhost:8080"),
        (["deploy", "--image", "i:1", "--cron", "@daily", "--host", "http://x:99999"], "the port is a number"),
        (["status", "--proxy", "http://"], "Received: --proxy http://"),
        (["rehearse", "--workspace", "/proc/x"], "cannot be created"),
        (["compile", "--image", "i:1", "--output", "/"], "ends with .yaml"),
        (["compile", "--image", "i:1", "--output", "x.json"], "ends with .yaml"),
        (["compile", "--output", "x.yaml"], "container image"),
        (["compile", "--image", "i:1", "--output", "x.yaml", "--set", "cluster.rot=/x"], "Did you mean cluster.root"),
    ],
)
def test_mistake_is_one_paragraph_and_exit_code_2(
    command: list[str],
    reason: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    if "i:1" in command and "x.yaml" not in command:
        request.getfixturevalue("compiled")
    for variable in ("KFP_NAMESPACE", "KF_PIPELINES_ENDPOINT"):
        monkeypatch.delenv(variable, raising=False)
    assert program.main(command) == 2
    printed = capsys.readouterr().err
    assert reason in printed
    assert printed.count("\n") == 1


@pytest.mark.parametrize(
    "command",
    [
        ["compile", "--output", "x.json"],
        ["compile", "--output", "/no/such/x.yaml"],
        ["submit", "--host", "localhost:8080"],
        ["deploy", "--cron", "@daily", "--host", "localhost:8080"],
        ["deploy", "--cron", "@daily", "--host", "http://127.0.0.1:9"],
    ],
)
def test_nothing_is_compiled_in_vain(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "_compiled", lambda *_: pytest.fail("compiled"))
    assert program.main([*command, "--image", "i:1"]) == 2


def test_unwritable_file_is_explained(compiled: None, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert program.main(["compile", "--image", "i:1", "--output", str(tmp_path / "no" / "x.yaml")]) == 2
    assert "cannot be written: No such file or directory" in capsys.readouterr().err
    (tmp_path / "folder.yaml").mkdir()
    assert program.main(["compile", "--image", "i:1", "--output", str(tmp_path / "folder.yaml")]) == 2
    assert "cannot be written: Is a directory" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["folder.yaml"], "no partial file remains"


@pytest.mark.integration
@pytest.mark.parametrize("command", ["['status']", "['deploy', '--image', 'i:1', '--cron', '0 0 3 * * *']"])
def test_without_the_extra_the_package_to_install_is_named(command: str) -> None:
    code = "import sys; sys.modules.update({'kfp': None, 'kfp_server_api': None})\n"
    code += f"from kubeflow.__main__ import main; sys.exit(main({command}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: The package kfp is needed for this: uv sync --extra kubeflow.")
    assert done.stderr.count("\n") == 1


@pytest.mark.integration
def test_failing_server_is_one_paragraph(state: Any, capsys: pytest.CaptureFixture[str]) -> None:
    for status in (401, 500, "page", "circle", b"ok"):
        state.failures = [[99, "", status]]
        assert program.main(["status", "--host", state.address]) == 2
        printed = capsys.readouterr().err
        assert printed.startswith("error: ")
        assert "the Kubeflow Pipelines " in printed.replace("The", "the")
        assert printed.count("\n") == 1


@pytest.mark.integration
def test_our_packages_take_precedence_over_those_of_the_index(tmp_path: Path) -> None:
    """The environment has the index's packages `kubeflow` and `tests`, as an image may."""
    site = tmp_path / "site-packages"
    for package in ("kubeflow", "kubeflow/trainer", "tests"):
        (site / package).mkdir(parents=True)
        (site / package / "__init__.py").write_text("raise SystemExit('the package of the index was imported')\n")
    (site / "kubeflow" / "entrypoint.py").touch()
    # addsitedir puts them before the packages of the environment, like a .pth file.
    code = f"import site, sys; site.addsitedir({str(site)!r}); import runpy; sys.argv = ['x', '--help']; "
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for module in ("kubeflow", "kubeflow.entrypoint"):
        command = [sys.executable, "-c", code + f"runpy.run_module({module!r}, run_name='__main__')"]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert f"python -m {module}" in done.stdout
    # Control: without our root on PYTHONPATH, the packages of the index are imported.
    environment["PYTHONPATH"] = str(site)
    done = subprocess.run(
        [sys.executable, "-m", "kubeflow"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert "the package of the index was imported" in done.stderr
