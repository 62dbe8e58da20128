"""Properties of the image, read from the Dockerfile; building an image needs a Docker daemon."""

import re
from pathlib import Path

from pipeline.config.run import Config

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "Dockerfile").read_text()
CODE = re.sub(r"(?m)^#.*\n", "", TEXT).replace("\\\n", " ")


def stage(name: str) -> str:
    """Return the instructions of one stage."""
    return next(part for part in CODE.split("FROM ")[1:] if part.splitlines()[0].endswith(f" AS {name}"))


def test_packages_are_locked_and_without_development_tools() -> None:
    syncs = re.findall(r"uv sync.*", CODE)
    assert len(syncs) == 2
    assert all("--locked" in sync and "--no-dev" in sync and "--extra kubeflow" in sync for sync in syncs)
    assert [("--extra gpu" in sync) for sync in syncs] == [False, True]


def test_bytecode_of_packages_and_of_our_code_is_compiled() -> None:
    """Tasks cannot write bytecode: PYTHONDONTWRITEBYTECODE is set, and another user owns the files."""
    installing = [name for name in re.findall(r" AS (\S+)", CODE) if "uv sync" in stage(name)]
    assert installing == ["build", "build-gpu"]
    assert "UV_COMPILE_BYTECODE=1" in stage("build")
    assert stage("build-gpu").startswith("build AS"), "inherits its environment"
    assert "python -m compileall" in stage("base")


def test_default_target_is_for_cpus_and_has_no_entrypoint() -> None:
    assert CODE.split("FROM ")[-1].strip() == "cpu-base AS cpu"
    assert "ENTRYPOINT" not in CODE.replace(stage("beam"), "")


def test_image_runs_as_any_user_but_root() -> None:
    assert re.findall(r"(?m)^USER (.*)", CODE) == ["1000:0"]
    assert Config().serving.user_id == 1000, "servers read what the Pusher writes"
    base = stage("base")
    assert "HOME=/tmp" in base
    for folder in ("/minio", "/s3", "/gcs", Config().cluster.root, Config().serving.mount_path):
        assert re.search(rf"chmod 1777 .*{folder}\b", base), folder


def test_our_packages_come_first_and_python_is_that_of_the_environment() -> None:
    base = stage("base")
    assert "PYTHONPATH=/app" in base
    assert "PATH=/opt/venv/bin:$PATH" in base


def test_every_package_of_the_project_is_in_the_image() -> None:
    """Relative paths, such as that of the schema, and dotted paths of executors start there."""
    base = stage("base")
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    copied = set(re.findall(r"(?m)^COPY (\w+) \1$", base))
    assert packages <= copied
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert {f"!{package}" for package in packages} <= set(ignored)


def test_beam_workers_have_the_locked_version() -> None:
    versions = re.findall(r'name = "apache-beam"\nversion = "([^"]+)"', (ROOT / "uv.lock").read_text())
    (chosen,) = re.findall(r"beam_python3\.13_sdk:(\S+)", CODE)
    assert chosen == max(versions, key=lambda version: [int(part) for part in version.split(".")])


def test_beam_workers_run_in_the_images_environment() -> None:
    """Beam's boot program makes another environment unless the variable is set, and runs `python -m pip show`."""
    assert "ENV RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT=1\n" in stage("beam")
    assert "COPY --from=build-beam /opt/venv /opt/venv\n" in stage("beam")
    assert stage("build-beam").startswith("build AS"), "has the locked packages"
    assert "RUN /opt/venv/bin/python -m ensurepip\n" in stage("build-beam")
