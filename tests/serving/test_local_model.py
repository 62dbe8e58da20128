"""A model in this process answers as the same model behind a server does."""

from pathlib import Path
from typing import Any

import pytest

from components.errors import UserError
from serving.client import Client
from serving.local_model import LocalModel

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def local(pushed: str) -> LocalModel:
    return LocalModel.load(f"{pushed}/serving/tiny/3")


def test_it_answers_as_the_server_does(local: LocalModel, served: Any) -> None:
    how: Any = {"num_chars": 300, "temperature": 0.7, "top_k": 4, "seed": 21}
    with Client(served.url, served.model) as client:
        assert local.generate(["ROMEO:", "", "語"], **how) == client.generate(["ROMEO:", "", "語"], **how)
        assert "".join(local.stream("the", **how)) == client.generate("the", **how)
        (mine,), (theirs,) = (model.generate_from_state(["é"], num_chars=3, seed=1) for model in (local, client))
        assert mine.text == theirs.text
        assert mine.state == pytest.approx(theirs.state, rel=1e-5)
        texts = ["ROMEO: the\n", "x"]
        for mine_score, their_score in zip(local.score(texts), client.score(texts), strict=True):
            assert mine_score.nll == pytest.approx(their_score.nll, rel=1e-4)
            assert mine_score.num_chars == their_score.num_chars
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
