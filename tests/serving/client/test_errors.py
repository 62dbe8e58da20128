"""Messages and attributes of errors."""

import copy
import pickle

import pytest

from serving.client.errors import ClientError, ModelUnavailable, assertion_message


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "Graph execution error:\n\nassertion failed: [top_k must be 0 (all characters) or more] [-1 2]\n [[{{node",
            "top_k must be 0 (all characters) or more. Received: -1 2",
        ),
        ("assertion failed: [state must be zeros]\n [[{{node Assert}}]]", "state must be zeros."),
        ("two\n  lines", "two lines"),
    ],
)
def test_message_of_a_graph_assertion_is_extracted(message: str, expected: str) -> None:
    assert assertion_message(message) == expected


def test_server_error_carries_status_and_message() -> None:
    error = ModelUnavailable(404, "not here.", "http://x")
    assert isinstance(error, ClientError)
    assert (error.status, error.message) == (404, "not here.")
    assert str(error) == "The server responded 404: not here. Received from: http://x"


def test_server_error_can_be_copied_and_pickled() -> None:
    error = ModelUnavailable(404, "not here.", "http://x")
    for again in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert (type(again), str(again), again.status, again.message) == (
            ModelUnavailable,
            str(error),
            404,
            "not here.",
        )
