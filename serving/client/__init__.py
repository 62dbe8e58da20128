"""Client: everything that speaks TF Serving's REST protocol, without TensorFlow.

Imports nothing of the project, only the standard library and, on first use, httpx; its own modules relatively. So the
folder can be installed alone, as `char_rnn_client` by its pyproject.toml.
"""

import importlib
from typing import TYPE_CHECKING, Any

from .errors import BadAnswer, ClientError, ModelUnavailable, NotReachable, ServerError, TimedOut, Unsupported

if TYPE_CHECKING:
    from .asynchronous import AsyncClient
    from .blocking import Client
    from .status import VersionStatus
    from .values import Alternative, Continuation, Generated, Metadata, Score

__all__ = [
    "Alternative",
    "AsyncClient",
    "BadAnswer",
    "Client",
    "ClientError",
    "Continuation",
    "Generated",
    "Metadata",
    "ModelUnavailable",
    "NotReachable",
    "Score",
    "ServerError",
    "TimedOut",
    "Unsupported",
    "VersionStatus",
]
_MODULES = {
    "Alternative": "values",
    "AsyncClient": "asynchronous",
    "Client": "blocking",
    "Continuation": "values",
    "Generated": "values",
    "Metadata": "values",
    "Score": "values",
    "VersionStatus": "status",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
