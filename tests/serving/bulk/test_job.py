"""A job that fails, is killed or is repeated ends with each line once; another job is refused."""

import contextlib
import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components import beam
from components.errors import UserError
from serving.bulk import job, transform
from serving.bulk.job import Done, Job, Stopped
from serving.bulk.lines import Task
from serving.bulk.shards import Directory
from serving.client.options import GenerateOptions

pytestmark = pytest.mark.integration
LINES = 23
SHARDS = 6


class Echo:
    """Answers a line with its number and the seed of the job; fails in the shard that begins with some line."""

    loads = 0
    answered: Counter[int] = Counter()
    fails_at: int | None = None

    def __init__(self, directory: str) -> None:
        type(self).loads += 1

    def answer(self, first_line: int, contents: Sequence[bytes], task: Task) -> list[bytes]:
        if first_line == self.fails_at:
            raise OSError(28, "No space left on device")
        type(self).answered[first_line] += 1
        seed = task.defaults.seed if task.defaults else None
        numbers = range(first_line, first_line + len(contents))
        return [json.dumps({"line": number, "seed": seed}).encode() + b"\n" for number in numbers]


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch) -> type[Echo]:
    monkeypatch.setattr(transform, "Model", Echo)
    monkeypatch.setattr(Echo, "loads", 0)
    monkeypatch.setattr(Echo, "answered", Counter())
    monkeypatch.setattr(Echo, "fails_at", None)
    return Echo


@pytest.fixture
def work(tmp_path: Path) -> Job:
    (tmp_path / "prompts.jsonl").write_text("{}\n" * LINES)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "saved_model.pb").write_bytes(b"weights")
    source, output = str(tmp_path / "prompts.jsonl"), str(tmp_path / "texts.jsonl")
    task = Task(GenerateOptions(seed=7))
    return Job(source, output, str(tmp_path / "model"), "tiny version 3", task, 4, beam.arguments(()))


def run(work: Job, restart: bool = False) -> Done:
    return job.run(work, restart, lambda _: None, lambda *_: None)


def output(work: Job) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(work.output).read_bytes().splitlines()]


def test_failed_job_resumes_with_the_missing_shards(work: Job, echo: type[Echo]) -> None:
    echo.fails_at = 13
    with pytest.raises(
        Stopped, match=r"(?s)^The job ended after . of 6 shards: .*No space left on device.* Repeat the"
    ):
        run(work)
    assert not os.path.exists(work.output)
    finished = set(echo.answered)
    assert 13 not in finished
    echo.fails_at = None
    echo.answered.clear()
    assert run(work) == Done(LINES, [], len(finished), SHARDS)
    assert set(echo.answered) == {1, 5, 9, 13, 17, 21} - finished
    assert output(work) == [{"line": number, "seed": 7} for number in range(1, LINES + 1)]
    assert echo.loads == 2, "one load of the model for each run"
    assert os.listdir(f"{work.output}.shards") == ["manifest.json"]


def test_killed_job_resumes_whatever_it_left(work: Job, echo: type[Echo], monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(transform, "run", killed)
    with pytest.raises(KeyboardInterrupt):
        run(work)
    folder = Path(f"{work.output}.shards")
    answers = Echo("").answer(1, [b""] * 4, work.task)
    (folder / "000000.jsonl").write_bytes(b"".join(answers))
    (folder / ".000001.jsonl.5b0c.partial").write_bytes(answers[0])
    monkeypatch.undo()
    monkeypatch.setattr(transform, "Model", Echo)
    assert run(work).reused == 1
    assert [one["line"] for one in output(work)] == list(range(1, LINES + 1))
    assert os.listdir(folder) == ["manifest.json"]


def test_finished_job_does_nothing_and_another_one_is_refused(work: Job, echo: type[Echo]) -> None:
    assert run(replace(work, task=Task(GenerateOptions(seed=9)))) == Done(LINES, [], 0, SHARDS)
    monotonous = replace(work, keeps_seed=True)
    echo.fails_at = 1
    assert run(monotonous) == Done(LINES, [], SHARDS, SHARDS)
    assert output(work)[0]["seed"] == 9, "a seed that the user did not choose is that of the job"
    with pytest.raises(UserError, match="Received: seed is 7 and was 9, in "):
        run(work)
    with pytest.raises(UserError, match="Received: shard_lines is 5 and was 4, in "):
        run(replace(monotonous, shard_lines=5))
    with pytest.raises(UserError, match="task is 'score' and was 'generate', num_chars is None and was 300"):
        run(replace(monotonous, task=Task()))
    Path(work.model, "saved_model.pb").write_bytes(b"other weights")
    Path(work.source).write_text("{}\n" * LINES + "\n")
    with pytest.raises(UserError, match=r"input is \w{12}\.\.\. and was \w{12}\.\.\., lines is 24 and was 23, mod"):
        run(monotonous)
    echo.fails_at = None
    assert run(work, restart=True) == Done(LINES + 1, [], 0, 6)
    assert output(work)[0]["seed"] == 7


def test_output_of_something_else_is_kept(work: Job, echo: type[Echo]) -> None:
    Path(work.output).write_text("precious")
    with pytest.raises(UserError, match=r"^The output exists, and no unfinished job .* it with --restart\. Received: "):
        run(work)
    assert Path(work.output).read_text() == "precious"


def test_output_that_is_the_input_or_cannot_be_written_is_refused(work: Job) -> None:
    with pytest.raises(UserError, match=r"^The output would replace the input\. Choose another --output\. Received: "):
        run(replace(work, output=work.source), restart=True)
    with pytest.raises(UserError, match=r"^The output cannot be written: .* Received: "):
        run(replace(work, output=f"{work.source}/texts.jsonl"))
    with pytest.raises(UserError, match="The input cannot be read"):
        run(replace(work, source=f"{work.source}.missing"))
    assert not os.path.exists(f"{work.output}.shards")


def test_job_waits_for_another_process_with_the_same_output(work: Job, echo: type[Echo]) -> None:
    reports: list[str] = []

    def report(text: str) -> None:
        reports.append(text)
        held.close()

    held = contextlib.ExitStack()
    held.enter_context(Directory(work.output).locked())
    job.run(work, False, report, lambda *_: None)
    assert reports[0] == "another process works on this output: waiting for its end"
    assert len(output(work)) == LINES


def test_runner_that_leaves_a_shard_out_is_noticed(work: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transform, "run", lambda *_: None)
    with pytest.raises(Stopped, match=r"^The Beam runner finished without 6 of 6 shards\. Repeat the command to "):
        run(work)


def test_empty_input_has_an_empty_output(work: Job) -> None:
    Path(work.source).write_text("")
    assert run(work) == Done(0, [], 0, 0)
    assert output(work) == []


def test_finished_shards_are_reported(work: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []
    monkeypatch.setattr(job, "_POLL_SECONDS", 0.0)

    def wait(_: str, outputs: dict[Any, str], *__: Any) -> None:
        for path in outputs.values():
            Path(path).write_bytes(b"{}\n" * 4)
        while (SHARDS, SHARDS) not in seen:
            pass

    monkeypatch.setattr(transform, "run", wait)
    Path(work.source).write_text("{}\n" * 4 * SHARDS)
    job.run(work, False, lambda _: None, lambda *count: seen.append(count))
    assert seen[-1] == (SHARDS, SHARDS)
