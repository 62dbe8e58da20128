"""Messages and attributes of errors."""

import copy
import doctest
import pickle

import pytest

from serving.client import errors
from serving.client.errors import ClientError, ModelUnavailable, plain_message

NODE = "[[{{node Assert_1/AssertGuard/Assert}}]]"
STACK = (
    "Graph execution error:\n\nDetected at node Parse/ParseExampleV2 defined at (most recent call last):\n"
    '  File "/app/signatures.py", line 81, in eval_nll\n\n  File "/x/scoring.py", line 46, in eval_nll\n\n'
)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            f"{STACK}assertion failed: [top_k must be 0 (all characters) or more] [-1 2]\n\t {NODE} [Op:__inference_9]",
            "top_k must be 0 (all characters) or more. Received: -1 2",
        ),
        (f"assertion failed: [state must be zeros]\n {NODE}", "state must be zeros."),
        (
            "{{function_node __inference_signature_wrapper_generate_4028}} {{function_node __inference_generate_9}} "
            f"assertion failed: [num_chars must be from 0 to 9] [10]\n\t {NODE}\n\t [[StatefulPartitionedCall/_12]]",
            "num_chars must be from 0 to 9. Received: 10",
        ),
        # Errors of other operations.
        (
            f"{STACK}Could not parse example input, value: 'A'\n\t [[{{{{node P/Parse}}}}]] [Op:__inference_e_2]",
            "Could not parse example input, value: 'A'",
        ),
        (
            "Graph execution error:\n\nDetected at node Merge defined at (most recent call last):\n"
            "<stack traces unavailable>\nIncompatible shapes: [[1]] vs. [2]\n\t [[{{node Merge}}]]",
            "Incompatible shapes: [[1]] vs. [2]",
        ),
        ("Bad sizes: In[0]: [1,5]\n\t [[StatefulPartitionedCall_5]]", "Bad sizes: In[0]: [1,5]"),
        ("{{function_node __inference_f_1}} Bad {{x}}. [Op:StridedSlice] name: strided_slice/", "Bad {{x}}."),
        (
            f"2 root error(s) found.\n  (0) INVALID_ARGUMENT: a\n\t {NODE}\n\t [[b/c/_5]]\n  (1) INVALID_ARGUMENT: "
            f"a\n\t {NODE}\n0 successful operations.\n0 derived errors ignored.\n\nOriginal stack trace for a:\n x",
            "2 root error(s) found. (0) INVALID_ARGUMENT: a (1) INVALID_ARGUMENT: a",
        ),
        # Messages of TF Serving itself.
        (
            'Serving signature name: "x" not found in signature def',
            'Serving signature name: "x" not found in signature def',
        ),
        ("two\n  lines", "two lines"),
        ("", ""),
    ],
)
def test_places_in_the_graph_are_removed_from_a_message(message: str, expected: str) -> None:
    assert plain_message(message) == expected


def test_malformed_message_takes_no_time() -> None:
    for part in ("{{function_node ", "[[", "[[{{node ", "\n", "Detected at node ", "assertion failed: [", "[Op:"):
        plain_message(part * 10_000)
        plain_message(f"Detected at node a defined at (most recent call last):\n{part * 10_000}x")


def test_example() -> None:
    result = doctest.testmod(errors)
    assert result.failed == 0 < result.attempted


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
