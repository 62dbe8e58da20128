"""The folder installs alone: as a wheel, without the network, into an environment that has only httpx."""

import importlib.metadata
import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from packaging.requirements import Requirement

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[3]
CLIENT = ROOT / "serving" / "client"
MODULES = sorted(path.stem for path in CLIENT.glob("[a-z]*.py"))
USE = """
import asyncio, importlib, importlib.util, json, sys

name = sys.argv[1]
client = importlib.import_module(name)
for module in sys.argv[2:]:
    importlib.import_module(f"{name}.{module}")

import httpx

replies = httpx.MockTransport(lambda request: httpx.Response(200, json={"predictions": ["text"]}))
with client.Client("http://test", transport=replies) as blocking:
    text = blocking.generate("ROMEO:", seed=7)

async def generate():
    async with client.AsyncClient("http://test", transport=replies) as asynchronous:
        return await asynchronous.generate("ROMEO:", seed=7)

assert text == asyncio.run(generate()) and isinstance(text, client.Generated)
assert issubclass(client.ModelUnavailable, client.ClientError)
found = [one for one in ("components", "serving", "numpy", "tensorflow") if importlib.util.find_spec(one)]
print(json.dumps({"text": text, "found": found}))
"""


def required(name: str) -> set[str]:
    """The installed package of this name and all that it requires."""
    names = {name}
    for line in importlib.metadata.requires(name) or []:
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            names |= required(requirement.name)
    return names


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the environment's packages."""
    uv = shutil.which("uv", path=ROOT / ".tools" / "bin") or shutil.which("uv")
    if uv is None or find_spec("setuptools") is None:
        pytest.skip("a wheel is built offline by uv and setuptools, which this environment does not have")
    place = tmp_path_factory.mktemp("package")
    # A copy, because setuptools builds in the source folder.
    shutil.copytree(CLIENT, place / "client", ignore=shutil.ignore_patterns("__pycache__"))
    offline = ["--offline", "--quiet", "--no-cache", "--no-config"]
    build = [uv, "build", *offline, "--wheel", "--no-build-isolation", "--python", sys.executable]
    run(*build, "--out-dir", place, place / "client")
    run(uv, "venv", *offline, "--python", sys.executable, place / "env")
    (wheel,) = place.glob("*.whl")
    run(uv, "pip", "install", *offline, "--no-deps", "--python", place / "env", wheel)
    (packages,) = (place / "env" / "lib").glob("python*/site-packages")
    for name in required("httpx"):
        for file in importlib.metadata.files(name) or []:
            if ".." not in file.parts:
                (packages / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(str(file.locate()), packages / file)
    return packages


def run(*command: "str | Path") -> str:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def use(environment: Path, name: str, *options: str) -> object:
    python = environment.parents[2] / "bin" / "python"
    code = f"import sys; sys.path.append({str(environment.parents[3])!r})\n{USE}"
    return json.loads(run(python, "-I", *options, "-c", code, name, *MODULES))


@pytest.mark.integration
def test_installed_package_generates_text_without_the_project(environment: Path) -> None:
    assert use(environment, "char_rnn_client") == {"text": "text", "found": []}
    assert (environment / "char_rnn_client" / "py.typed").exists()
    assert sorted(path.stem for path in (environment / "char_rnn_client").glob("[a-z]*.py")) == MODULES


@pytest.mark.integration
def test_copy_of_the_folder_works_under_any_name(environment: Path) -> None:
    application = environment.parents[3] / "application"
    application.mkdir()
    shutil.copytree(CLIENT, application / "text_generator", ignore=shutil.ignore_patterns("__pycache__"))
    assert use(environment, "application.text_generator") == {"text": "text", "found": []}


def test_version_and_requirements_are_those_of_the_project() -> None:
    package, project = (tomllib.loads((folder / "pyproject.toml").read_text()) for folder in (CLIENT, ROOT))
    assert package["project"]["version"] == project["project"]["version"]
    assert set(package["project"]["dependencies"]) <= set(project["project"]["dependencies"])
    assert project["project"]["requires-python"].startswith(package["project"]["requires-python"])
