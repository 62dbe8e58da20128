"""Client of `server.py` in place of an interpreter: requests a child with its arguments, streams, and environment.

It forwards signals and exits with the child's status. If it is killed, the server kills the child.
"""

import json
import os
import signal
import socket
import struct
import sys
from typing import Any


def main(path: str, arguments: list[str]) -> None:
    """Request a child, wait, and exit with its status."""
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
        answers = server.makefile("rb")
        child = int(answers.readline())

        def forward(number: int, _: Any) -> None:
            os.kill(child, number)

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
            signal.signal(number, forward)
        status = int(answers.readline())
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
