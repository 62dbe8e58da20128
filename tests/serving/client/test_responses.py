"""Errors that responses, and requests without a response, become; test_blocking.py has the messages of servers."""

import doctest
import json

import pytest

from serving.client import responses
from serving.client.errors import BadAnswer, ClientError, ModelUnavailable, NotReachable, ServerError, TimedOut
from serving.client.responses import Failure, Response, read


@pytest.mark.parametrize(
    ("failure", "kind", "message"),
    [
        (
            Failure("connection", "refused"),
            NotReachable,
            "No server responds: refused. Tried 2 times. Received: http://x",
        ),
        (
            Failure("certificate", "self-signed"),
            NotReachable,
            "The server's certificate is not trusted: self-signed. Trust its authority with verify=, which takes an "
            "ssl.SSLContext. Received: http://x",
        ),
        (Failure("timeout", "30 s"), TimedOut, "The server did not respond in time: 30 s. Received: http://x"),
        (Failure("undecodable", "gzip"), BadAnswer, "The response cannot be decoded: gzip. Received from: http://x"),
    ],
)
def test_request_without_a_response_is_an_error(failure: Failure, kind: type[ClientError], message: str) -> None:
    with pytest.raises(ClientError) as caught:
        read(failure, "http://x", 2)
    assert (type(caught.value), str(caught.value)) == (kind, message)


def test_long_message_is_truncated() -> None:
    with pytest.raises(ModelUnavailable) as caught:
        read(Response(404, b'{"error": "%s"}' % (b"x" * 10_000)), "http://x", 1)
    assert len(str(caught.value)) < 700


def test_message_of_the_graph_is_readable_before_it_is_truncated() -> None:
    places = "{{function_node __inference_signature_wrapper_generate_4028}} " * 20
    body = {"error": f"{places}assertion failed: [top_k must be 0 or more] [-1]\n\t [[{{{{node Assert}}}}]]"}
    with pytest.raises(ServerError) as caught:
        read(Response(400, json.dumps(body).encode()), "http://x", 1)
    assert caught.value.message == "top_k must be 0 or more. Received: -1."


def test_example() -> None:
    result = doctest.testmod(responses)
    assert result.failed == 0 < result.attempted
