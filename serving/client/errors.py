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


class Unsupported(ClientError):
    """The served version was exported before the option or the operation existed."""


_LONGEST = 20_000  # characters of a message that are read; stacks of calls are long
# What TensorFlow adds to the message of an operation: places in the graph, stacks of calls, counts of other errors.
_ADDED = re.compile(
    r"Graph execution error:"
    r"|Detected at node .* defined at \(most recent call last\):\n"
    r"(?:<stack traces unavailable>\n|[ \t]*File \".*\n|[ \t]*\n)*"
    r"|\{\{function_node [^{}]*\}\}"
    r"|\[\[[^\[\]{}]*\{\{node [^{}]*\}\}\]\]|\n[ \t]*\[\[[^\[\]\s]*\]\]"
    r"|\[Op:\w+\](?: name: \S*)?"
    r"|\d+ successful operations\.|\d+ derived errors ignored\."
    r"|Original stack trace for [\s\S]*"
)
_ASSERTION = re.compile(r"assertion failed: \[([^\]]*)\]\s*(?:\[([^\[\]]*)\])?")


def plain_message(message: str) -> str:
    """Return a server's or TensorFlow's message without the places in the graph, and of a failed assertion its text.

    Example:
      >>> plain_message("{{function_node __inference_score_7}} assertion failed: [top_k must be 0 or more] [-1]")
      'top_k must be 0 or more. Received: -1'
    """
    message = message[:_LONGEST]
    if found := _ASSERTION.search(message):
        asserted, received = found.groups()
        return f"{asserted}. Received: {received}" if received else f"{asserted}."
    return " ".join(_ADDED.sub(" ", message).split())
