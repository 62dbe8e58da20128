"""Prompts of a request log are compared with what the model was trained on."""

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from serving.__main__ import main
from serving.client.blocking import Client

pytestmark = pytest.mark.integration
Command = Callable[..., tuple[int, str, str]]


def line(texts: list[str] | None, rows: int = 1, **values: Any) -> str:
    entry = {"model": "tiny", "signature": "generate", "status": "OK", "rows": rows} | values
    return json.dumps(entry if texts is None else entry | {"texts_in": texts}, ensure_ascii=False) + "\n"


@pytest.fixture
def skew(tmp_path: Path, served: Any, capsys: pytest.CaptureFixture[str]) -> Command:
    def run(*lines: str, options: tuple[str, ...] = ()) -> tuple[int, str, str]:
        (tmp_path / "log").write_text("".join(lines), encoding="utf-8")
        where = ["--url", served.url, "--model", served.model, "--root", str(tmp_path)]
        return main(["skew", str(tmp_path / "log"), *where, *options]), *capsys.readouterr()

    return run


def test_prompts_are_counted_scored_and_ranked(skew: Command, served: Any) -> None:
    lines = [
        line(["ROMEO: the", "tale"], rows=2),
        line(["the", "\n"], signature="sample"),  # the second one is the stop text
        line([""], signature="generate_from_state"),
        line(["another read"], signature="score"),
        line(["another read"], status="INVALID_ARGUMENT"),
        line(["another read"], model="other"),
        '{"model": "ti',  # the server is writing it
    ]
    code, out, _ = skew(*lines, options=("--json", "--max-perplexity", "1e9"))
    found = json.loads(out)
    with Client(served.url, served.model) as client:
        scores = client.score(["ROMEO: the", "tale", "the"])
    nats, characters = sum(one.nll_sum for one in scores), sum(one.num_chars for one in scores)
    assert (code, found["requests"], found["prompts"], found["characters"]) == (0, 2, 3, 17)
    assert (found["unknown"], found["reasons"]) == ({}, [])
    assert found["perplexity"] == pytest.approx(math.exp(nats / characters), rel=1e-4)
    assert {one["prompt"] for one in found["hardest"]} == {"ROMEO: the", "tale", "the"}


def test_above_a_bound_the_exit_code_is_3_with_the_reason(skew: Command) -> None:
    lines = [line(["the \u00fc"]) for _ in range(3)] + [line(["the hat"])]
    code, out, _ = skew(*lines, options=("--prompts", "2", "--max-perplexity", "1"))
    assert code == 3
    assert "unknown characters  8.33%: '\u00fc' 1\n" in out
    assert "above bound         8.33% of the characters are unknown, more than 1.00%\n" in out
    assert "above bound         the perplexity of the prompts is " in out
    assert skew(*lines, options=("--max-perplexity", "1e9", "--max-unknown", "0.5"))[0] == 0


def test_default_bound_is_three_times_the_perplexity_in_the_registry(skew: Command, tmp_path: Path) -> None:
    folder = tmp_path / "registry" / "tiny"
    folder.mkdir(parents=True)
    for version, perplexity in ((2, 1.0), (3, 2.0)):
        (folder / f"{version}.json").write_text(json.dumps({"version": version, "perplexity": perplexity}))
    code, out, _ = skew(line(["the hat"]), options=("--json",))
    assert (code, json.loads(out)["max_perplexity"], json.loads(out)["eval_perplexity"]) == (3, 6.0, 2.0)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([line(None)], "The log has no texts, .* --set serving.request_log.text=true. Received: line 1 of "),
        (["no JSON\n"], "This is no log of requests: line 1 of .* Received: no JSON"),
        ([line([""])], "The log has no prompt for the model tiny"),
        ([line(["the"], model="other")], "The log has no prompt for the model tiny"),
    ],
)
def test_log_that_cannot_be_compared_is_explained(skew: Command, lines: list[str], message: str) -> None:
    code, _, error = skew(*lines)
    assert code == 2
    assert re.search(message, error)
