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
        ("0 */90 * * * *", "minute"),  # would start a run every hour
        ("0 0 */24 * * *", "hour"),
        ("0 0 10-12/3 * * *", "hour"),
        ("0 0 \uff13 * * *", "hour"),
        ("0 0 *-3 * * *", "hour"),
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


@pytest.mark.parametrize("expression", ["* * * * * *", "*/30 * * * * *", "0,30 0 3 * * *"])
def test_several_runs_a_minute_are_refused(expression: str) -> None:
    with pytest.raises(UserError, match=r"would start \d+ runs a minute.* Received: "):
        cron.check(expression, "kfp")


@pytest.mark.parametrize(
    ("expression", "backend"),
    [("0 0 3 30 2 *", "kfp"), ("0 0 3 31 feb,4,SEP ?", "kfp"), ("0 3 30-31 2 *", "vertex")],
)
def test_date_that_no_year_has_is_refused(expression: str, backend: str) -> None:
    with pytest.raises(UserError, match=r"would never start a run: no month of it has a day 3[01]"):
        cron.check(expression, backend)


@pytest.mark.parametrize("expression", ["0 0 3 29 2 *", "0 0 3 30 2 MON", "0 0 3 31 2-3 *", "0 5/20 3 * * *"])
def test_rare_dates_and_steps_are_accepted(expression: str) -> None:
    assert cron.check(expression, "kfp") == expression


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../passwd", "Europe"])
def test_unknown_time_zone_is_refused(zone: str) -> None:
    with pytest.raises(UserError, match=r"time zone .* Received: '.*' in '(CRON_)?TZ="):
        cron.check(f"CRON_TZ={zone} 0 3 * * *", "vertex")


def test_time_zone_is_none_of_kubeflow_pipelines() -> None:
    with pytest.raises(UserError, match=r"no time zone .* Leave TZ=Europe/Berlin out\. Received: "):
        cron.check("TZ=Europe/Berlin 0 0 3 * * *", "kfp")
