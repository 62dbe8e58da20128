#!/usr/bin/env python3
"""Send mutated requests to the embedded server over sockets: it must answer or close each one, and never crash.

python scripts/fuzz.py --requests 1000000           # half an hour to an hour on two cores
python scripts/fuzz.py --seed 7 --connection 1234   # repeat one connection of a run that failed

Of ten requests on a connection, nine are HTTP that every server accepts, one to four of them at a time: bodies for
each signature of the export, changed in structure and bytes, with changed paths and methods, plain, gzip or chunked.
Each must get one response with a status and a body of the contract; now and then a valid one is among them, which must
get the same text as before. The tenth has odd methods and headers, or is hardly HTTP: changed bytes, cut off, one
request inside another. It must get a response or a closed connection. Any other 5xx than 501 is a failure, and so are a
hang, an error in the server's log, and an end of the server. Exit code 1 if there was a failure.
"""

import argparse
import contextlib
import json
import os
import random
import re
import select
import shutil
import socket
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scripts.traffic import MODEL, mutations, signatures, wire  # noqa: E402
from scripts.traffic.mutations import FRAMED, HEAD, WILD, Attempt  # noqa: E402

PER_CONNECTION = 10  # requests; the last one may end the connection
MOST_AT_ONCE = 4  # requests that are sent before the first response is read
STATUSES = {200, 400, 404, 413, 501}  # of the contract; others need overload, a time limit or another configuration
_BROKEN_STATUSES = STATUSES | {431}
_KEYS = ({"predictions"}, {"outputs"}, {"error"}, {"model_version_status"}, {"model_spec", "metadata"})
_SECONDS_TO_ANSWER = 0.05  # before this end of a connection is closed; an unfinished request gets no response
_PROGRESS_SECONDS = 60.0
_VALID = {"prompt": "The ", "num_chars": 8, "temperature": 0.9, "top_k": 3, "seed": 7}


@dataclass
class Outcome:
    """What one connection got: requests by kind and status ("closed": no response), and failures."""

    counts: Counter = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Fuzzer:
    """A server to test.

    Attributes:
      port: of its REST API on this machine.
      known: signatures of its model.
      text: what the valid request generates.
    """

    port: int
    known: signatures.Signatures
    text: Any

    @classmethod
    def of(cls, port: int) -> "Fuzzer":
        """Ask a server for its signatures and for the text of the valid request."""
        url = f"http://127.0.0.1:{port}/v1/models/{MODEL}"
        known = signatures.of(httpx.get(f"{url}/metadata", timeout=60).json())
        return cls(port, known, json.loads(httpx.post(f"{url}:predict", content=_valid_body(), timeout=60).content))

    def connection(self, seed: int, number: int) -> Outcome:
        """Send the requests of one connection and check the responses."""
        draw, outcome = random.Random(f"{seed}-{number}"), Outcome()
        attempts = [self._framed(draw) for _ in range(PER_CONNECTION - 1)]
        last = draw.choice((mutations.head, mutations.wild))(draw, self.known)
        try:
            with wire.Connection(self.port) as connection:
                is_open = True
                while attempts and is_open:
                    group = [attempts.pop() for _ in range(min(len(attempts), draw.randint(1, MOST_AT_ONCE)))]
                    is_open = self._exchange(connection, group, outcome)
            # On a new connection, since the server may have closed the first one.
            with wire.Connection(self.port) as connection:
                self._end(connection, last, outcome)
        except (OSError, ValueError) as error:
            outcome.faults.append(f"{type(error).__name__}: {error}")
        outcome.faults = [f"connection {number}: {fault}" for fault in outcome.faults]
        return outcome

    def _framed(self, draw: random.Random) -> Attempt:
        if draw.random() > 0.05:
            return mutations.framed(draw, self.known)
        data = wire.request("POST", f"/v1/models/{MODEL}:predict", _valid_body())
        return Attempt(FRAMED, "valid", "", data, may_close=False)

    def _exchange(self, connection: wire.Connection, group: list[Attempt], outcome: Outcome) -> bool:
        """Send requests together and read their responses; returns whether the connection is still open."""
        may_close = any(attempt.may_close for attempt in group)
        try:
            connection.socket.sendall(b"".join(attempt.data for attempt in group))
            for place, attempt in enumerate(group):
                response = connection.read(attempt.method)
                if response is None or response.closes:
                    outcome.counts.update((attempt.kind, "closed") for attempt in group[place:])
                    if not may_close or (response and response.status != 400):
                        outcome.faults.append(_fault("the server closed the connection", group, response))
                    return False
                outcome.counts[attempt.kind, response.status] += 1
                if reason := self._reason(attempt, response):
                    outcome.faults.append(_fault(reason, [attempt], response))
        except (ConnectionError, TimeoutError, ValueError) as error:
            if not (may_close and isinstance(error, ConnectionError)):
                outcome.faults.append(_fault(repr(error), group))
            return False
        return True

    def _reason(self, attempt: Attempt, response: wire.Response) -> str:
        """Return why a response does not conform to the contract; empty if it does."""
        if response.status not in STATUSES:
            return f"status {response.status}"
        if attempt.method == "HEAD" or response.type != "application/json":
            is_page = response.type.startswith(("text/html", "text/plain"))
            return "" if attempt.method == "HEAD" or is_page else f"content type {response.type!r}"
        try:
            content = json.loads(response.body.decode("utf-8", "surrogateescape"))
        except ValueError as error:
            return f"the body is no JSON: {error}"
        if not isinstance(content, dict) or set(content) not in _KEYS:
            return "the body has other keys"
        if ("error" in content) != (response.status != 200):
            return f"status {response.status} with this body"
        return "another text than before" if attempt.method == "valid" and content != self.text else ""

    def _end(self, connection: wire.Connection, attempt: Attempt, outcome: Outcome) -> None:
        """Send bytes and no more: the server answers or closes the connection, and does not wait forever."""
        received = b""
        try:
            connection.socket.sendall(attempt.data)
            select.select([connection.socket], [], [], _SECONDS_TO_ANSWER)
            with contextlib.suppress(OSError):  # the server may have closed the connection already
                connection.socket.shutdown(socket.SHUT_WR)
            while part := connection.socket.recv(65_536):
                received += part
        except ConnectionError:
            pass  # it may close before it has read all
        except TimeoutError as error:
            outcome.faults.append(_fault(f"hang: {error}", [attempt]))
        found = [int(status) for status in re.findall(rb"HTTP/1.1 ([2-9]\d\d) ", received)]
        outcome.counts[attempt.kind, found[0] if found else "closed"] += 1
        if wrong := set(found) - _BROKEN_STATUSES:
            outcome.faults.append(_fault(f"status {wrong}", [attempt]) + f", response {received[:1000]!r}")


def main(argv: list[str] | None = None) -> int:
    """Start a server, send the requests, and print a table; return 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=100_000, metavar="N", help="default 100,000")
    parser.add_argument("--seed", type=int, default=0, help="of the requests; default 0")
    parser.add_argument("--clients", type=int, default=8, help="connections at a time; default 8")
    parser.add_argument("--connection", type=int, metavar="NUMBER", help="send only the requests of this connection")
    options = parser.parse_args(argv)

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from scripts.traffic import export, up  # imported late: TensorFlow takes seconds

    console = Console(highlight=False, soft_wrap=True, width=120)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as root:
        versions = Path(root, "serving", MODEL)
        export.write(str(versions / "1"), seed=3)
        shutil.copytree(versions / "1", versions / "2")
        with up.Up(Path(root)) as server:
            numbers = range(-(-options.requests // PER_CONNECTION))
            if options.connection is not None:
                numbers = range(options.connection, options.connection + 1)
            before, started = server.mebibytes(), time.monotonic()
            fuzzer = Fuzzer.of(server.port)
            total = run(fuzzer, options.seed, numbers, options.clients, console, server)
            if not server.runs():
                total.faults.append("the server ended")
            else:
                used = f"{before:.0f} MiB before, {server.mebibytes():.0f} MiB after, {server.cpu_seconds():.0f} CPU-s"
                console.print(f"server: {used}, {time.monotonic() - started:.0f} s")
            total.faults += [*server.stop(), *server.logged_faults(r" ERROR |Traceback|Unhandled")]
    report(console, total, options.seed)
    return int(bool(total.faults))


def run(
    fuzzer: Fuzzer, seed: int, numbers: range, clients: int, console: Console | None = None, server: Any = None
) -> Outcome:
    """Send the requests of these connections, several at a time; ends early if the server does.

    Args:
      seed: of the requests.
      clients: connections at a time.
      console: prints the progress each minute.
      server: a `traffic.up.Up`, to notice its end.
    """
    total, printed = Outcome(), time.monotonic()
    with ThreadPool(clients) as pool:
        for outcome in pool.imap_unordered(partial(fuzzer.connection, seed), numbers, chunksize=10):
            total.counts.update(outcome.counts)
            total.faults += outcome.faults
            if outcome.faults and server is not None and not server.runs():
                break
            if console is not None and time.monotonic() - printed > _PROGRESS_SECONDS:
                printed = time.monotonic()
                memory = f", {server.mebibytes():.0f} MiB" if server is not None else ""
                console.print(f"{total.counts.total():>10,} requests, {len(total.faults)} failures{memory}")
    return total


def report(console: Console, total: Outcome, seed: int) -> None:
    """Print requests by kind and status, and the first failures."""
    statuses = sorted({status for _, status in total.counts}, key=str)
    table = Table("requests", "number", *map(str, statuses))
    for kind in (FRAMED, HEAD, WILD):
        counts = [total.counts[kind, status] for status in statuses]
        table.add_row(kind, f"{sum(counts):,}", *(f"{count:,}" for count in counts))
    console.print(table)
    console.print(f"{total.counts.total():,} requests, seed {seed}; failures: {len(total.faults)}")
    for fault in total.faults[:20]:
        console.print(fault, style="red", markup=False)


def _valid_body() -> bytes:
    return json.dumps({"signature_name": "generate", "instances": [_VALID]}).encode()


def _fault(reason: str, group: list[Attempt], response: wire.Response | None = None) -> str:
    sent = " + ".join(repr(attempt.data[:1000]) for attempt in group)
    got = f", response {response.status} {response.body[:500]!r}" if response else ""
    return f"{reason}; sent {sent}{got}"


if __name__ == "__main__":
    sys.exit(main())
