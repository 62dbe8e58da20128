"""Programs and modules that start without the frameworks: one table, because each row is a separate process."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration
ROOT = Path(__file__).resolve().parents[1]
FRAMEWORKS = ("tensorflow", "keras", "tfx", "apache_beam")
ENTRY = '{"version": 1, "served": "gone"}'
REGISTRY = (
    "import pathlib, tempfile; from serving.playground import __main__, about, app; "
    "place = tempfile.TemporaryDirectory(); "
    f"pathlib.Path(place.name, '1.json').write_text({ENTRY!r}); assert len(about.read_registry(place.name)) == 1"
)


def program(module: str, *arguments: str) -> str:
    return f"from {module} import main; main({list(arguments)})"


def loaded(code: str, packages: Sequence[str]) -> list[str]:
    """Return the packages that are loaded after the code has run or exited."""
    report = f"print('loaded:', json.dumps([name for name in {list(packages)} if name in sys.modules]))"
    program = (
        f"import sys\ntry:\n  {code}\nexcept SystemExit as ended:\n  assert ended.code in (0, 2)\nimport json\n{report}"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout.rpartition("loaded: ")[2]))


@pytest.mark.parametrize(
    ("code", "further"),
    [
        ("import components.ingest.staging", ["requests"]),
        ("import components.models.versions", ["numpy", "pydantic"]),
        ("import serving.tf_serving.model_config", ["numpy"]),
        ("import serving.client.blocking, serving.client.asynchronous", ["numpy", "pydantic"]),
        (program("serving.__main__", "--help"), ["numpy", "httpx", "pydantic"]),
        (program("serving.__main__", "generate", "--help"), ["numpy"]),
        (program("serving.__main__", "score", "--help"), ["numpy"]),
        (program("serving.__main__", "bulk", "--help"), ["numpy"]),
        (program("serving.__main__", "promote", "--root", "nowhere"), ["numpy", "httpx", "rich"]),
        (program("serving.__main__", "versions", "--root", "nowhere"), ["numpy", "rich", "click"]),
        (program("serving.__main__", "generate", "--root", "nowhere"), ["numpy", "rich", "click"]),
        (program("pipeline.__main__", "clean", "--help"), ["numpy", "rich", "ml_metadata"]),
        (program("pipeline.__main__", "clean", "--keep", "1", "--root", "nowhere"), ["rich"]),
        (REGISTRY, ["numpy"]),
        (program("kubeflow.__main__", "deploy", "--image", "i", "--cron", "* *"), ["kfp"]),
    ],
)
def test_start_without_frameworks(code: str, further: list[str]) -> None:
    assert loaded(code, [*FRAMEWORKS, *further]) == []


def test_loaded_packages_are_found() -> None:
    assert loaded("import json.tool", ["keras", "json.tool", "json"]) == ["json.tool", "json"]
