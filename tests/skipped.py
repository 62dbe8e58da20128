"""At its end a test run lists what was skipped, by reason: what is missing on this machine is read off there."""

from collections import defaultdict

import pytest
from _pytest.terminal import TerminalReporter


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    skipped = reasons(terminalreporter.stats.get("skipped", []))
    if not skipped:
        return
    terminalreporter.section("skipped, and why")
    for reason, tests in sorted(skipped.items(), key=lambda one: -len(one[1])):
        files = sorted({test.partition("::")[0] for test in tests})
        terminalreporter.line(f"{len(tests):4}  {reason}\n      {', '.join(files)}")


def reasons(reports: list[pytest.TestReport | pytest.CollectReport]) -> dict[str, set[str]]:
    """Names of the tests by reason; a file that is skipped as a whole counts once, however many workers say so."""
    found: dict[str, set[str]] = defaultdict(set)
    for report in reports:
        reason = report.longrepr[2] if isinstance(report.longrepr, (tuple, list)) else str(report.longrepr)
        found[reason.removeprefix("Skipped: ")].add(report.nodeid)
    return found
