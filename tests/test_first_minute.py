"""What a new user meets first: a Python without the packages, Ctrl-C at once, and commands to paste."""

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
def told(clone: Path, tmp_path: Path) -> Callable[..., list[str]]:
    """Start a program without packages and paste what it says into a shell; returns the words that are started then."""
    for name in ("python3", "uv", "python"):
        script = tmp_path / name
        script.write_text(f'#!/bin/sh\nfor word in {name} "$@"; do printf "%s\\n" "$word"; done >> "$SAID"\n')
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
        pasted = run(["/bin/sh", "-c", command], cwd, PATH=paths, SAID=str(tmp_path / "said"))
        assert pasted.returncode == 0, pasted.stderr
        return (tmp_path / "said").read_text().splitlines()

    return start


@pytest.mark.integration
@pytest.mark.parametrize("arguments", PROGRAMS.values(), ids=PROGRAMS)
def test_without_packages_a_line_says_how_to_start_it(
    arguments: list[str], clone: Path, told: Callable[..., list[str]]
) -> None:
    install = ["python3", "-m", "pip", "install", "-qq", "--upgrade", "--target", ".tools", "uv"]
    assert told(arguments, clone) == [*install, "uv", "run", "python", *arguments]


@pytest.mark.integration
@pytest.mark.parametrize("arguments", PROGRAMS.values(), ids=PROGRAMS)
def test_without_packages_it_works_from_elsewhere_too(
    arguments: list[str], clone: Path, told: Callable[..., list[str]], tmp_path: Path
) -> None:
    _, *rest = arguments if arguments[0] == "-m" else ["", *arguments]
    program = str(clone / FILES[rest[0]].removesuffix("/__main__.py"))
    words = told([program, *rest[1:]], tmp_path)
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
def test_an_environment_that_is_there_is_used(clone: Path, told: Callable[..., list[str]]) -> None:
    (clone / ".venv" / "bin").mkdir(parents=True)
    (clone / ".venv" / "bin" / "python").touch()
    try:
        assert told(PROGRAMS["local_runner.py"], clone) == ["python", "local_runner.py", "--preset", "best"]
    finally:
        shutil.rmtree(clone / ".venv")


def test_the_words_for_the_installation_are_those_of_the_readme() -> None:
    from components import startup

    words = startup._INSTALL.format(tools=".tools", project="")
    assert f"\n{words} local_runner.py\n" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("file", [*FILES.values(), "components/startup.py", "components/shell_command.py"])
def test_an_old_python_can_read_what_tells_it_so(file: str) -> None:
    ast.parse((ROOT / file).read_text(encoding="utf-8"), feature_version=(3, 8))


@pytest.mark.integration
@pytest.mark.parametrize("program", FILES)
def test_an_old_python_is_told(program: str) -> None:
    """Its version is made up: nothing before the answer may need a newer one, which the test above looks after."""
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
def test_a_package_that_is_missed_later_is_told_and_no_other_mistake_is_hidden(statement: str, answer: str) -> None:
    code = f"from components import startup; startup.begin('serving'); {statement}"
    done = run([sys.executable, "-c", code], ROOT)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(answer, done.stderr, re.DOTALL), done.stderr


# Ctrl-C


class Started:
    """A program, interrupted at a moment that is counted from the import of a module."""

    def __init__(self, arguments: list[str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-X", "importtime", *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def interrupted(self, module: str, seconds: float) -> tuple[int, str]:
        """Exit code, and what the program itself said."""
        process = self._process
        assert process.stderr is not None
        try:
            found = any(re.search(rf"\| +{re.escape(module)}$", line) for line in process.stderr)
            assert found, "it does not import this"
            time.sleep(seconds)
            assert process.poll() is None, "it must still be running"
            process.send_signal(signal.SIGINT)
            out, error = process.communicate(timeout=60)
        finally:
            process.kill()
        said = [line for line in error.splitlines() if not line.startswith("import time:")]
        return process.returncode, out + "\n".join(said)


WAITING = {  # programs that do not end before they are interrupted
    "local_runner.py": lambda root: ["local_runner.py", "--corpus", "sample", "--root", str(root)],
    "serving": lambda root: ["-m", "serving", "score", "-", "--root", str(root)],
    "serving.playground": lambda root: ["-m", "serving.playground", "--port", "0"],
    "kubeflow": lambda root: [*("-m", "kubeflow", "compile", "--image", "a/b:1", "--output", f"{root}.yaml"), *CLUSTER],
}
CLUSTER = ("--root", "/state", "--serving-dir", "/serving")


@pytest.mark.integration
@pytest.mark.parametrize("seconds", [0.0, 0.02, 0.1, 0.25, 0.5])
@pytest.mark.parametrize("program", WAITING)
def test_ctrl_c_at_once_is_said_in_a_word(program: str, seconds: float, tmp_path: Path) -> None:
    """`argparse` is among the first modules that each of them imports."""
    code, said = Started(WAITING[program](tmp_path / "root")).interrupted("argparse", seconds)
    assert code == 130, said
    assert re.search(r"^interrupted", said, re.MULTILINE), said
    assert "Traceback" not in said
    assert "KeyboardInterrupt" not in said


@pytest.mark.integration
@pytest.mark.parametrize("module", ["tensorflow.python.tf2", "tensorflow.python.framework.ops", "tensorflow._api.v2"])
@pytest.mark.parametrize("program", ["local_runner.py", "kubeflow", "generate"])
def test_ctrl_c_while_tensorflow_is_imported(program: str, module: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    version = root / "serving" / "char_rnn" / "1"
    version.mkdir(parents=True)
    (version / "saved_model.pb").touch()
    arguments = {
        # With frameworks' output on standard error, where the test reads what is imported.
        "local_runner.py": [*WAITING["local_runner.py"](root), "--verbose"],
        "kubeflow": WAITING["kubeflow"](root),
        "generate": ["-m", "serving", "generate", "--root", str(root)],
    }
    code, said = Started(arguments[program]).interrupted(module, 0.0)
    assert code == 130, said
    assert re.search(r"^interrupted", said, re.MULTILINE), said
    assert "Traceback" not in said


# Commands to paste


@pytest.mark.integration
@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.parametrize("program", [program for program in PROGRAMS if program != "serving.embedded"])
def test_a_command_works_when_it_is_pasted(
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
def test_a_run_ends_with_commands_that_find_what_it_pushed(given: dict[str, str], options: list[str]) -> None:
    said = _next_of(Config(**given), "7")
    assert [shlex.split(line) for line in said[1:]] == [
        [*shlex.split(shell_command.of("serving", "generate", "The ")), *options],
        [*shlex.split(shell_command.of("serving", "up")), *options],
    ]


def test_a_run_that_pushed_nothing_names_no_command() -> None:
    assert not any("serving" in line for line in _next_of(Config(), None))


def _next_of(config: Config, version: str | None) -> list[str]:
    said: list[str] = []

    class Screen:
        def say(self, text: str, style: str = "") -> None:
            said.append(text)

    local_runner._show_next(Screen(), config, version)
    return said


@pytest.mark.integration
def test_a_command_keeps_the_directory_that_the_user_is_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(["/bin/sh", "-c", shell_command.of("serving", "versions", "--root", "my output")], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"pushed to {tmp_path / 'my output' / 'serving' / 'char_rnn'}" in done.stdout
