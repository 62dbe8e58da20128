"""`scripts/check`, `scripts/check_numerics`, and `.ci/run`, with fakes of the programs that they start."""

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration
Done = subprocess.CompletedProcess
ROOT = Path(__file__).resolve().parents[1]
TESTS = "uv run --no-compile-bytecode --group dev pytest"
STEPS = {
    "lint": "ruff check .",
    "format": "ruff format --check .",
    "types": "mypy",
    "imports": "lint-imports --no-logo --no-cache",
    "words": "python scripts/check_words",
    "unit": "pytest -q -m unit",
}


def program(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/bash\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def check(tmp_path: Path) -> Callable[[str], list[str]]:
    """Return a function that copies `scripts/check`, with this script as `uv`, and returns its command."""

    def command(uv: str) -> list[str]:
        (tmp_path / "scripts").mkdir()
        shutil.copy(ROOT / "scripts" / "check", tmp_path / "scripts")
        program(tmp_path / ".tools" / "bin" / "uv", uv)
        return [str(tmp_path / "scripts" / "check")]

    return command


def outcomes(output: str) -> list[list[str]]:
    return [line.split()[:2] for line in output.splitlines()[-len(STEPS) :]]


def test_check_lists_its_steps(check: Callable[[str], list[str]], tmp_path: Path) -> None:
    done = subprocess.run(check(f'echo "$*" >> {tmp_path}/calls'), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert outcomes(done.stdout) == [[step, "passed"] for step in STEPS]
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls[0] == "run --quiet --group dev true", "the environment is synced before the steps start"
    assert {call.removeprefix("run --quiet --no-sync ") for call in calls[1:]} == set(STEPS.values())


@pytest.mark.parametrize(("step", "started"), [("lint", "ruff check"), ("types", "mypy"), ("unit", "pytest")])
def test_check_prints_the_output_of_a_failing_step(step: str, started: str, check: Callable[[str], list[str]]) -> None:
    uv = f'case "$*" in *"{started}"*) echo the reason; exit 3;; *) echo other output;; esac'
    done = subprocess.run(check(f'[ "$5" = true ] && exit; {uv}'), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"--- {step} ---\nthe reason\n" in done.stdout
    assert "other output" not in done.stdout.partition("---")[2]
    assert [step, "FAILED"] in outcomes(done.stdout)
    assert sum(outcome == "passed" for _, outcome in outcomes(done.stdout)) == len(STEPS) - 1


def test_check_prints_how_to_install_uv(check: Callable[[str], list[str]], tmp_path: Path) -> None:
    command = check("true")
    shutil.rmtree(tmp_path / ".tools")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "python3 -m pip install -qq --upgrade --target .tools uv" in done.stderr
    assert done.stderr.count("\n") == 1


def test_interrupt_ends_all_started_programs(check: Callable[[str], list[str]], tmp_path: Path) -> None:
    sleep = f'import os, time; print(os.getpid(), file=open("{tmp_path}/pids", "a"), flush=True); time.sleep(60)'
    command = check(f'[ "$4" = true ] && exit; [ "$5" = true ] && exit; {sys.executable} -c \'{sleep}\'; true')
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        end = time.monotonic() + 20
        while not (tmp_path / "pids").exists() or len((tmp_path / "pids").read_text().split()) < len(STEPS):
            assert time.monotonic() < end
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert process.stderr is not None
        assert process.stderr.read().splitlines()[-1] == "interrupted"
    assert not [pid for pid in (tmp_path / "pids").read_text().split() if Path("/proc", pid).exists()]


@pytest.fixture
def check_numerics(tmp_path: Path) -> Callable[..., list[str]]:
    """Return a function that runs a copy with these processor flags and with this script as Python."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "check_numerics", tmp_path / "scripts")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_some.py").write_text("pytestmark = pytest.mark.numeric")
    (tmp_path / "tests" / "test_others.py").write_text("")

    def lines(flags: str, python: str, *arguments: str, code: int = 0) -> list[str]:
        program(tmp_path / ".venv" / "bin" / "python", python)
        grep = f'case "$*" in *cpuinfo) [[ " {flags} " == *" $2 "* ]];; *) exec {shutil.which("grep")} "$@";; esac'
        program(tmp_path / "bin" / "grep", grep)
        environment = {"PATH": f"{tmp_path}/bin:/usr/bin:/bin", "ONEDNN_MAX_CPU_ISA": "AVX"}
        command = [str(tmp_path / "scripts" / "check_numerics"), *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (code, "")
        return done.stdout.splitlines()

    return lines


PRINTS = 'echo "${ONEDNN_MAX_CPU_ISA-any} ${TF_ENABLE_ONEDNN_OPTS-on} $*"'


@pytest.mark.parametrize(
    ("flags", "restricted", "skipped"),
    [
        ("avx2 avx512f avx512bw avx512vl avx512dq", {"SSE41": True, "AVX2": True, "AVX512_CORE": False}, []),
        ("avx2", {"SSE41": False, "AVX2": False}, ["AVX512_CORE"]),
        ("", {"SSE41": False}, ["AVX2", "AVX512_CORE"]),
    ],
)
def test_numeric_tests_run_with_the_instructions_of_older_processors(
    flags: str, restricted: dict[str, bool], skipped: list[str], check_numerics: Callable[..., list[str]]
) -> None:
    """`restricted`: instruction sets, and whether the run excludes bfloat16, which oneDNN lacks there."""
    lines = check_numerics(flags, PRINTS, "-x")
    passed = [line for line in lines if " passed in " in line]
    commands = {line.split(" passed in ")[0].strip(): line.split(" CPU-s): ")[1] for line in passed}
    pytest_command = "-m pytest -q -m numeric and not slow and not e2e"
    expected = {"as it is": f"any on {pytest_command} -x tests/test_some.py"}
    for isa, without in restricted.items():
        options = " -k not bfloat16" if without else ""
        expected[f"ONEDNN_MAX_CPU_ISA={isa}"] = f"{isa} on {pytest_command}{options} -x tests/test_some.py"
    expected["TF_ENABLE_ONEDNN_OPTS=0"] = f"any 0 {pytest_command} -x tests/test_some.py"
    assert commands == expected
    left = [line for line in lines if " passed in " not in line]
    assert [line.split(" skipped: this processor has no ")[0].strip() for line in left] == [
        f"ONEDNN_MAX_CPU_ISA={isa}" for isa in skipped
    ]


def test_failing_numeric_tests_are_printed_and_fail_the_check(check_numerics: Callable[..., list[str]]) -> None:
    fails = '[ "$ONEDNN_MAX_CPU_ISA" != SSE41 ] || { echo the reason; echo 1 failed; exit 1; }'
    lines = check_numerics("", f"{fails}; echo fine", code=1)
    assert lines[1:3] == ["the reason", "1 failed"]
    assert [line.partition(" in ")[0].split()[-1] for line in lines[3:4]] == ["FAILED"]
    assert lines[0].endswith("CPU-s): fine")
    assert lines[-1].endswith("CPU-s): fine")


def test_numeric_end_to_end_tests_run_with_the_option_e2e(check_numerics: Callable[..., list[str]]) -> None:
    assert check_numerics("", PRINTS, "--e2e")[0].endswith("-m numeric and not slow tests/test_some.py")


@pytest.fixture
def ci(tmp_path: Path) -> Callable[..., Done]:
    """Return a function that runs a copy of `.ci/run` with fakes on PATH; `uv` prints its arguments."""
    bin = tmp_path / "bin"
    for name in ("bash", "cat", "chmod", "dirname", "env", "mkdir", "timeout"):
        bin.mkdir(exist_ok=True)
        (bin / name).symlink_to(str(shutil.which(name)))
    uv = '#!/bin/bash\\necho uv \\"\\$*\\" with \\"\\$CORPORA\\"\\n'
    program(bin / "python3", f'mkdir -p .tools/bin; printf "{uv}" > .tools/bin/uv; chmod +x .tools/bin/uv')
    (tmp_path / "clone" / ".ci").mkdir(parents=True)
    shutil.copy(ROOT / ".ci" / "run", tmp_path / "clone" / ".ci")

    def run(user: int, apt_get: str = "true", **environment: str) -> Done:
        program(bin / "id", f"echo {user}")
        program(bin / "apt-get", f'echo "$*" >> {tmp_path}/apt-get; {apt_get}')
        command = [str(tmp_path / "clone" / ".ci" / "run")]
        kept = {"PATH": str(bin), **environment}
        return subprocess.run(command, env=kept, capture_output=True, text=True, check=False)

    return run


def test_ci_installs_a_browser_as_root_only(ci: Callable[..., Done], tmp_path: Path) -> None:
    assert ci(1000).stdout == f"{TESTS} with \n"
    assert not (tmp_path / "apt-get").exists()
    done = ci(0)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{TESTS} with \n", "")
    calls = (tmp_path / "apt-get").read_text().splitlines()
    assert calls == [
        "-qq update",
        "-qq install --no-install-recommends chromium",
    ]


@pytest.mark.parametrize("name", ["chromium", "chromium-browser", "google-chrome"])
def test_ci_uses_an_installed_browser(name: str, ci: Callable[..., Done], tmp_path: Path) -> None:
    program(tmp_path / "bin" / name, "")
    assert ci(0).returncode == 0
    assert not (tmp_path / "apt-get").exists()


def test_ci_uses_the_browser_in_chromium(ci: Callable[..., Done], tmp_path: Path) -> None:
    assert ci(0, CHROMIUM="/opt/browser").returncode == 0
    assert not (tmp_path / "apt-get").exists()


def test_ci_reports_why_there_is_no_browser_and_continues(ci: Callable[..., Done]) -> None:
    done = ci(0, apt_get="echo no network >&2; exit 100")
    assert (done.returncode, done.stdout) == (0, f"{TESTS} with \n")
    assert "Chromium could not be installed" in done.stderr
    assert "no network" in done.stderr


def test_ci_finds_the_long_texts(ci: Callable[..., Done], tmp_path: Path) -> None:
    (tmp_path / "shared" / "corpora").mkdir(parents=True)
    assert ci(1000).stdout == f"{TESTS} with {tmp_path}/shared/corpora\n"
    assert ci(1000, CORPORA="/elsewhere").stdout == f"{TESTS} with /elsewhere\n"


def test_ci_fails_if_the_tests_do(ci: Callable[..., Done], tmp_path: Path) -> None:
    program(tmp_path / "bin" / "python3", "exit 4")
    assert ci(1000).returncode == 4
