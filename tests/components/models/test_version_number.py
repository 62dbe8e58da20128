"""The names that TF Serving takes for versions, and how light it is to ask."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.models.version_number import LARGEST, is_version_number


@given(st.integers(0, LARGEST), st.integers(0, 3))
def test_digits_are_a_number_and_zeros_may_come_first(number: int, zeros: int) -> None:
    assert is_version_number("0" * zeros + str(number))


@pytest.mark.parametrize(
    "name", ["", "-1", "+1", " 1", "1 ", "1_000", "1.0", "0x1", "4a", "²", "١", "v1", ".incoming-7", "models.config"]
)
def test_other_names_are_none(name: str) -> None:
    assert not is_version_number(name)


def test_a_number_has_64_bits() -> None:
    assert is_version_number("9223372036854775807")
    assert not is_version_number("9223372036854775808")
    assert not is_version_number("9" * 200)
