"""What a run records about itself is there at its start, and its end whatever that is."""

from pathlib import Path
from typing import Any

import pytest
from ml_metadata.proto.metadata_store_pb2 import Context, ContextType

from components.errors import UserError
from pipeline import metadata_store
from pipeline.runs import history, record

NAME = "2026-11-28T09:05:29.389877"


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "metadata.db")


def recorded(path: str) -> dict[str, Any]:
    (run,) = history.read(metadata_store.connect(path)).runs
    assert (run.name, run.model) == (NAME, "poems")
    return dict(run.record)


def test_start_is_recorded_before_the_first_component(path: str) -> None:
    with record.recorded(path, NAME, "poems", corpus="odes.txt"):
        assert recorded(path) == {"model": "poems", "corpus": "odes.txt"}


def test_result_is_recorded_at_the_end(path: str) -> None:
    with record.recorded(path, NAME, "poems", corpus="odes.txt") as finish:
        finish({"perplexity": 4.5, "reasons": ["too bad", "\u1f60"]})
    found = recorded(path)
    assert found.pop("seconds") >= 0
    assert found == {"model": "poems", "corpus": "odes.txt", "perplexity": 4.5, "reasons": ["too bad", "\u1f60"]}


@pytest.mark.parametrize(
    ("error", "ended"),
    [
        (UserError("The corpus is empty. Received: odes.txt"), {"error": "The corpus is empty. Received: odes.txt"}),
        (ValueError("bad shape\nat line 3"), {"error": "ValueError: bad shape"}),
        (KeyboardInterrupt(), {"interrupted": True}),
        (RuntimeError("KeyboardInterrupt [while running 'Analyze']"), {"interrupted": True}),  # from Beam
    ],
)
def test_error_or_interruption_is_recorded_and_raised(error: BaseException, ended: dict[str, Any], path: str) -> None:
    with pytest.raises(type(error)), record.recorded(path, NAME, "poems", corpus="odes.txt"):
        raise error
    found = recorded(path)
    assert {name: found[name] for name in found if name in ("error", "interrupted")} == ended


def test_context_has_the_parent_that_tfx_gives_it(path: str) -> None:
    with record.recorded(path, NAME, "poems"):
        pass
    store = metadata_store.connect(path)
    context = store.get_context_by_type_and_name("pipeline_run", NAME)
    assert [(one.type, one.name) for one in store.get_parent_contexts_by_context(context.id)] == [("pipeline", "poems")]


def test_pipeline_of_earlier_runs_is_reused(path: str) -> None:
    store = metadata_store.connect(path)
    kind = store.put_context_type(ContextType(name="pipeline"))
    store.put_contexts([Context(name="poems", type_id=kind)])
    with record.recorded(path, NAME, "poems"):
        pass
    assert len(store.get_contexts_by_type("pipeline")) == 1


def test_end_that_cannot_be_recorded_hides_no_error(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def run() -> None:
        with record.recorded(path, NAME, "poems"):
            monkeypatch.delattr(metadata_store, "connect")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run()
