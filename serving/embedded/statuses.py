"""The ways in which a request fails, named and numbered as in TF Serving."""

import json

# Canonical code -> HTTP status; every other code is 500.
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
    "PAYLOAD_TOO_LARGE": 413,  # ours: TF Serving knows no limit
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}


class Refusal(Exception):
    """A request that gets an error for an answer.

    Attributes:
      code: canonical code, for example "INVALID_ARGUMENT".
      message: what the answer says.
    """

    def __init__(self, code: str, message: str) -> None:
        """Keep code and message."""
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def http(self) -> int:
        """Status of the HTTP answer."""
        return _HTTP.get(self.code, 500)

    def inside(self, prefix: str) -> "Refusal":
        """The same refusal as the cause within a longer message, where TF Serving spells its code out."""
        return Refusal("INVALID_ARGUMENT", f"{prefix}{self.code}: {self.message}")


def invalid(message: str) -> Refusal:
    """An INVALID_ARGUMENT refusal."""
    return Refusal("INVALID_ARGUMENT", message)


def body(message: str) -> bytes:
    """JSON text of an error's answer."""
    return f'{{\n    "error": {json.dumps(message, ensure_ascii=False)}\n}}'.encode("utf-8", "surrogateescape")
