"""Plays the part of `tensorflow_model_server` and of `docker` as far as the launcher sees them.

Usage: fake_programs.py CALLS ARGUMENT ...

Each call adds its arguments to the file CALLS as a line of JSON. As a server it answers the status route: the versions
that $FAKE_STATES says, a JSON object of version to state; the second answer on, so that there is something to wait for.
With $FAKE_DIES it ends at once, and once where the file $FAKE_DIES_ONCE is, which it then removes; $FAKE_ERROR is why
a version is at its END. As docker, `info` and `image` answer unless $FAKE_DOCKER says `down`, and `run` serves.
"""

import http.server
import json
import os
import signal
import sys
import time


def main(calls: str, arguments: list[str]) -> int:
    with open(calls, "a", encoding="utf-8") as file:
        file.write(json.dumps(arguments) + "\n")
    if arguments[0] in ("info", "image", "pull", "stop", "rm"):
        return docker(calls, arguments)
    print("fake server starts", flush=True)
    if os.environ.get("FAKE_DIES") or os.path.exists(once := os.environ.get("FAKE_DIES_ONCE", "")):
        if not os.environ.get("FAKE_DIES"):
            os.remove(once)
        print("fake server cannot go on", flush=True)
        return 3
    with open(f"{calls}.pid", "w", encoding="utf-8") as file:
        file.write(str(os.getpid()))
    if os.environ.get("FAKE_STUBBORN"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    port = next(int(argument.partition("=")[2]) for argument in arguments if argument.startswith("--rest_api_port="))
    http.server.HTTPServer(("127.0.0.1", port), Status).serve_forever()
    return 0


def docker(calls: str, arguments: list[str]) -> int:
    state = os.environ.get("FAKE_DOCKER", "up")
    if arguments[0] == "stop":
        with open(f"{calls}.pid", encoding="utf-8") as file:
            os.kill(int(file.read()), signal.SIGTERM)
    if state == "hangs":
        time.sleep(60)
    if arguments[0] == "info":
        print("28.0" if state != "down" else "")
        return int(state == "down")
    return int(state == "no image" and arguments[0] in ("image", "pull"))


class Status(http.server.BaseHTTPRequestHandler):
    answers = 0

    def do_GET(self) -> None:  # noqa: N802 - the name that http.server calls
        Status.answers += 1
        if Status.answers == 1:
            self.send_error(404)  # it has not looked for models yet
            return
        states = json.loads(os.environ.get("FAKE_STATES", '{"1": "AVAILABLE"}'))
        listed = [
            {"version": version, "state": state, "status": {"error_code": "OK", "error_message": failure(state)}}
            for version, state in states.items()
        ]
        body = json.dumps({"model_version_status": listed}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def failure(state: str) -> str:
    return os.environ.get("FAKE_ERROR", "") if state == "END" else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
