"""Errors of requests: TF Serving's canonical codes and their HTTP statuses."""

import json

# HTTP status by canonical code; any other code is 500.
_HTTP = {
    "OK": 200,
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "ABORTED": 409,
    "PAYLOAD_TOO_LARGE": 413,  # not in TF Serving, which has no limit
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}


class RequestError(Exception):
    """Raised when a request is answered with an error.

    Attributes:
      code: canonical code, for example "INVALID_ARGUMENT".
      message: text of the response.

    Example:
      >>> RequestError("NOT_FOUND", "Servable not found for request: Latest(char_rnn)").http
      404
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def http(self) -> int:
        """HTTP status of the response."""
        return _HTTP.get(self.code, 500)

    def prefixed(self, prefix: str) -> "RequestError":
        """Return an INVALID_ARGUMENT error that quotes this one, with its code, after a prefix, as in TF Serving."""
        return RequestError("INVALID_ARGUMENT", f"{prefix}{self.code}: {self.message}")


def invalid(message: str) -> RequestError:
    """Return an INVALID_ARGUMENT error."""
    return RequestError("INVALID_ARGUMENT", message)


def internal(error: Exception) -> RequestError:
    """Return the INTERNAL error that reports an unexpected exception."""
    return RequestError("INTERNAL", f"{type(error).__name__}: {error}")


def deadline_exceeded(seconds: float) -> RequestError:
    """Return the error of a request that took longer than `seconds`."""
    return RequestError("DEADLINE_EXCEEDED", f"No answer within {seconds:g} s")


def body(message: str) -> bytes:
    """Return the JSON text of an error response."""
    return f'{{\n    "error": {json.dumps(message, ensure_ascii=False)}\n}}'.encode("utf-8", "surrogateescape")
