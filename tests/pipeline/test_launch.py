"""How the end of a component is reported; tests/test_caching.py and tests/test_e2e.py run whole pipelines."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from pipeline.launch import WatchedRunner

pytestmark = pytest.mark.integration  # TFX imports TensorFlow


@pytest.mark.parametrize(
    ("error", "raised", "how"),
    [
        (ValueError("x"), ValueError, "failed"),
        (KeyboardInterrupt(), KeyboardInterrupt, "interrupted"),
        (RuntimeError("KeyboardInterrupt [while running 'Analyze']"), KeyboardInterrupt, "interrupted"),  # from Beam
    ],
)
def test_component_that_raises_is_reported_as_failed_or_interrupted(
    error: BaseException, raised: type[BaseException], how: str
) -> None:
    def launch() -> None:
        raise error

    ends: list[tuple[str, str]] = []
    runner = WatchedRunner(lambda _: nullcontext(), lambda name, _, end: ends.append((name, end)))
    with pytest.raises(raised):
        runner._launch("Transform", SimpleNamespace(launch=launch), None)  # type: ignore[arg-type]
    assert ends == [("Transform", how)]
    assert runner.outcomes == {}
