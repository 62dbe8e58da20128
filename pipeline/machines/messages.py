"""Messages between machines, and between a program and its training process: JSON objects, one per line.

The chief listens on its own address in `TF_CONFIG` until training starts; TensorFlow's server then takes the port, and
the connections stay open. So no port is needed besides those that TensorFlow uses.
"""

import contextlib
import errno
import json
import os
import socket
import threading
from typing import Any

from components.errors import UserError

Message = dict[str, Any]  # its "kind", and values that depend on it
LOST = "lost"  # the kind that stands for the end of a connection
_LONGEST = 1 << 20  # bytes of a line
# A machine without power or network is noticed after IDLE + COUNT * INTERVAL seconds.
_IDLE_SECONDS, _INTERVAL_SECONDS, _COUNT = 10, 5, 4


def encode(kind: str, **values: Any) -> bytes:
    """Return a message as a line."""
    return json.dumps({"kind": kind, **values}).encode() + b"\n"


def decode(line: bytes) -> Message | None:
    """Return the message of a line; None if it is something else, such as the greeting of another program."""
    try:
        message = json.loads(line)
    except ValueError:
        return None
    return message if isinstance(message, dict) and isinstance(message.get("kind"), str) else None


class Connection:
    """A connection to another machine. Example: tests/pipeline/machines/test_messages.py."""

    def __init__(self, connected: socket.socket) -> None:
        """Use a connected socket."""
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _IDLE_SECONDS)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _INTERVAL_SECONDS)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _COUNT)
        self._socket, self._reader = connected, connected.makefile("rb")
        self._sending = threading.Lock()

    def limit(self, seconds: float | None) -> None:
        """Set how long `receive` waits; None: forever."""
        self._socket.settimeout(seconds)

    def send(self, kind: str, **values: Any) -> None:
        """Send a message. A lost connection is not an error here: the receiving side notices it."""
        try:
            with self._sending:
                self._socket.sendall(encode(kind, **values))
        except OSError:
            self.close()

    def receive(self) -> Message:
        """Wait for the next message; the kind `LOST` stands for the end of the connection, and for anything else."""
        try:
            return decode(self._reader.readline(_LONGEST)) or {"kind": LOST}
        except (OSError, ValueError):
            return {"kind": LOST}

    def close(self) -> None:
        """Close it; a `receive` that waits returns."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._reader.close()
        self._socket.close()


def split(address: str) -> tuple[str, int]:
    """Return host and port of an address in `TF_CONFIG`.

    >>> split("[::1]:2222")
    ('::1', 2222)

    Raises:
      UserError: it is not host:port.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise UserError(f"An address in TF_CONFIG is not host:port. Correct it on all machines. Received: {address}")
    return host.strip("[]"), int(port)


def listen(address: str) -> socket.socket:
    """Listen on the port of this machine's address, on all interfaces as TensorFlow's server does.

    Raises:
      UserError: the port cannot be used.
    """
    _, port = split(address)
    dual = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if dual else socket.AF_INET
    try:
        return socket.create_server(("", port), family=family, dualstack_ipv6=dual)
    except OSError as error:
        used = error.errno == errno.EADDRINUSE
        advice = "Stop the process that uses it" if used else "Give a port above 1023"
        raise UserError(
            f"Port {port} of this machine cannot be used: {os.strerror(error.errno or 0)}. {advice}, or change the "
            f"port of this machine in TF_CONFIG on all machines. Received: {address}"
        ) from error


def connect(address: str, seconds: float) -> socket.socket:
    """Connect to an address of `TF_CONFIG`.

    Raises:
      OSError: nothing answers there.
      UserError: no machine has this name.
    """
    try:
        return socket.create_connection(split(address), timeout=seconds)
    except socket.gaierror as error:
        if error.errno != socket.EAI_NONAME:
            raise
        raise UserError(
            f"The host of an address in TF_CONFIG is unknown on this machine: {error.strerror}. Give a name that all "
            f"machines can resolve, or an IP address. Received: {address}"
        ) from error
