"""Stands for the interpreter: asks `server.py` for a child with this process' arguments, streams and environment.

Signals are passed on, and this process ends as the child did. If it is killed the server kills the child.
"""

import json
import os
import signal
import socket
import struct
import sys
from typing import Any


def main(path: str, arguments: list[str]) -> None:
    """Ask, wait, and end with the same status."""
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

        def pass_on(number: int, _: Any) -> None:
            os.kill(child, number)

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
            signal.signal(number, pass_on)
        status = int(answers.readline())
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
