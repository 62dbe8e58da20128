import pytest

from scripts.traffic import memory


@pytest.mark.parametrize(
    ("samples", "is_flat"),
    [
        (
            [100.0, 200.0, 300.0, *[400.0, 402.0] * 4],
            True,
        ),  # the first third, while versions are loaded, does not count
        ([400.0, 500.0, 450.0] * 8, True),
        ([400.0 + number for number in range(60)], False),
        ([400.0 + number / 4 for number in range(60)], True),
        ([400.0 - number for number in range(60)], True),
        ([400.0], True),
    ],
    ids=["start", "up and down", "grows", "grows slowly", "shrinks", "one sample"],
)
def test_memory_is_flat_unless_a_line_through_the_last_two_thirds_grows(samples: list[float], is_flat: bool) -> None:
    assert memory.verdict(samples)[0] == is_flat


def test_growth_is_stated_for_each_version_too() -> None:
    text = memory.verdict([400.0 + number for number in range(60)], pushed=30)[1]
    assert "NOT FLAT (at most 5%)" in text
    assert "grow by +39.0 MiB, +8.9% of their mean, +1.95 MiB for each version pushed" in text


def test_curve_shows_the_lowest_and_the_highest_mean() -> None:
    assert memory.curve([100.0, 150.0, 200.0]) == "100 ▁▅█ 200 MiB"
    assert len(memory.curve([100.0] * 1_000)) == len("100  100 MiB") + 60
