"""Cron expressions. Kubeflow Pipelines and Vertex AI use different notations; Kubeflow misreads five fields."""

import re
from typing import NamedTuple

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


def check(expression: str | None, backend: str) -> str:
    """Return the expression, with single spaces, if it is valid in the backend's notation.

    Args:
      expression: may be missing or invalid.
      backend: "kfp" (six fields, seconds first, or a shorthand such as @daily) or "vertex" (five fields).

    Raises:
      UserError: explains the difference and gives the same time in the right notation.

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
    if len(values) == 5:
        raise UserError(
            "Kubeflow Pipelines expects six fields, seconds first: second, minute, hour, day of the month, month, "
            "day of the week. It would accept five as well, but read the first as seconds, so '0 3 * * *' would mean "
            f"three minutes past every hour. Write '0 {' '.join(values)}'. Received: {expression!r}"
        )
    _check_fields("Kubeflow Pipelines", values, (_SECOND, *_FIVE), expression, question_marks=True)
    return " ".join(values)


def _check_vertex(expression: str) -> str:
    zone = re.match(r"(CRON_)?TZ=\S+\s+", expression)
    values = expression[zone.end() :].split() if zone else expression.split()
    if len(values) == 6:
        five = (zone.group() if zone else "") + " ".join(values[1:])
        raise UserError(
            "Vertex AI expects five fields: minute, hour, day of the month, month, day of the week. Six, with "
            f"seconds first, are Kubeflow Pipelines' notation. Write '{five}'. Received: {expression!r}"
        )
    _check_fields("Vertex AI", values, _FIVE, expression, question_marks=False)
    return " ".join(expression.split())


def _check_fields(
    service: str, values: list[str], fields: tuple[_Field, ...], expression: str, question_marks: bool
) -> None:
    if len(values) != len(fields):
        raise UserError(
            f"{service} expects {len(fields)} fields, separated by spaces, and the schedule has {len(values)}. Put it "
            f"in quotes, or the shell expands it to a list of files. Received: {expression!r}"
        )
    for value, field in zip(values, fields):
        for part in value.split(","):
            if part == "?" and question_marks and "day" in field.name:
                continue
            if not _is_valid(part, field):
                raise UserError(
                    f"The {field.name} of the schedule must be *, a number from {field.low} to {field.high}, a range "
                    f"a-b, a step */n or several of these with commas. Received: {part!r} in {expression!r}"
                )


def _is_valid(part: str, field: _Field) -> bool:
    found = re.fullmatch(r"(\*|\w+)(?:-(\w+))?(?:/(\d+))?", part.lower())
    if not found:
        return False
    start, end, step = found.groups()
    numbers = [_number(value, field) for value in (start, end) if value not in (None, "*")]
    if not all(field.low <= number <= field.high for number in numbers) or numbers != sorted(numbers):
        return False
    return (end is None or start != "*") and (step is None or int(step) > 0)


def _number(value: str, field: _Field) -> int:
    """Return the number of a value, or one below every field's range if it has none."""
    if value in field.names:
        return field.names.index(value) + field.low
    return int(value) if value.isdecimal() else -1
