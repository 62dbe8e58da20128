"""Cron expressions: each back end has its own kind, and the open-source one misreads the other without a word."""

import re

from components.errors import UserError

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
# Name, lowest, highest, words; Kubeflow's scheduler counts Sunday as 0 only.
_Field = tuple[str, int, int, tuple[str, ...]]
_SECOND: _Field = ("second", 0, 59, ())
_FIVE: tuple[_Field, ...] = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of the month", 1, 31, ()),
    ("month", 1, 12, tuple(_MONTHS)),
    ("day of the week", 0, 6, tuple(_DAYS)),
)
_WORDS = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")


def check(expression: str | None, backend: str) -> str:
    """The expression, if the back end takes it as it is meant.

    Args:
      backend: "kfp" (six fields, seconds first, or a word such as @daily) or "vertex" (five fields).

    Raises:
      UserError: explains the difference and gives the same time in the other notation.
    """
    if not expression or not expression.strip():
        example = "'0 0 3 * * *'" if backend == "kfp" else "'0 3 * * *'"
        raise UserError(
            f"A schedule is needed: give --cron or cluster.schedule, for example {example} for every night at three. "
            f"Received: {expression!r}"
        )
    fields = expression.split()
    if backend == "kfp":
        if expression.strip() in _WORDS:
            return expression.strip()
        if len(fields) == 5:
            raise UserError(
                "Kubeflow Pipelines counts seconds first and wants six fields: second, minute, hour, day of the "
                "month, month, day of the week. It would accept five as well, but read the first as seconds, so "
                f"'0 3 * * *' would mean three minutes past every hour. Write '0 {' '.join(fields)}'. "
                f"Received: {expression!r}"
            )
        kinds: tuple[_Field, ...] = (_SECOND, *_FIVE)
        _count(fields, 6, "Kubeflow Pipelines", expression)
    else:
        zone = re.match(r"(CRON_)?TZ=\S+\s+", expression)
        fields = expression[zone.end() :].split() if zone else fields
        if len(fields) == 6:
            five = (zone.group() if zone else "") + " ".join(fields[1:])
            raise UserError(
                "Vertex AI wants five fields: minute, hour, day of the month, month, day of the week. Six, with "
                f"seconds first, are Kubeflow Pipelines' notation. Write '{five}'. "
                f"Received: {expression!r}"
            )
        kinds = _FIVE
        _count(fields, 5, "Vertex AI", expression)
    for field, (name, low, high, words) in zip(fields, kinds):
        for part in field.split(","):
            if not _is_legal(part, low, high, words, question="day" in name and backend == "kfp"):
                raise UserError(
                    f"The {name} of the schedule must be *, a number from {low} to {high}, a range a-b, a step */n or "
                    f"several of these with commas. Received: {part!r} in {expression!r}"
                )
    return " ".join(expression.split())


def _count(fields: list[str], wanted: int, who: str, expression: str) -> None:
    if len(fields) != wanted:
        raise UserError(
            f"{who} wants {wanted} fields, separated by spaces, and the schedule has {len(fields)}. In a shell, put it "
            f"in quotes, or it becomes a list of files. Received: {expression!r}"
        )


def _is_legal(part: str, low: int, high: int, words: tuple[str, ...], question: bool) -> bool:
    if part == "?":
        return question
    found = re.fullmatch(r"(\*|\w+)(?:-(\w+))?(?:/(\d+))?", part.lower())
    if not found:
        return False
    start, end, step = found.groups()
    numbers = [_number(value, low, words) for value in (start, end) if value not in (None, "*")]
    if any(number is None or not low <= number <= high for number in numbers):
        return False
    if end is not None and (start == "*" or numbers != sorted(numbers, key=lambda number: number or 0)):
        return False
    return step is None or int(step) > 0


def _number(value: str, low: int, words: tuple[str, ...]) -> int | None:
    if value in words:
        return words.index(value) + low
    return int(value) if value.isdecimal() else None
