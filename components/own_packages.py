"""Check that no installed package with the same name hides one of this project."""

from pathlib import Path
from types import ModuleType

from components.errors import UserError


def require(root: Path, *packages: ModuleType) -> None:
    """Raise an error unless packages were imported from this project.

    Args:
      root: directory of this project, from the path of the program: an imported module may belong to another copy.

    Raises:
      UserError: a package is from elsewhere.
    """
    for package in packages:
        if Path(package.__path__[0]).resolve().parent != root.resolve():
            raise UserError(
                f"Another package called {package.__name__} hides this project's own. Run from the root of the "
                "repository in the project's environment, or put that root first on PYTHONPATH. "
                f"Received: {package.__path__[0]}"
            )
