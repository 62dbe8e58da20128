import pytest

from benchmarks import startup

REPORT = """import time: self [us] | cumulative | imported package
import time:      1500 |       1500 |   tensorflow.core
import time:    500000 |     501500 | tensorflow
something else | 7 | 8
import time:    700000 |     700000 |         nltk
"""


def test_hot_list_sums_the_modules_of_a_package() -> None:
    assert [line.split() for line in startup.hot([REPORT], 5)] == [["nltk", "0.70"], ["tensorflow", "0.50"]]
    assert len(startup.hot([REPORT], 1)) == 1


def test_hot_list_takes_the_lowest_time_of_each_module() -> None:
    slower = REPORT.replace("500000", "900000").replace("700000", "600000")
    assert [line.split() for line in startup.hot([REPORT, slower], 5)] == [["nltk", "0.60"], ["tensorflow", "0.50"]]


def test_rows_are_compared_with_the_first_one(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = iter([2.0, 3.0])
    monkeypatch.setattr(startup, "cpu_seconds", lambda arguments, rounds: next(taken))
    lines = startup.block({"peer": ["-c", "pass"], "ours": ["-c", "1"], "model": ["generate"]}, None, 1)
    assert [line.split()[1:3] for line in lines[:2]] == [["2.00", "1.00"], ["3.00", "1.50"]]
    assert lines[2].endswith("left out: no --serving-dir")
