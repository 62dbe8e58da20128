"""For all tests."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long ones first, or one worker would still run them when the others have nothing left."""
    items.sort(key=lambda item: item.get_closest_marker("e2e") is None)
