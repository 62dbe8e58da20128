"""List the skipped tests by reason at the end of a test run; the reasons show what this machine lacks."""

from collections import defaultdict

import pytest
from _pytest.terminal import TerminalReporter


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    skipped = reasons(terminalreporter.stats.get("skipped", []))
    if not skipped:
        return
    terminalreporter.section("skipped tests by reason")
    for reason, tests in sorted(skipped.items(), key=lambda one: -len(one[1])):
        files = sorted({test.partition("::")[0] for test in tests})
        terminalreporter.line(f"{len(tests):4}  {reason}\n      {', '.join(files)}")


def reasons(reports: list[pytest.TestReport | pytest.CollectReport]) -> dict[str, set[str]]:
    """Return the names of the tests by reason; a file that is skipped entirely counts once for all workers."""
    found: dict[str, set[str]] = defaultdict(set)
    for report in reports:
        reason = report.longrepr[2] if isinstance(report.longrepr, (tuple, list)) else str(report.longrepr)
        found[reason.removeprefix("Skipped: ")].add(report.nodeid)
    return found
