"""Every command in the documentation parses, with the program's own parser, and a test runs the program."""

import dataclasses
import importlib
import re
import sys
from typing import Any

import pytest

from pipeline.config import overrides
from tests.docs import markdown
from tests.docs.markdown import ROOT, Block, Command

# The programs of this project. The test file runs the commands that need minutes or a server.
PROGRAMS = {
    "local_runner.py": "tests/test_e2e.py",
    "pipeline": "tests/pipeline/test_main.py",
    "serving": "tests/serving/test_main.py",
    "serving.playground": "tests/serving/playground/test_main.py",
    "kubeflow": "tests/kubeflow/test_main.py",  # against a small server of the KFP API
    "kubeflow rehearse": "tests/kubeflow/test_rehearsal_kfp.py",
    "kubeflow tfjob": "tests/kubeflow/compile/test_tfjob.py",
    "scripts/check": "tests/test_scripts.py",
    "scripts/check_numerics": "tests/test_scripts.py",
    "scripts/fuzz.py": "tests/scripts/test_fuzz.py",
    "scripts/soak.py": "tests/scripts/test_soak.py",
}
BENCHMARK = re.compile(r"benchmarks/(\w+)\.py")
EXAMPLES = ("KEY=VALUE", "serving.KEY=VALUE")  # placeholders


class Parsed(BaseException):
    """Raised in place of running the program."""


def parse(command: Command, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Parse a command with the parser that its program builds."""
    import argparse

    original = argparse.ArgumentParser.parse_args
    found: list[argparse.Namespace] = []

    def parse_args(parser: argparse.ArgumentParser, args: Any = None, namespace: Any = None) -> Any:
        found.append(original(parser, args, namespace))
        raise Parsed

    name = BENCHMARK.sub(r"benchmarks.\1", command.program)
    name = name.removesuffix(".py") if "." in name else f"{name}.__main__"
    module = importlib.import_module("serving.playground.__main__" if name == "serving.playground" else name)
    with monkeypatch.context() as patched:
        patched.setattr(argparse.ArgumentParser, "parse_args", parse_args)
        patched.setattr(sys, "argv", [command.program, *command.arguments])
        with pytest.raises(Parsed):
            module.main() if name.startswith("benchmarks.") else module.main(command.arguments)
    return found[0]


def ids(commands: list[Command]) -> dict[str, Command]:
    return {str(command): command for command in commands}


def is_ours(command: Command) -> bool:
    return command.program in PROGRAMS or bool(BENCHMARK.match(command.program))


COMMANDS = ids(markdown.commands())
OURS = {name: command for name, command in COMMANDS.items() if is_ours(command)}
INLINE = ids([command for command in markdown.inline() if is_ours(command)])
PACKAGES = {
    name: one for name, one in {**OURS, **INLINE}.items() if not one.program.startswith(("benchmarks/", "scripts/"))
}
BENCHMARKS = {name: one for name, one in {**OURS, **INLINE}.items() if one.program.startswith("benchmarks/")}
SETTINGS = {
    f"{command}: {setting}": setting
    for command in [*COMMANDS.values(), *markdown.inline()]
    for option, setting in zip(command.words, command.words[1:])
    if option == "--set" and setting not in EXAMPLES
}


def test_commands_are_found() -> None:
    assert len(OURS) > 40
    assert len(INLINE) > 10
    assert len(SETTINGS) > 30
    pages = {command.page for command in OURS.values()}
    assert {"README.md", "docs/getting_started.md", "docs/serving.md", "docs/kubeflow.md"} <= pages


def test_block_splits_into_commands() -> None:
    text = "a 'b c' \\\n  d && .tools/bin/uv run --group dev python x.py | e &\ncat <<'EOF'\nb: 1\nEOF\n# a comment\n"
    block = Block("page", "bash", text)
    assert [command.words for command in block.commands()] == [("a", "b c", "d"), ("python", "x.py"), ("e",), ("cat",)]
    assert block.here_documents() == ["b: 1\n"]


@pytest.mark.parametrize("block", markdown.blocks(), ids=lambda block: f"{block.page}: {block.text.splitlines()[0]}")
def test_block_has_a_known_language_and_known_needs(block: Block) -> None:
    assert block.language in markdown.LANGUAGES
    assert block.needs <= markdown.NEEDS.keys()


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_command_of_another_program_is_marked(command: Command) -> None:
    assert is_ours(command) or command.needs or command.program == "curl"


@pytest.mark.parametrize("command", OURS.values(), ids=OURS)
def test_program_is_run_by_another_test(command: Command) -> None:
    specific = " ".join([command.program, *command.arguments[:1]])
    file = PROGRAMS.get(specific) or PROGRAMS.get(command.program)
    file = file or BENCHMARK.sub(r"tests/benchmarks/test_\1.py", command.program)
    assert "def test_" in (ROOT / file).read_text(encoding="utf-8")


@pytest.mark.parametrize("command", PACKAGES.values(), ids=PACKAGES)
def test_command_parses(command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    mentioned = command in INLINE.values() and not any(word.startswith("--") for word in command.arguments)
    if mentioned or command.arguments[-1:] == ["--help"]:
        with pytest.raises(SystemExit, match="0"):
            parse(dataclasses.replace(command, words=(*command.words, "--help")), monkeypatch)
        return
    options = parse(command, monkeypatch)
    if hasattr(options, "preset"):
        overrides.load(options.preset, options.settings)


@pytest.mark.integration
@pytest.mark.parametrize("command", BENCHMARKS.values(), ids=BENCHMARKS)
def test_benchmark_command_parses(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    parse(command, monkeypatch)


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_setting_exists(setting: str) -> None:
    overrides.load("quick", ["training.epochs=none", setting] if setting.startswith("training.steps") else [setting])


def test_scripts_exist() -> None:
    for command in OURS.values():
        if command.program.startswith("scripts/"):
            assert (ROOT / command.program).stat().st_mode & 0o100


@pytest.mark.parametrize(
    ("option", "table"), [("--group", "dependency-groups"), ("--extra", "project.optional-dependencies")]
)
def test_groups_and_extras_exist(option: str, table: str) -> None:
    text = "".join(block.text for block in markdown.blocks() if block.language == "bash")
    named = set(re.findall(rf"{option} (\w+)", text))
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8").partition(f"[{table}]")[2].partition("\n[")[0]
    assert named
    for name in named:
        assert re.search(rf"^{name} = \[", project, re.M), name
