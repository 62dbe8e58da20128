"""The figures of `score` are sums over the passages of the pipeline's evaluation."""

import gzip
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.errors import UserError
from components.ingest import passages
from components.ingest.text import normalize
from serving.__main__ import main
from serving.client.blocking import Client
from serving.client.values import Alternative, Score
from serving.commands import score as command
from tests import numeric

pytestmark = pytest.mark.integration

TEXT = "ROMEO: the lord read another tale.\n" * 150  # 5,250 characters
TEXT_SHOWN = {" ": "␣", "\n": r"\n"}

SUMMED = numeric.relative(2_000)  # the nats of a passage, in whichever batch it is scored

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def score(capsys: pytest.CaptureFixture[str], served: Any) -> Command:
    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(["score", *arguments, "--url", served.url, "--model", served.model])
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def file(tmp_path: Path) -> str:
    (tmp_path / "text.txt.gz").write_bytes(gzip.compress(TEXT.replace("\n", "\r\n").encode()))
    return str(tmp_path / "text.txt.gz")


@pytest.mark.numeric
def test_complete_text_in_passages(score: Command, file: str, served: Any) -> None:
    code, out, _ = score(file, "--json")
    result = json.loads(out)
    with Client(served.url, served.model) as client:
        scores = client.score([piece.text for piece in passages.cut("x", TEXT, 2_000, 0.0)])
    nats = sum(score.nll_sum for score in scores)
    assert (code, result["passages"], result["predicted"], result["characters"]) == (0, 3, 5_249, 5_250)
    assert result["nats"] == pytest.approx(nats, rel=SUMMED)
    assert result["perplexity"] == pytest.approx(math.exp(result["nats"] / 5_249))
    assert result["bits_per_character"] == pytest.approx(result["nats"] / 5_249 / math.log(2))


@pytest.mark.numeric
def test_split_is_that_of_the_pipeline(score: Command, file: str, served: Any) -> None:
    result = json.loads(score(file, "--split", "eval", "--json")[1])
    (piece,) = [piece for piece in passages.cut("x", TEXT, 2_000, 0.1) if piece.split == "eval"]
    with Client(served.url, served.model) as client:
        expected = client.score(piece.text)
    assert (result["characters"], result["predicted"]) == (525, 524)
    assert math.log(result["perplexity"]) == pytest.approx(math.log(expected.perplexity), rel=SUMMED)
    parts = [json.loads(score(file, "--split", split, "--json")[1])["characters"] for split in ("train", "eval")]
    assert sum(parts) == len(TEXT)


def test_unknown_characters_are_noted(score: Command, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("ROMEO: the lord λ " * 200)
    code, out, error = score(str(tmp_path / "text.txt"), "--set", "corpus.passage_length=100")
    assert code == 0
    assert error.endswith(
        "note: 200 characters of the text are unknown to the model, whose training text does not have it: 'λ'\n"
    )
    assert "note" not in out


def test_passage_length_is_configured(score: Command, file: str) -> None:
    result = json.loads(score(file, "--json", "--set", "corpus.passage_length=500")[1])
    assert (result["passages"], result["passage_length"]) == (11, 500)


@pytest.mark.parametrize(("bound", "rows"), [(1_001, 1), (1_002, 2), (500_000, 11)])
def test_requests_stay_within_the_bound_of_the_export(
    score: Command, file: str, bound: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def record(_: Client, texts: list[str]) -> list[Score]:
        sizes.append(len(texts))
        return [Score((), 1.0, len(text) - 1) for text in texts]

    monkeypatch.setattr(Client, "score", record)
    settings = ("--set", "corpus.passage_length=500", "--set", f"export.max_score_chars={bound}")
    assert json.loads(score(file, "--json", *settings)[1])["nats"] == 11.0
    assert (max(sizes), sum(sizes)) == (rows, 11)


def test_table_of_the_result(score: Command, file: str) -> None:
    result, table = json.loads(score(file, "--json")[1]), score(file)[1]
    lines = table.splitlines()
    assert lines[0].endswith("5,250 characters, 5,249 predicted")
    assert f"{result['nats']:,.1f}" in lines[1]
    assert f"{result['perplexity']:.3f}" in lines[2]
    assert f"{result['bits_per_character']:.3f}" in lines[3]
    assert "3 passages" in lines[4]
    assert "each from the initial state" in lines[4]


def test_alternatives_of_each_predicted_character(score: Command, file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []

    def alternatives(_: Client, texts: list[str], top_n: int) -> list[list[list[Alternative]]]:
        asked.append((len(texts), top_n))
        return [[[Alternative("\x1b", 0.5), Alternative(c, 0.25), Alternative("語", 0.125)] for c in t] for t in texts]

    monkeypatch.setattr(Client, "alternatives", alternatives)
    settings = (file, "--alternatives", "3", "--set", "corpus.passage_length=500")
    code, out, _ = score(*settings)
    assert code == 0
    table, _, summary = out.partition("\n\n")
    header, *lines = table.splitlines()
    assert header == "character chance    nats  most likely"
    assert asked == [(5, 3), (5, 3), (1, 3)]
    assert [line.split()[0] for line in lines] == [TEXT_SHOWN.get(c, c) for c in TEXT[1:]]
    assert lines[4].startswith(":         ")
    assert lines[5].startswith("␣         ")
    assert lines[5].endswith("  \\x1b 50.0%  ␣ 25.0%     語 12.5%")
    assert summary.startswith("text ")
    result = json.loads(score(*settings, "--json")[1])
    predictions = result["predictions"]
    assert "".join(one["character"] for one in predictions) == TEXT[1:]
    assert predictions[0]["alternatives"] == [["\x1b", 0.5], ["O", 0.25], ["語", 0.125]]
    nats = [one["nats"] for one in predictions]
    assert sum(nats) == pytest.approx(result["nats"], rel=SUMMED)
    first = lines[0].split()
    assert float(first[1].rstrip("%")) == pytest.approx(100 * math.exp(-nats[0]), abs=0.06)
    assert float(first[2]) == pytest.approx(nats[0], abs=6e-4)


@pytest.mark.parametrize("count", ["-1", "0", str(2**31)])
def test_impossible_number_of_alternatives_is_one_paragraph(score: Command, file: str, count: str) -> None:
    code, out, error = score(file, "--alternatives", count)
    assert (code, out) == (2, "")
    assert f"Received: --alternatives={count}\n" in error


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "fewer than two"), (b"a", "fewer than two"), (b"\xff\xff", "not UTF-8"), (b"a\0b", "binary")],
)
def test_text_that_cannot_be_scored_is_one_paragraph(
    score: Command, tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "bad.txt").write_bytes(content)
    code, out, error = score(str(tmp_path / "bad.txt"))
    assert (code, out) == (2, "")
    assert message in error
    assert error.count("\n") == 1


def test_missing_file(score: Command, tmp_path: Path) -> None:
    code, _, error = score(str(tmp_path))
    assert code == 2
    assert str(tmp_path) in error


def test_alternatives_of_a_text_that_the_model_normalizes_are_refused() -> None:
    class Normalizing:
        def score(self, texts: list[str]) -> list[Score]:
            counts = [len(normalize(text, "nfc", True)) - 1 for text in texts]
            return [Score((1.0,) * count, float(count), count) for count in counts]

        def alternatives(self, texts: list[str], top_n: int) -> list[list[list[Alternative]]]:
            return [[[] for _ in normalize(text, "nfc", True)] for text in texts]

    model: Any = Normalizing()
    assert len(list(command._score(model, ["Str\u00e9"], 1)[1])) == 3
    # The second text keeps its number of characters.
    for text, changed in (("soe\u0301", "'e\\\\u0301'"), ("e\u0301\u00df", "'e\\\\u0301', '\\\\xdf'")):
        with pytest.raises(UserError, match=rf"corpus\.normalization=nfc .* Received: {changed}$"):
            command._score(model, [text], 1)
