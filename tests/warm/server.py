"""Server that imports the frameworks once and forks a child for every request of `client.py`.

`server.py SOCKET EXECUTABLE OWNER` continues in the background once it accepts requests. It imports nothing of this
project, so a child imports the copy in its working directory. A child gets the arguments, environment, working
directory, umask, and standard streams of its client and ends with it; the client gets its exit status. The server ends
when the process OWNER has ended.

A child differs from a fresh start in the flags of the interpreter and in what the frameworks read from the environment
during their import.
"""

import contextlib
import gc
import importlib
import json
import logging
import os
import runpy
import selectors
import signal
import socket
import struct
import sys
import tempfile
import time
import types
from typing import Any

# Imports of the pipeline, of its tasks on Kubeflow, and of the probe.
FRAMEWORKS = (
    "tensorflow",
    "keras",
    "keras_tuner",
    "apache_beam",
    "matplotlib.pyplot",
    "tensorflow_data_validation",
    "tensorflow_model_analysis",
    "tensorflow_transform.beam",
    "tfx.components",
    "tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor",
    "tfx.orchestration.local.runner_utils",
    "tfx.orchestration.portable.launcher",
    "tfx.orchestration.portable.tfx_runner",
    "pydantic",
    "requests",
    "rich.live",
)
HEAD = struct.Struct("!Q")  # length of the request


class Server:
    """Accepts clients and monitors children, until it returns in a forked child."""

    def __init__(self, listener: socket.socket, owner: int) -> None:
        self._listener, self._owner = listener, owner
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ)

    def serve(self) -> dict[str, Any]:
        """Serve; return only in a child, with its request."""
        while True:
            for key, _ in self._selector.select(timeout=1.0):
                if key.fileobj is self._listener:
                    request = self._start()
                    if request:
                        return request
                elif key.fd in self._selector.get_map():
                    self._end(*key.data)
            if not os.path.exists(f"/proc/{self._owner}"):
                sys.exit()

    def _start(self) -> dict[str, Any] | None:
        connection, _ = self._listener.accept()
        head, streams, _, _ = socket.recv_fds(connection, HEAD.size, 3)
        message = _exactly(connection, HEAD.unpack(head)[0])
        pid = os.fork()
        if pid == 0:
            connection.close()
            self._listener.close()
            self._selector.close()
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
        for stream in streams:
            os.close(stream)
        if pid == 0:
            return dict(json.loads(message))
        connection.sendall(b"%d\n" % pid)
        process = os.pidfd_open(pid)
        for watched in (connection, process):
            self._selector.register(watched, selectors.EVENT_READ, (pid, process, connection))
        return None

    def _end(self, pid: int, process: int, connection: socket.socket) -> None:
        """Handle the end of a child, or kill the child of a client that has ended."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(process, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        for watched in (connection, process):
            self._selector.unregister(watched)
        with contextlib.suppress(OSError):
            connection.sendall(b"%d\n" % status)
        connection.close()
        os.close(process)


def _exactly(connection: socket.socket, length: int) -> bytes:
    with connection.makefile("rb") as stream:
        return stream.read(length)


def become(request: dict[str, Any], executable: str) -> None:
    """Set up this process like a fresh interpreter for the request."""
    os.umask(request["umask"])
    os.chdir(request["directory"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.executable = executable
    tempfile.tempdir = None  # the frameworks' import set it; TMPDIR may differ now
    sys.path[:0] = map(os.path.abspath, filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)))
    logging.root.handlers.clear()  # remove the frameworks' configuration
    logging.root.setLevel(logging.WARNING)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()  # Python's own generator reseeds itself after a fork
    for stream, number, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        # Reopened, so that encoding and buffering fit the new stream.
        opened = open(number, mode, closefd=False, errors="backslashreplace" if number == 2 else None)  # noqa: SIM115
        if number and (number == 2 or opened.isatty() or os.environ.get("PYTHONUNBUFFERED")):
            opened.reconfigure(line_buffering=True, write_through=bool(os.environ.get("PYTHONUNBUFFERED")))
        setattr(sys, stream, opened)
        setattr(sys, f"__{stream}__", opened)


def run(arguments: list[str]) -> None:
    """Run `python FILE ...`, `python FOLDER ...`, `python -c CODE ...`, or `python -m MODULE ...`."""
    arguments = [argument for argument in arguments if argument != "-u"]
    kind, rest = arguments[0], arguments[1:]
    if kind.startswith("-") and kind not in ("-m", "-c"):
        sys.exit(f"the warm Python does not support this option: {kind}")
    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    if kind == "-m":
        sys.path.insert(0, os.getcwd())
        sys.argv = rest
        runpy._run_module_as_main(rest[0])  # type: ignore[attr-defined] # the interpreter calls it, too
        return
    if os.path.isdir(kind):
        sys.path.insert(0, os.path.abspath(kind))
        sys.argv = arguments
        runpy._run_module_as_main("__main__", False)  # type: ignore[attr-defined] # the same
        return
    if kind == "-c":
        sys.path.insert(0, "")
        sys.argv = ["-c", *rest[1:]]
        code = compile(rest[0], "<string>", "exec")
    else:
        sys.path.insert(0, os.path.dirname(os.path.realpath(kind)))
        sys.argv = arguments
        main.__file__ = kind
        with open(kind, "rb") as file:
            code = compile(file.read(), kind, "exec")
    exec(code, main.__dict__)


def return_when_it_answers(path: str) -> None:
    """Continue in a child; the parent exits when the child accepts requests, or with the child's status."""
    child = os.fork()
    if child == 0:
        return
    while not os.path.exists(path):
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            os._exit(os.waitstatus_to_exitcode(status) or 1)
        time.sleep(0.02)
    os._exit(0)


if __name__ == "__main__":
    path, executable, owner = sys.argv[1:]
    return_when_it_answers(path)
    del sys.path[0]  # this folder
    places = list(sys.path)
    os.environ["KERAS_BACKEND"] = "tensorflow"
    for name in FRAMEWORKS:
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(name)
    sys.path[:] = places  # IPython adds a folder with a package `tests`, which would hide this project's
    gc.freeze()  # the children's collectors do not write to shared memory
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(f"{path}.new")
        opened.listen(64)
        os.rename(f"{path}.new", path)  # clients can connect now
        asked = Server(opened, int(owner)).serve()
    become(asked, executable)
    run(asked["arguments"])
