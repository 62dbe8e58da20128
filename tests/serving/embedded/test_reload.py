"""A server process under load while versions are added, fail and are deleted. Times are printed, not asserted."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from benchmarks.reload import MODEL, Load, Served, broken
from components import files
from components.models.versions import publish
from serving.tf_serving.model_config import ServedModel, Specific, merged
from tests import warm

pytestmark = pytest.mark.e2e
CHARS = 60


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, export_dir: Path) -> Iterator[Served]:
    directory = tmp_path_factory.mktemp("serving")
    publish(str(export_dir), str(directory / MODEL))
    one = Served(directory, python=warm.python())
    yield one
    assert one.stop() == 0


def available(served: Served) -> set[int]:
    return {number for number, state in served.states().items() if state == "AVAILABLE"}


def test_versions_change_under_load_without_a_failed_request(
    served: Served, export_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut, base = broken(export_dir, tmp_path / "cut"), str(served.base)
    idle = publish(str(export_dir), base)
    seconds = {"idle": served.wait_for(idle)}
    with Load(served, 2, CHARS) as load:
        for number, export in enumerate((export_dir, cut, export_dir)):
            version = publish(str(export), base)
            seconds[f"under load, {export.name}, {number}"] = served.wait_for(
                version, "END" if export is cut else "AVAILABLE"
            )
            if export is cut:
                assert served.states()[version - 1] == "AVAILABLE"  # the last good version stays
        served.wait_for(version - 2, "END")
    assert load.failures == []
    assert len(load.seconds) >= 2
    assert available(served) == {version}
    with capsys.disabled():
        print(f"\n  seconds to AVAILABLE: { {name: round(one, 2) for name, one in seconds.items()} }")


def test_a_partly_copied_version_is_loaded_when_it_is_complete(served: Served, export_dir: Path) -> None:
    last = max(served.states())
    half = served.base / str(last + 1)
    half.mkdir()
    shutil.copy(export_dir / "saved_model.pb", half)
    served.wait_for(last + 1, "END")
    with httpx.Client(timeout=60) as client:
        assert served.generate(client, CHARS).status_code == 200
    for part in ("assets.extra", "variables"):
        shutil.copytree(export_dir / part, half / part)
    served.wait_for(last + 1)


def test_deleting_the_newest_version_falls_back(served: Served, export_dir: Path) -> None:
    version = publish(str(export_dir), str(served.base))
    served.wait_for(version)
    shutil.rmtree(served.base / str(version))
    served.wait_for(version - 1)
    served.wait_for(version, "END")
    with httpx.Client(timeout=60) as client:
        assert served.generate(client, CHARS).status_code == 200


def test_label_changes_apply(served: Served, export_dir: Path) -> None:
    first, second = (publish(str(export_dir), str(served.base)) for _ in range(2))
    both = Specific((first, second))
    for stable, other in ((first, second), (second, first)):
        labels = {"stable": stable, f"canary-{other}": other}
        files.write(str(served.config), merged("", ServedModel(MODEL, str(served.base), both, labels)))
        with httpx.Client(timeout=60) as client:
            served.wait_for(first)
            served.wait_for(second)
            while served.generate(client, CHARS, f"/labels/canary-{other}").status_code != 200:
                pass  # until the file is read
            assert served.generate(client, CHARS, "/labels/stable").status_code == 200
            answer = served.generate(client, CHARS, f"/labels/canary-{stable}")
            assert (answer.status_code, "Unrecognized" in answer.text) == (400, True)


def test_a_killed_server_restarts_with_the_same_versions(served: Served) -> None:
    versions = available(served)
    os.kill(served.process.pid, signal.SIGKILL)
    served.process.wait()
    served.start()
    with httpx.Client(timeout=60) as client:
        assert served.generate(client, CHARS).status_code == 200
    assert available(served) == versions
