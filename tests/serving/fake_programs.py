"""Fake of `tensorflow_model_server` and of `docker`, as far as the launcher uses them.

Usage: fake_programs.py CALLS ARGUMENT ...

Each call appends its arguments to the file CALLS, as a line of JSON. As a server it responds on the status route, from
the second request on, with the versions in $FAKE_STATES, a JSON object of states by version; $FAKE_ERROR is the error
of a version in state END. With $FAKE_DIES it ends at once; if the file $FAKE_DIES_ONCE exists, it removes that file and
ends. As docker, `info` and `image` succeed unless $FAKE_DOCKER is `down`, and `run` serves; with `pulls`, there is no
image, and `pull` takes a minute.
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
        print("fake server cannot continue", flush=True)
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
    if state == "hangs" or (state == "pulls" and arguments[0] == "pull"):
        time.sleep(60)
    if arguments[0] == "info":
        print("28.0" if state != "down" else "")
        return int(state == "down")
    return int(state in ("no image", "pulls") and arguments[0] in ("image", "pull"))


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
