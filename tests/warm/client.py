"""Client of `server.py` in place of an interpreter: requests a child with its arguments, streams, and environment.

It forwards signals and exits with the child's status. If it is killed, the server kills the child.
"""

import contextlib
import json
import os
import select
import signal
import socket
import struct
import sys

_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)


def main(path: str, arguments: list[str]) -> None:
    """Request a child, wait, and exit with its status."""
    # Held back until they can be forwarded: the child may run before this process knows its id.
    signal.pthread_sigmask(signal.SIG_BLOCK, _FORWARDED)
    mask = os.umask(0)
    os.umask(mask)
    request = {
        "arguments": arguments,
        "directory": os.getcwd(),
        "environment": dict(os.environ),
        "umask": mask,
    }
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(path)
        message = json.dumps(request).encode()
        socket.send_fds(server, [struct.pack("!Q", len(message))], [0, 1, 2])
        server.sendall(message)
        answers = server.makefile("rb", buffering=0)  # unbuffered, so that `select` sees the second line
        _forward_signals(int(answers.readline()), server)
        status = int(answers.readline())
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def _forward_signals(child: int, server: socket.socket) -> None:
    """Forward signals until the server answers.

    They arrive through a socket, because a Python handler waits for the end of a system call that has just begun.
    """
    received, signaled = socket.socketpair()
    signaled.setblocking(False)
    signal.set_wakeup_fd(signaled.fileno())
    for number in _FORWARDED:
        signal.signal(number, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _FORWARDED)
    while True:
        ready, _, _ = select.select([received, server], [], [])
        if received in ready:
            for number in received.recv(64):
                with contextlib.suppress(ProcessLookupError):  # it has ended
                    os.kill(child, number)
        if server in ready:
            return


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
