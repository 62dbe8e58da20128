"""First steps of a new user: a Python without the packages, Ctrl-C during start-up, and commands to paste."""

import ast
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import local_runner
from components import shell_command
from pipeline.config.run import Config

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("components", "kubeflow", "pipeline", "serving", "trainer", "transform")
PROGRAMS = {
    "local_runner.py": ["local_runner.py", "--preset", "best"],
    "pipeline": ["-m", "pipeline", "clean", "--keep", "3"],
    "serving": ["-m", "serving", "generate", "The "],
    "serving.playground": ["-m", "serving.playground", "--port", "0"],
    "serving.embedded": ["-m", "serving.embedded", "--model_config_file", "models.config"],
    "kubeflow": ["-m", "kubeflow", "status"],
}
FILES = {name: name if name.endswith(".py") else f"{name.replace('.', '/')}/__main__.py" for name in PROGRAMS}


def run(command: list[str], cwd: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        command, cwd=cwd, env={**inherited, **environment}, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs, in a folder without an environment."""
    root = tmp_path_factory.mktemp("a clone")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "local_runner.py", root)
    return root


@pytest.fixture
def pasted(clone: Path, tmp_path: Path) -> Callable[..., list[str]]:
    """Start a program without packages and run the command that it prints in a shell; return that command's words."""
    for name in ("python3", "uv", "python"):
        script = tmp_path / name
        script.write_text(f'#!/bin/sh\nfor word in {name} "$@"; do printf "%s\\n" "$word"; done >> "$WORDS"\n')
        script.chmod(0o755)

    def start(arguments: list[str], cwd: Path) -> list[str]:
        done = run([sys.executable, "-S", *arguments], cwd)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
        assert done.stderr.startswith("This Python lacks packages (")
        for place, name in ((clone / ".tools" / "bin", "uv"), (clone / ".venv" / "bin", "python")):
            if name == "uv" or place.exists():
                place.mkdir(parents=True, exist_ok=True)
                shutil.copy(tmp_path / name, place)
        command = done.stderr.partition("Start it with: ")[2]
        paths = f"{tmp_path}:{os.environ['PATH']}"
        shell = run(["/bin/sh", "-c", command], cwd, PATH=paths, WORDS=str(tmp_path / "words"))
        assert shell.returncode == 0, shell.stderr
        return (tmp_path / "words").read_text().splitlines()

    return start


@pytest.mark.integration
@pytest.mark.parametrize("arguments", PROGRAMS.values(), ids=PROGRAMS)
def test_python_without_packages_prints_how_to_start_the_program(
    arguments: list[str], clone: Path, pasted: Callable[..., list[str]]
) -> None:
    install = ["python3", "-m", "pip", "install", "-qq", "--upgrade", "--target", ".tools", "uv"]
    assert pasted(arguments, clone) == [*install, "uv", "run", "python", *arguments]


@pytest.mark.integration
@pytest.mark.parametrize("arguments", PROGRAMS.values(), ids=PROGRAMS)
def test_printed_command_works_from_another_directory(
    arguments: list[str], clone: Path, pasted: Callable[..., list[str]], tmp_path: Path
) -> None:
    _, *rest = arguments if arguments[0] == "-m" else ["", *arguments]
    program = str(clone / FILES[rest[0]].removesuffix("/__main__.py"))
    words = pasted([program, *rest[1:]], tmp_path)
    assert words[7:] == [
        str(clone / ".tools"),
        "uv",
        "uv",
        "run",
        "--project",
        str(clone),
        "python",
        program,
        *rest[1:],
    ]


@pytest.mark.integration
def test_existing_environment_is_used(clone: Path, pasted: Callable[..., list[str]]) -> None:
    (clone / ".venv" / "bin").mkdir(parents=True)
    (clone / ".venv" / "bin" / "python").touch()
    try:
        assert pasted(PROGRAMS["local_runner.py"], clone) == ["python", "local_runner.py", "--preset", "best"]
    finally:
        shutil.rmtree(clone / ".venv")


def test_installation_command_is_that_of_the_readme() -> None:
    from components import startup

    words = startup._INSTALL.format(tools=".tools", project="")
    assert f"\n{words} local_runner.py\n" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("file", [*FILES.values(), "components/startup.py", "components/shell_command.py"])
def test_old_python_parses_the_files_that_check_its_version(file: str) -> None:
    ast.parse((ROOT / file).read_text(encoding="utf-8"), feature_version=(3, 8))


@pytest.mark.integration
@pytest.mark.parametrize("program", FILES)
def test_old_python_is_reported(program: str) -> None:
    """The version is faked; the test above checks that an old Python parses the files."""
    old = f"import runpy, sys; sys.version_info = (3, 8, 1); sys.argv = ['x', '--flag']; sys.path[0] = {str(ROOT)!r}; "
    start = f"runpy.run_path({str(ROOT / program)!r}, run_name='__main__')"
    if program in PROGRAMS and not program.endswith(".py"):
        start = f"runpy.run_module({program!r}, run_name='__main__')"
    done = run([sys.executable, "-c", old + start], ROOT)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
    assert done.stderr.startswith("This is Python 3.8, and 3.10 is needed. Start it with: ")
    assert done.stderr.endswith(f"{shlex.join(PROGRAMS[program][: 1 if program.endswith('.py') else 2])} --flag\n")


@pytest.mark.integration
@pytest.mark.parametrize(
    ("statement", "answer"),
    [
        (
            "import no_such_package.part",
            r"This Python lacks packages \(no_such_package\)\. Start it with: .* serving\n",
        ),
        ("import components.no_such_module", r"Traceback .*\nModuleNotFoundError: .*'components\.no_such_module'\n"),
        ("import json.no_such_module", r"Traceback .*\nModuleNotFoundError: .*'json\.no_such_module'.*\n"),
        ("raise ModuleNotFoundError('a reason')", r"Traceback .*\nModuleNotFoundError: a reason\n"),
        ("raise ValueError('a reason')", r"Traceback .*\nValueError: a reason\n"),
    ],
)
def test_missing_package_is_reported_and_other_errors_are_not_hidden(statement: str, answer: str) -> None:
    code = f"from components import startup; startup.begin('serving'); {statement}"
    done = run([sys.executable, "-c", code], ROOT)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(answer, done.stderr, re.DOTALL), done.stderr


# Ctrl-C


class Started:
    """A running program that can be interrupted a certain time after it imports a module."""

    def __init__(self, arguments: list[str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-X", "importtime", *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def interrupted(self, module: str, seconds: float, number: signal.Signals = signal.SIGINT) -> tuple[int, str]:
        """Send it a signal; return its exit code and its output."""
        process = self._process
        assert process.stderr is not None
        try:
            found = any(re.search(rf"\| +{re.escape(module)}$", line) for line in process.stderr)
            assert found, "the module was not imported"
            time.sleep(seconds)
            assert process.poll() is None, "it must still be running"
            process.send_signal(number)
            out, error = process.communicate(timeout=60)
        finally:
            process.kill()
        output = [line for line in error.splitlines() if not line.startswith("import time:")]
        return process.returncode, out + "\n".join(output)


WAITING = {  # programs that run until they are interrupted
    "local_runner.py": lambda root: ["local_runner.py", "--corpus", "sample", "--root", str(root)],
    "serving": lambda root: ["-m", "serving", "score", "-", "--root", str(root)],
    "serving.playground": lambda root: ["-m", "serving.playground", "--port", "0"],
    "kubeflow": lambda root: [*("-m", "kubeflow", "compile", "--image", "a/b:1", "--output", f"{root}.yaml"), *CLUSTER],
}
CLUSTER = ("--root", "/state", "--serving-dir", "/serving")


@pytest.mark.integration
@pytest.mark.parametrize("seconds", [0.0, 0.02, 0.1, 0.25, 0.5])
@pytest.mark.parametrize("program", WAITING)
def test_ctrl_c_during_start_up_prints_interrupted(program: str, seconds: float, tmp_path: Path) -> None:
    """Each program imports `argparse` early."""
    code, output = Started(WAITING[program](tmp_path / "root")).interrupted("argparse", seconds)
    assert code == 130, output
    assert re.search(r"^interrupted", output, re.MULTILINE), output
    assert "Traceback" not in output
    assert "KeyboardInterrupt" not in output


@pytest.mark.integration
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("program", ["local_runner.py", "kubeflow"])
def test_other_signals_end_a_run_like_ctrl_c(program: str, number: signal.Signals, tmp_path: Path) -> None:
    code, output = Started(WAITING[program](tmp_path / "root")).interrupted("argparse", 0.0, number)
    assert code == 130, output
    assert re.search(r"^interrupted", output, re.MULTILINE), output


@pytest.mark.integration
@pytest.mark.parametrize("module", ["uvicorn", "starlette.applications"])
def test_playground_stops_at_once_while_it_starts(module: str, tmp_path: Path) -> None:
    """The signal comes before uvicorn handles it; `up` would wait until its end."""
    code, output = Started(WAITING["serving.playground"](tmp_path)).interrupted(module, 0.0, signal.SIGTERM)
    assert code == 0, output
    assert "Traceback" not in output


@pytest.mark.integration
@pytest.mark.parametrize("module", ["tensorflow.python.tf2", "tensorflow.python.framework.ops", "tensorflow._api.v2"])
@pytest.mark.parametrize("program", ["local_runner.py", "kubeflow", "generate"])
def test_ctrl_c_during_the_import_of_tensorflow(program: str, module: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    version = root / "serving" / "char_rnn" / "1"
    version.mkdir(parents=True)
    (version / "saved_model.pb").touch()
    arguments = {
        # --verbose shows standard error, where the test reads the imports.
        "local_runner.py": [*WAITING["local_runner.py"](root), "--verbose"],
        "kubeflow": WAITING["kubeflow"](root),
        "generate": ["-m", "serving", "generate", "--root", str(root)],
    }
    code, output = Started(arguments[program]).interrupted(module, 0.0)
    assert code == 130, output
    assert re.search(r"^interrupted", output, re.MULTILINE), output
    assert "Traceback" not in output


# Commands to paste


@pytest.mark.integration
@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.parametrize("program", [program for program in PROGRAMS if program != "serving.embedded"])
def test_printed_command_works_when_pasted(
    program: str, elsewhere: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path if elsewhere else ROOT
    monkeypatch.chdir(directory)
    done = run(["/bin/sh", "-c", shell_command.of(program, "--help")], directory)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: {'' if program.endswith('.py') else 'python -m '}{program}")


@pytest.mark.parametrize(
    ("given", "options"),
    [
        ({}, []),
        ({"model_name": "poems"}, ["--model", "poems"]),
        ({"root": "my output", "serving_dir": "/srv/it's"}, ["--root", "my output", "--serving-dir", "/srv/it's"]),
    ],
)
def test_run_ends_with_commands_for_the_pushed_model(given: dict[str, str], options: list[str]) -> None:
    lines = _next_of(Config(**given), "7")
    assert [shlex.split(line) for line in lines[1:]] == [
        [*shlex.split(shell_command.of("serving", "generate", "The ")), *options],
        [*shlex.split(shell_command.of("serving", "up")), *options],
    ]


def test_run_that_pushed_nothing_prints_no_serving_command() -> None:
    assert not any("serving" in line for line in _next_of(Config(), None))


def _next_of(config: Config, version: str | None) -> list[str]:
    lines: list[str] = []

    class Screen:
        def print(self, text: str, style: str = "") -> None:
            lines.append(text)

    local_runner._show_next(Screen(), config, version)
    return lines


@pytest.mark.integration
def test_printed_command_keeps_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(["/bin/sh", "-c", shell_command.of("serving", "versions", "--root", "my output")], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"pushed to {tmp_path / 'my output' / 'serving' / 'char_rnn'}" in done.stdout
