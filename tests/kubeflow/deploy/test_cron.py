"""The cron notation of each backend, and the explanation for the other one."""

import doctest

import pytest

from components.errors import UserError
from kubeflow.deploy import cron


def test_docstring_examples_are_true() -> None:
    assert doctest.testmod(cron).failed == 0


@pytest.mark.parametrize(
    "expression", ["0 0 3 * * *", "0 */15 * * * ?", "0 30 6,18 1-15 jan-mar MON-FRI", "@daily", " 0  0 3 * *  * "]
)
def test_kubeflow_takes_six_fields(expression: str) -> None:
    assert cron.check(expression, "kfp") == " ".join(expression.split())


@pytest.mark.parametrize("expression", ["0 3 * * *", "*/15 0-6 * * 1,3", "TZ=Europe/Berlin 0 3 * * *"])
def test_vertex_takes_five_fields(expression: str) -> None:
    assert cron.check(expression, "vertex") == expression


def test_five_fields_for_kubeflow_are_explained_with_the_six_to_write() -> None:
    with pytest.raises(UserError, match=r"seconds first.*three minutes past every hour.*Write '0 30 4 \* \* 1'"):
        cron.check("30 4 * * 1", "kfp")


def test_six_fields_for_vertex_are_explained_with_the_five_to_write() -> None:
    with pytest.raises(UserError, match=r"five fields.*Write '30 4 \* \* 1'"):
        cron.check("0 30 4 * * 1", "vertex")
    with pytest.raises(UserError, match=r"Write 'TZ=Europe/Berlin 30 4 \* \* 1'"):
        cron.check("TZ=Europe/Berlin 0 30 4 * * 1", "vertex")


@pytest.mark.parametrize(
    ("expression", "field"),
    [
        ("60 0 3 * * *", "second"),
        ("0 61 3 * * *", "minute"),
        ("0 0 24 * * *", "hour"),
        ("0 0 3 0 * *", "day of the month"),
        ("0 0 3 * 13 *", "month"),
        ("0 0 3 * * 7", "day of the week"),  # Kubeflow knows Sunday as 0 only
        ("0 0 3 * * 5-1", "day of the week"),
        ("0 0 3/0 * * *", "hour"),
        ("0 ? 3 * * *", "minute"),
        ("0 0 three * * *", "hour"),
    ],
)
def test_field_out_of_range_is_named(expression: str, field: str) -> None:
    with pytest.raises(UserError, match=f"The {field} of the schedule"):
        cron.check(expression, "kfp")


@pytest.mark.parametrize("expression", [None, "", "   "])
def test_missing_schedule_is_explained_with_an_example(expression: str | None) -> None:
    with pytest.raises(UserError, match=r"'0 0 3 \* \* \*'"):
        cron.check(expression, "kfp")


def test_unquoted_expression_expanded_by_the_shell_is_explained() -> None:
    with pytest.raises(UserError, match="has 7.*in quotes"):
        cron.check("0 0 3 README.md docs tests uv.lock", "kfp")
