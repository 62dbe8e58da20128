"""Make sure that packages of the index with the same names do not stand in for ours."""

from pathlib import Path
from types import ModuleType

from components.errors import UserError


def require(root: Path, *packages: ModuleType) -> None:
    """Check where packages were imported from.

    Args:
      root: of this project, as the program that asks knows it by its own place: what is imported may be another copy.

    Raises:
      UserError: one of them is not this project's.
    """
    for package in packages:
        if Path(package.__path__[0]).resolve().parent != root.resolve():
            raise UserError(
                f"Another package called {package.__name__} hides this project's own. Run from the root of the "
                "repository in the project's own environment, or put that root first on PYTHONPATH. "
                f"Received: {package.__path__[0]}"
            )
