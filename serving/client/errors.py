"""Errors of the client."""

import re


class ClientError(Exception):
    """Any failure of a request; the message is one readable paragraph."""


class NotReachable(ClientError):
    """Every attempt failed to connect or lost the connection."""


class TimedOut(ClientError):
    """The server accepted the request and did not respond in time. It may still be working, so there is no retry."""


class BadAnswer(ClientError):
    """The server reported success, but the response is not one of TF Serving with this project's model."""


class ServerError(ClientError):
    """The server responded with an error.

    Attributes:
      status: HTTP status code.
      message: the server's error message.

    Example: `test_server_error_carries_status_and_message` in tests/serving/client/test_errors.py.
    """

    def __init__(self, status: int, message: str, url: str) -> None:
        super().__init__(f"The server responded {status}: {message} Received from: {url}")
        self.status, self.message = status, message
        self._url = url

    def __reduce__(self) -> tuple[type["ServerError"], tuple[int, str, str]]:
        """Support copy and pickle."""
        return type(self), (self.status, self.message, self._url)


class ModelUnavailable(ServerError):
    """The model, version or label is not being served, or the server is overloaded or still loading."""


def assertion_message(message: str) -> str:
    """Extract the message of a failed assertion in the graph from TensorFlow's error text."""
    found = re.search(r"assertion failed: \[([^\]]*)\]\s*(?:\[([^\[\]]*)\])?", message)
    if not found:
        return " ".join(message.split())
    asserted, received = found.groups()
    return f"{asserted}. Received: {received}" if received else f"{asserted}."
