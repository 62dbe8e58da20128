import re
import sys
from pathlib import Path

import pytest

from benchmarks import machine


def test_first_line_names_cores_processor_versions_and_load() -> None:
    line = machine.line(machine.describe(None))
    assert re.match(r"\d+ cores, .+ \(.+\); tensorflow 2\.\S+, keras 3\.\S+, torch not installed; load before", line)


@pytest.mark.integration
def test_named_interpreter_without_torch_is_refused(tmp_path: Path) -> None:
    assert machine.torch_version(str(tmp_path / "nothing")) is None
    with pytest.raises(SystemExit, match="cannot import torch. Received: --torch-python"):
        machine.find_torch(str(tmp_path / "nothing"))


@pytest.mark.integration
def test_default_interpreter_is_this_one_if_it_has_torch() -> None:
    expected = sys.executable if machine.torch_version(sys.executable) else None
    assert machine.find_torch(None) == expected
