"""docs/configuration.md is the current output of scripts/config_reference.py."""

from typing import Annotated, Literal

import pytest
from pydantic import Field

from pipeline.config.run import Config
from pipeline.config.section import Section
from scripts import config_reference


class Inner(Section):
    """A part.

    More about it.
    """

    # The size, in `a|b`; None: all.
    size: Annotated[int, Field(ge=1, lt=10)] | None = None
    # Above 0; see <root>/x.
    # Two lines.
    rate: Annotated[float, Field(gt=0.0)] = 0.5


class Heir(Inner):
    """Another part."""

    size: Annotated[int, Field(ge=1)] | None = 3


class Outer(Section):
    """Everything."""

    # Which one.
    kind: Literal["one", "two"] = "one"
    # Names.
    names: tuple[Annotated[str, Field(pattern="^(a|b)$")], ...] = ()
    # Parts of a list.
    parts: tuple[Inner, ...] = ()
    first: Inner = Inner()
    second: Inner = Inner()
    heir: Heir = Heir()


class Undocumented(Section):
    """A section with a value that has no comment."""

    # An explanation.
    explained: int = 1
    unexplained: int = 2


def test_the_page_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert config_reference.main(["--check"]) == 0, capsys.readouterr().err


def test_the_page_has_every_value() -> None:
    page = config_reference.page(Config)
    for key in ("`root`", "`training.steps`", "`serving.batching.mode`", "`cluster.pods.default.cpu`"):
        assert f"\n| {key} |" in page


def test_type_default_bounds_and_comment_of_a_value() -> None:
    lines = config_reference.page(Outer).splitlines()
    assert "| `kind` | `one`, `two` | `one` | Which one. |" in lines
    assert "| `names` | list of text, matching <code>^(a&#124;b)$</code> | `[]` | Names. |" in lines
    assert "| `heir.size` | integer, ≥ 1 or `none` | `3` | The size, in <code>a&#124;b</code>; `none`: all. |" in lines
    assert "| `heir.rate` | number, > 0.0 | `0.5` | Above 0; see &lt;root&gt;/x. Two lines. |" in lines


def test_sections_of_one_class_are_described_once() -> None:
    text = config_reference.page(Outer)
    assert "## `NAME`\n\nA part.\nNAME is one of: `first`, `second`.\n" in text
    assert text.count("`NAME.size`") == 1


def test_elements_of_a_list_are_described() -> None:
    text = config_reference.page(Outer)
    assert "| `parts` | list of [Inner](#inner) | `[]` | Parts of a list. |" in text
    assert "\n## Inner\n\nA part.\n\n| key |" in text


def test_value_without_a_comment_is_an_error() -> None:
    assert config_reference.comment(Undocumented, "explained") == "An explanation."
    with pytest.raises(ValueError, match="no comment above the value .*Undocumented.unexplained"):
        config_reference.page(Undocumented)
