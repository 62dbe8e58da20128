"""Free ports of the loopback interface for servers of tests."""

import socket

_given: set[int] = set()


def free() -> int:
    """Return a port that is free now; each call another one, because the system may offer the same port twice."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port not in _given:
            _given.add(port)
            return port
