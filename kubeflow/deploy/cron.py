"""Cron expressions. Kubeflow Pipelines and Vertex AI use different notations; Kubeflow misreads five fields."""

import re
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from components.errors import UserError

_SHORTHANDS = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")


class _Field(NamedTuple):
    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()  # of the values, from the lowest


_SECOND = _Field("second", 0, 59)
_FIVE = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")),
    # Kubeflow's scheduler knows Sunday as 0 only, not as 7.
    _Field("day of the week", 0, 6, ("sun", "mon", "tue", "wed", "thu", "fri", "sat")),
)
_LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)  # days of each month

_TIME_ZONE = re.compile(r"(?:CRON_)?TZ=(\S+)\s+")


def check(expression: str | None, backend: str) -> str:
    """Return the expression, with single spaces, if it is valid in the backend's notation.

    Args:
      expression: may be missing or invalid.
      backend: "kfp" (six fields, seconds first, or a shorthand such as @daily) or "vertex" (five fields).

    Raises:
      UserError: explains the difference and gives the same time in the right notation; or the schedule would start
        no run, or several a minute.

    Example:
      >>> check("0 0 3 * * *", "kfp")
      '0 0 3 * * *'
    """
    if not expression or not expression.strip():
        example = "'0 0 3 * * *'" if backend == "kfp" else "'0 3 * * *'"
        raise UserError(
            f"A schedule is needed: give --cron or cluster.schedule, for example {example} for every night at three. "
            f"Received: {expression!r}"
        )
    return _check_kfp(expression) if backend == "kfp" else _check_vertex(expression)


def _check_kfp(expression: str) -> str:
    values = expression.split()
    if expression.strip() in _SHORTHANDS:
        return expression.strip()
    if zone := _TIME_ZONE.match(expression):
        raise UserError(
            "Kubeflow Pipelines has no time zone in a schedule: the one of its controller counts, UTC unless its "
            f"variable CRON_SCHEDULE_TIMEZONE names another. Leave {zone[0].strip()} out. Received: {expression!r}"
        )
    if len(values) == 5:
        raise UserError(
            "Kubeflow Pipelines expects six fields, seconds first: second, minute, hour, day of the month, month, "
            "day of the week. It would accept five as well, but read the first as seconds, so '0 3 * * *' would mean "
            f"three minutes past every hour. Write '0 {' '.join(values)}'. Received: {expression!r}"
        )
    seconds, *times = _parsed("Kubeflow Pipelines", values, (_SECOND, *_FIVE), expression, question_marks=True)
    if len(seconds) > 1:
        raise UserError(
            f"The schedule would start {len(seconds)} runs a minute: the first field is the second, and one number is "
            f"enough, for example 0. Received: {expression!r}"
        )
    _check_days(times, values[1:], expression)
    return " ".join(values)


def _check_vertex(expression: str) -> str:
    zone = _TIME_ZONE.match(expression)
    if zone and not _is_time_zone(zone[1]):
        raise UserError(
            f"The time zone of the schedule must be a name of the IANA database, for example Europe/Berlin. Received: "
            f"{zone[1]!r} in {expression!r}"
        )
    values = expression[zone.end() :].split() if zone else expression.split()
    if len(values) == 6:
        five = (zone.group() if zone else "") + " ".join(values[1:])
        raise UserError(
            "Vertex AI expects five fields: minute, hour, day of the month, month, day of the week. Six, with "
            f"seconds first, are Kubeflow Pipelines' notation. Write '{five}'. Received: {expression!r}"
        )
    _check_days(_parsed("Vertex AI", values, _FIVE, expression, question_marks=False), values, expression)
    return " ".join(expression.split())


def _is_time_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        return not available_timezones()  # without a database any name may be right
    return True


def _parsed(
    service: str, values: list[str], fields: tuple[_Field, ...], expression: str, question_marks: bool
) -> list[set[int]]:
    """Return the numbers at which each field starts a run."""
    if len(values) != len(fields):
        raise UserError(
            f"{service} expects {len(fields)} fields, separated by spaces, and the schedule has {len(values)}. Put it "
            f"in quotes, or the shell expands it to a list of files. Received: {expression!r}"
        )
    parsed = []
    for value, field in zip(values, fields):
        found: set[int] = set()
        for part in value.split(","):
            numbers = _numbers("*" if part == "?" and question_marks and "day" in field.name else part, field)
            if not numbers:
                raise UserError(
                    f"The {field.name} of the schedule must be *, a number from {field.low} to {field.high}, a range "
                    f"a-b, a step */n that is shorter than the range or several of these with commas. Received: "
                    f"{part!r} in {expression!r}"
                )
            found |= set(numbers)
        parsed.append(found)
    return parsed


def _check_days(times: list[set[int]], values: list[str], expression: str) -> None:
    """Raise UserError if no month of the schedule has one of its days; `values` are the five fields as written."""
    _, _, days, months, _ = times
    # With both kinds of days, either starts a run.
    if values[4][0] in "*?" and min(days) > max(_LONGEST[month - 1] for month in months):
        raise UserError(
            f"The schedule would never start a run: no month of it has a day {min(days)}. Change the day of the month "
            f"or the month. Received: {expression!r}"
        )


def _numbers(part: str, field: _Field) -> range:
    """Return the numbers that a part of a field stands for; none if it is not valid."""
    found = re.fullmatch(r"(\*|\w+)(?:-(\w+))?(?:/(\d+))?", part.lower(), re.ASCII)
    if not found or (found[1] == "*" and found[2]):
        return range(0)
    start = field.low if found[1] == "*" else _number(found[1], field)
    end = _number(found[2], field) if found[2] else field.high if found[1] == "*" or found[3] else start
    step = int(found[3] or 1)
    # A longer step than the range is no step: */90 minutes would start a run every hour.
    if not field.low <= start <= end <= field.high or not (found[3] is None or 0 < step <= end - start):
        return range(0)
    return range(start, end + 1, step)


def _number(value: str, field: _Field) -> int:
    """Return the number of a value, or one below every field's range if it has none."""
    if value in field.names:
        return field.names.index(value) + field.low
    return int(value) if value.isdecimal() else -1
