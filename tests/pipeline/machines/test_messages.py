"""Messages over a connection, and the addresses of TF_CONFIG."""

import doctest
import socket
from collections.abc import Iterator

import pytest

from components.errors import UserError
from pipeline.machines import messages
from pipeline.machines.messages import Connection
from tests.pipeline.machines import doubles

pytestmark = pytest.mark.integration


@pytest.fixture
def ends() -> Iterator[tuple[Connection, socket.socket]]:
    """A connection, and the socket at its other end."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        other = socket.create_connection(listener.getsockname())
        one = Connection(listener.accept()[0])
        with other:
            yield one, other
        one.close()


def test_docstring_example_runs() -> None:
    assert doctest.testmod(messages).failed == 0


def test_messages_arrive_in_order_and_unchanged(ends: tuple[Connection, socket.socket]) -> None:
    one, other = ends[0], Connection(ends[1])
    one.send("train", arguments={"text": "äß\n", "none": None})
    one.send("finish")
    assert other.receive() == {"kind": "train", "arguments": {"text": "äß\n", "none": None}}
    assert other.receive() == {"kind": "finish"}


@pytest.mark.parametrize("line", [b"", b"HTTP/1.1 200 OK\r\n", b"[]\n", b'{"kind": 3}\n', b"\xff\xfe\n", b"{}\n"])
def test_anything_else_counts_as_a_lost_connection(ends: tuple[Connection, socket.socket], line: bytes) -> None:
    ends[1].sendall(line)
    ends[1].shutdown(socket.SHUT_WR)
    assert ends[0].receive() == {"kind": messages.LOST}


def test_silent_peer_counts_as_lost_after_the_limit(ends: tuple[Connection, socket.socket]) -> None:
    ends[0].limit(0.01)
    assert ends[0].receive() == {"kind": messages.LOST}


def test_message_to_a_lost_peer_is_no_error(ends: tuple[Connection, socket.socket]) -> None:
    ends[1].close()
    for _ in range(5):
        ends[0].send("progress", text="x" * 100_000)
    assert ends[0].receive() == {"kind": messages.LOST}


def test_lost_machine_is_noticed_by_keepalive(ends: tuple[Connection, socket.socket]) -> None:
    assert ends[0]._socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    names = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
    idle, interval, count = (ends[0]._socket.getsockopt(socket.IPPROTO_TCP, name) for name in names)
    assert idle + interval * count == 30


@pytest.mark.parametrize("address", ["a", "a:", ":2222", "a:b", "a:0", "a:65536", "a:-1"])
def test_address_without_host_or_port_is_a_user_error(address: str) -> None:
    with pytest.raises(UserError, match=f"not host:port.*Received: {address}"):
        messages.split(address)


def test_listening_again_on_a_port_with_open_connections_works() -> None:
    address = doubles.free_addresses(1)[0]
    with messages.listen(address) as listener:
        client = messages.connect(address, doubles.SECONDS)
        server = listener.accept()[0]
    with client, server, messages.listen(address):
        pass
