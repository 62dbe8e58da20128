"""A small server of the KFP v2beta1 calls that we use, with two objects a page and failures on demand."""

import itertools
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

PREFIX = "/apis/v2beta1/"
PAGE = 2
Thing = dict[str, Any]


@dataclass
class State:
    """Objects of the server and requests it received.

    Attributes:
      things: objects by collection and id.
      requests: "METHOD path" of every request, in order.
      headers: of the last request.
      queries: of all requests.
      bodies: of the requests that created something.
      failures: each [how many times, prefix of "METHOD path", status to send]. Status 0 sends nothing, "page" sends a
        login form, "late" sends the right response after the client's timeout, "circle" a redirect to itself, and
        bytes are sent as they are.
      conflict: status for a name that exists already.
    """

    things: dict[str, dict[str, Thing]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    queries: list[dict[str, str]] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    failures: list[list[Any]] = field(default_factory=list)
    conflict: int = 409
    address: str = ""
    lock: Any = field(default_factory=threading.Lock)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def writes(self) -> list[str]:
        return [request for request in self.requests if not request.startswith("GET")]

    def add(self, collection: str, kind: str, thing: Thing) -> Thing:
        held = self.things.setdefault(collection, {})
        thing[f"{kind}_id"] = f"{kind}-{next(self.numbers):04}"
        thing["created_at"] = "2026-01-01T00:00:00Z"
        held[thing[f"{kind}_id"]] = thing
        return thing


class Handler(BaseHTTPRequestHandler):
    state: State
    late = False
    body = b""

    def do_GET(self) -> None:  # noqa: N802 - http.server's name
        path, query = self._begin()
        if path is None:
            return None
        if path == "healthz":
            return self._answer({"multi_user": False})
        parts = path.split("/")
        collection = "pipeline_versions" if parts[-1] == "versions" else parts[0]
        things = list(self.state.things.get(collection, {}).values())
        if collection == "pipeline_versions":
            things = [thing for thing in things if thing["pipeline_id"] == parts[1]]
        if "experiment_id" in query:
            things = [thing for thing in things if thing["experiment_id"] == query["experiment_id"]]
        # As in KFP, a token is the key of the next page's first object, so that deletions skip none.
        key = f"{_kind(collection)}_id"
        things.sort(key=lambda thing: thing[key])
        found = [thing for thing in things if thing[key] >= query.get("page_token", "")]
        page: Thing = {_plural(collection): found[:PAGE], "total_size": len(things)}
        if found[PAGE:]:
            page["next_page_token"] = found[PAGE][key]
        return self._answer(page)

    def do_POST(self) -> None:  # noqa: N802
        path, query = self._begin()
        if path is None:
            return None
        if path == "pipelines/upload_version":
            assert b"pipelineInfo" in self.body
            thing = {"display_name": query["name"], "pipeline_id": query["pipelineid"]}
            return self._add("pipeline_versions", thing, "pipeline_id")
        collection, _, rest = path.partition("/")
        if ":" in rest:
            identifier, _, verb = rest.partition(":")
            run = self.state.things["recurringruns"].get(identifier)
            if run is None:
                return self._answer({"error": "not found"}, 404)
            run["status"], run["mode"] = f"{verb.upper()}D", verb.upper()
            return self._answer({})
        thing = json.loads(self.body)
        self.state.bodies.append(json.loads(self.body))
        if collection == "recurringruns":
            thing["status"] = f"{thing['mode']}D"
            thing.setdefault("service_account", "pipeline-runner")
        return self._add(collection, thing)

    def do_DELETE(self) -> None:  # noqa: N802
        path, _ = self._begin()
        if path is None:
            return
        parts = path.split("/")
        collection = "pipeline_versions" if "versions" in parts else parts[0]
        deleted = self.state.things[collection].pop(parts[-1], None)
        self._answer({} if deleted else {"error": "not found"}, 200 if deleted else 404)

    def _add(self, collection: str, thing: Thing, *scope: str) -> None:
        """Add an object. Names of pipelines, of a pipeline's versions, and of experiments are unique."""
        names = ("display_name", *scope)
        with self.state.lock:
            held = self.state.things.get(collection, {}).values() if collection not in ("recurringruns", "runs") else ()
            if any(all(one[name] == thing[name] for name in names) for one in held):
                return self._answer({"error": "exists already"}, self.state.conflict)
            return self._answer(self.state.add(collection, _kind(collection), thing))

    def _begin(self) -> tuple[str | None, dict[str, str]]:
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        path = parts.path.removeprefix(PREFIX)
        request = f"{self.command} {path}"
        self.state.requests.append(request)
        self.state.headers = dict(self.headers.items())
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.state.queries.append(query)
        for failure in self.state.failures:
            if failure[0] and request.startswith(failure[1]):
                failure[0] -= 1
                if failure[2] == "late":
                    self.late = True
                    return path, query
                if failure[2] == 0:
                    time.sleep(3)
                if failure[2] == "circle":
                    self._answer("", 302, location=self.path)
                elif isinstance(failure[2], bytes):
                    self._answer(failure[2])
                elif failure[2] == "page":
                    self._answer("<html>Log in to Your Account</html>", kind="text/html; charset=utf-8")
                else:
                    self._answer({"error": "on demand"}, failure[2] or 200)
                return None, {}
        return path, query

    def _answer(self, body: Any, status: int = 200, kind: str = "application/json", location: str = "") -> None:
        if self.late:
            time.sleep(3)
        text = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        try:
            self.wfile.write(text)
        except BrokenPipeError:
            pass  # the client has closed the connection

    def log_message(self, *_: Any) -> None:
        pass


def _plural(collection: str) -> str:
    return {"recurringruns": "recurringRuns"}.get(collection, collection)


def _kind(collection: str) -> str:
    return {"recurringruns": "recurring_run"}.get(collection, collection.rstrip("s"))


@contextmanager
def running() -> Iterator[State]:
    """Run the server on a free port."""
    state = State()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"state": state}))
    state.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
