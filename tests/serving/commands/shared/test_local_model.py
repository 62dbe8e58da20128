"""A model in this process answers as the same model behind a server does."""

from pathlib import Path
from typing import Any

import pytest

from components.errors import UserError
from serving.client.blocking import Client
from serving.commands.shared.local_model import LocalModel
from tests import numeric
from tests.gru import Gru, refuse_unless_same, refuse_unless_written

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def local(pushed: str) -> LocalModel:
    return LocalModel.load(f"{pushed}/serving/tiny/3")


@pytest.mark.numeric
def test_it_answers_as_the_server_does(local: LocalModel, served: Any, tiny: Any) -> None:
    how: Any = {"num_chars": 300, "temperature": 0.7, "top_k": 4, "seed": 21}
    prompts = ["ROMEO:", "", "語"]
    with Client(served.url, served.model) as client:
        pairs = zip(prompts, local.generate(prompts, **how), client.generate(prompts, **how), strict=True)
        for row, (prompt, mine, theirs) in enumerate(pairs):
            assert len(mine) == 300
            refuse_unless_same(mine, theirs, *tiny, prompt, 0.7, 4, 21 + row)
        refuse_unless_same("".join(local.stream("the", **how)), client.generate("the", **how), *tiny, "the", 0.7, 4, 21)
        for model in (local, client):
            (row,) = model.generate_from_state(["é"], num_chars=3, seed=1)
            refuse_unless_written(row.text, *tiny, "é", 0.8, 0, 1)
            exact = Gru(*tiny)
            for character in f"é{row.text}"[:-1]:
                exact.read(character)
            numeric.close(row.state[:-2], exact.hidden[0][:, 0])
            assert list(row.state[-2:]) == [tiny[1].index(row.text[-1]) + 1, 3], "the last character and the draws"
            text, single = model.score(["ROMEO: the\n", "x"])
            numeric.close(text.nll, Gru(*tiny).nll("ROMEO: the\n"))
            assert (text.num_chars, single.num_chars, list(single.nll)) == (10, 0, [])
    assert [text.seed for text in local.generate(["a", "b"], **how)] == [21, 22]


def test_one_step_at_a_time_with_explicit_state(local: LocalModel) -> None:
    whole = local.generate(["ROMEO:"], num_chars=10, seed=2)[0]
    (row,) = local.generate_from_state(["ROMEO:"], seed=2)
    text = str(row.text)
    while len(text) < 10:
        (row,) = local.generate_from_state([""], [row.state], seed=2)
        text += row.text
    assert text == whole


def test_nothing_wanted_is_nothing(local: LocalModel) -> None:
    assert local.generate(["A", "B"], num_chars=0) == ["", ""]
    assert list(local.stream("A", num_chars=0)) == []
    assert local.generate([]) == []


def test_what_the_model_refuses_is_the_users_mistake(local: LocalModel) -> None:
    with pytest.raises(UserError, match="num_chars must be from 0 to 1000. Received: 1001"):
        local.generate_from_state(["A"], num_chars=1_001)


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"half of it")
    with pytest.raises(UserError, match=str(tmp_path)):
        LocalModel.load(str(tmp_path))
