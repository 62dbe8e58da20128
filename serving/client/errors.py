"""What can go wrong between the client and a server."""

import re


class ClientError(Exception):
    """Any failure of a request; the message is one paragraph for people."""


class NotReachable(ClientError):
    """No connection, or it broke, on every attempt."""


class TimedOut(ClientError):
    """The server took the request and did not answer in time. It may still be at work, so it is not asked again."""


class BadAnswer(ClientError):
    """The server answered with success, but not with what TF Serving and this project's model would say."""


class ServerError(ClientError):
    """The server refused.

    Attributes:
      status: HTTP status code.
      message: the server's own words.
    """

    def __init__(self, status: int, message: str, url: str) -> None:
        super().__init__(f"The server answered {status}: {message} Received from: {url}")
        self.status, self.message = status, message
        self._url = url

    def __reduce__(self) -> tuple[type["ServerError"], tuple[int, str, str]]:
        """What copies and pickles are made of."""
        return type(self), (self.status, self.message, self._url)


class ModelUnavailable(ServerError):
    """The model, version or label is not being served, or the server is overloaded or still loading."""


def refusal(message: str) -> str:
    """What a check in the graph says, out of all that TensorFlow wraps around it."""
    found = re.search(r"assertion failed: \[([^\]]*)\]\s*(?:\[([^\[\]]*)\])?", message)
    if not found:
        return " ".join(message.split())
    said, received = found.groups()
    return f"{said}. Received: {received}" if received else f"{said}."
