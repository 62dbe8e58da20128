"""Names of objects in a cluster: valid, stable, and different for different models."""

import doctest
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components import dns_label

MODEL = st.from_regex(r"[A-Ca-c][ABab_-]{0,62}", fullmatch=True)  # few letters: names that resemble each other


def test_example_runs() -> None:
    assert doctest.testmod(dns_label).failed == 0


@pytest.mark.parametrize("longest", [40, 128])
@settings(max_examples=200)
@given(first=MODEL, second=MODEL)
def test_label_is_valid_and_unique(longest: int, first: str, second: str) -> None:
    labels = [dns_label.of(model, longest) for model in (first, second)]
    for label in labels:
        assert re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", label)
        assert len(label) <= longest
    assert (labels[0] == labels[1]) == (first == second)


@pytest.mark.parametrize("names", [("Poems", "poems", "POEMS"), ("a_b", "a-b", "A_b", "a_b_"), ("a" * 41, "a" * 42)])
def test_similar_names_have_different_labels(names: tuple[str, ...]) -> None:
    assert len({dns_label.of(name, 40) for name in names}) == len(names)


@pytest.mark.parametrize("name", ["char_rnn", "poems", "poems2", "a__b", "a" * 40])
def test_name_of_lower_case_letters_keeps_its_label(name: str) -> None:
    assert dns_label.of(name, 40) == name.replace("_", "-")
