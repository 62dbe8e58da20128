"""The page is written for a run that failed or was interrupted, too, and never hides the run's own error."""

import datetime
import os
from pathlib import Path

import pytest
from tfx.types import standard_artifacts

from components.errors import UserError
from components.validate import splits
from pipeline.config.places import Places
from pipeline.config.run import Config
from pipeline.launch import Outcome
from pipeline.page import local
from trainer.progress import Reporter

pytestmark = pytest.mark.integration
RUN = "2026-01-02T03:04:05.678901"


@pytest.mark.parametrize(
    ("error", "how", "shown"),
    [
        (UserError("The <corpus> does not pass."), "failed", "Failed at Trainer</p>\n<ul><li>The &lt;corpus&gt; does"),
        (KeyboardInterrupt(), "interrupted", "Interrupted at Trainer</p>\n<ul><li>Finished work is kept"),
        (RuntimeError("KeyboardInterrupt"), "interrupted", "Interrupted at Trainer"),
    ],
    ids=["failed", "interrupted", "interrupted in Beam"],
)
def test_page_of_a_run_that_ended_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, how: str, shown: str
) -> None:
    statistics = standard_artifacts.ExampleStatistics()
    statistics.uri = "/statistics"
    monkeypatch.setattr(splits, "read", {"/statistics": [splits.Split("eval", 1, 2, 3_999)]}.get)
    outcomes = {
        "StatisticsGen": Outcome(1.0, "cached", {"statistics": statistics}),
        "Trainer": Outcome(2.0, how, {}),
    }
    path = local.write(Places(Config(root=str(tmp_path))), RUN, "poems", "texts", outcomes, error)
    assert path == str(tmp_path / "reports" / "20260102-030405.html")
    page = Path(path).read_text(encoding="utf-8")
    assert shown in page
    assert "3,999" in page
    assert "2026-01-02 03:04:05" in page


def test_training_that_was_interrupted_has_its_curve_and_an_earlier_one_has_not(tmp_path: Path) -> None:
    import tensorflow as tf

    logs = tmp_path / "checkpoints" / "key" / "tensorboard"
    writer = tf.summary.create_file_writer(str(logs))
    Reporter(10, 1, writer).evaluation(5, 2.5, True, None)
    writer.close()
    run = datetime.datetime.now().isoformat()
    places, outcomes = Places(Config(root=str(tmp_path))), {"Trainer": Outcome(2.0, "interrupted", {})}
    for seconds, shown in ((60, True), (-60, False)):
        (file,) = logs.iterdir()
        at = datetime.datetime.fromisoformat(run).timestamp() + seconds
        os.utime(file, (at, at))
        path = local.write(places, run, "m", "texts", outcomes, KeyboardInterrupt())
        assert path is not None
        assert ("<h2>Learning curve" in Path(path).read_text(encoding="utf-8")) == shown


def test_page_that_cannot_be_written_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "reports").write_text("a file")
    assert local.write(Places(Config(root=str(tmp_path))), RUN, "m", "texts", {}, ValueError("bad")) is None
    assert "The report could not be written" in caplog.text
