"""Client: everything that speaks TF Serving's REST protocol, without TensorFlow.

May import `components.errors` and nothing else of the project. `Client` and `AsyncClient` load httpx on first use.
"""

import importlib
from typing import TYPE_CHECKING, Any

from serving.client.errors import ClientError

if TYPE_CHECKING:
    from serving.client.asynchronous import AsyncClient
    from serving.client.blocking import Client

__all__ = ["AsyncClient", "Client", "ClientError"]
_MODULES = {"AsyncClient": "serving.client.asynchronous", "Client": "serving.client.blocking"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)
