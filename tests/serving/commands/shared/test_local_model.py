"""A model in this process returns the same values as behind a server."""

from pathlib import Path
from typing import Any

import pytest

from components.errors import UserError
from serving.client.blocking import Client
from serving.client.errors import Unsupported
from serving.commands.shared.local_model import LocalModel
from tests import numeric
from tests.gru import Gru, assert_generated, assert_same_text

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def local(pushed: str) -> LocalModel:
    return LocalModel.load(f"{pushed}/serving/tiny/3")


@pytest.mark.numeric
def test_values_equal_those_of_the_server(local: LocalModel, served: Any, tiny: Any) -> None:
    how: Any = {"num_chars": 300, "temperature": 0.7, "top_k": 4, "seed": 21}
    prompts = ["ROMEO:", "", "語"]
    with Client(served.url, served.model) as client:
        pairs = zip(prompts, local.generate(prompts, **how), client.generate(prompts, **how), strict=True)
        for row, (prompt, mine, theirs) in enumerate(pairs):
            assert len(mine) == 300
            assert_same_text(mine, theirs, *tiny, prompt, 0.7, 4, 21 + row)
        assert_same_text("".join(local.stream("the", **how)), client.generate("the", **how), *tiny, "the", 0.7, 4, 21)
        (row,) = client.generate_from_state(["é"], num_chars=3, seed=1)
        assert_generated(row.text, *tiny, "é", 0.8, 0, 1)
        exact = Gru(*tiny)
        for character in f"é{row.text}"[:-1]:
            exact.read(character)
        numeric.close(row.state[:-2], exact.hidden[0][:, 0])
        assert list(row.state[-2:]) == [tiny[1].index(row.text[-1]) + 1, 3], "last character and number of samples"
        for model in (local, client):
            text, single = model.score(["ROMEO: the\n", "x"])
            numeric.close(text.nll, Gru(*tiny).nll("ROMEO: the\n"))
            assert (text.num_chars, single.num_chars, list(single.nll)) == (10, 0, [])
    assert [text.seed for text in local.generate(["a", "b"], **how)] == [21, 22]


def test_controls_and_alternatives_equal_those_of_the_server(local: LocalModel, served: Any) -> None:
    how: Any = {"num_chars": 60, "seed": 21, "top_p": 0.9, "repetition_penalty": 1.3}
    prompts = ["ROMEO:", "the"]
    with Client(served.url, served.model) as client:
        full = client.generate(prompts, **how)
        how["stop"] = full[0][20:22]
        expected = client.generate(prompts, **how)
        texts = local.generate(prompts, **how)
        assert texts == expected
        assert [(text.seed, text.stopped) for text in texts] == [(text.seed, text.stopped) for text in expected]
        assert "".join(local.stream("the", **how)) == client.generate("the", **how)
        for mine, theirs in zip(
            local.alternatives(["é the", ""], 3), client.alternatives(["é the", ""], 3), strict=True
        ):
            assert [[c for c, _ in place] for place in mine] == [[c for c, _ in place] for place in theirs]
            chances = [[p for place in text for _, p in place] for text in (mine, theirs)]
            assert chances[0] == pytest.approx(chances[1], rel=1e-5)


def test_unknown_characters_are_those_that_the_server_names(local: LocalModel, served: Any) -> None:
    texts = ["語Ωé", "the Ω e\u0301", "".join(map(chr, range(0x4E00, 0x4E00 + 600)))]
    expected = ["Ω", "e\u0301", *texts[2]]
    assert local.unknown(texts) == expected
    with Client(served.url, served.model) as client:
        assert client.unknown(texts) == expected
    assert local.unknown(["", "語é\n"]) == []


def test_older_export_has_only_the_stop_string(local: LocalModel) -> None:
    names = ("generate", "generate_from_state", "score")
    older = LocalModel({name: local._signatures[name] for name in names})
    full = local.generate(["ROMEO:", "the"], num_chars=600, seed=3)
    stop = full[0][300:303]
    texts = older.generate(["ROMEO:", "the"], num_chars=600, seed=3, stop=stop)
    assert texts == [text.partition(stop)[0] for text in full]
    assert [text.stopped for text in texts] == [stop in text for text in full]
    for work in (lambda: older.generate(["A"], top_p=0.5), lambda: older.alternatives(["A"])):
        with pytest.raises(Unsupported, match="The model in this process was exported before .* existed"):
            work()


def test_texts_may_be_longer_than_one_call(local: LocalModel) -> None:
    limited = LocalModel(local._signatures, max_chars=100)
    full = local.generate(["A"], num_chars=250, seed=3)
    assert limited.generate(["A"], num_chars=250, seed=3) == full
    assert list(limited.stream("A", num_chars=250, seed=3, chunk_chars=500)) == [
        full[0][:100],
        full[0][100:200],
        full[0][200:],
    ]


def test_empty_requests(local: LocalModel) -> None:
    assert local.generate(["A", "B"], num_chars=0) == ["", ""]
    assert list(local.stream("A", num_chars=0)) == []
    assert local.generate([]) == []
    assert local.alternatives([]) == []


def test_limits_of_the_model_are_user_errors(local: LocalModel) -> None:
    with pytest.raises(UserError, match="temperature must be .*. Received: 101"):
        local.generate(["A"], temperature=101)
    with pytest.raises(UserError, match="score takes at most 500000 characters.*. Received: 500001"):
        local.score(["a" * 500_001])
    with pytest.raises(UserError, match="top_n must be from 1 to 21.* Received: 22"):
        local.alternatives(["a"], 22)
    with pytest.raises(ValueError, match="top_n=0"):
        local.alternatives(["a"], 0)


def test_directory_without_a_model_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"truncated")
    with pytest.raises(UserError, match=str(tmp_path)):
        LocalModel.load(str(tmp_path))
