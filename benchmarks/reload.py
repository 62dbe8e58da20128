"""Hot reload under load: clients generate without a pause while versions are pushed, one of them broken.

`python benchmarks/reload.py EXPORT` takes the directory of an exported model (for example `output/serving/char_rnn/1`),
serves a copy of it with the embedded server, and prints requests, failures, and latencies, and how long each version
took from its rename to AVAILABLE.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
from components import files  # noqa: E402
from components.models.versions import publish  # noqa: E402
from serving.tf_serving.model_config import ServedModel, merged, path_in  # noqa: E402

MODEL = "char_rnn"


class Served:
    """An embedded server in a separate process."""

    def __init__(self, directory: Path, *flags: str, python: str = sys.executable) -> None:
        self.python = python
        self.base = directory / MODEL
        self.config = Path(path_in(str(directory)))
        if not self.config.exists():
            files.write(str(self.config), merged("", ServedModel(MODEL, str(self.base))))
        self.log = (directory / "server.log").open("ab")
        self.flags = [f"--model_config_file={self.config}", "--model_config_file_poll_wait_seconds=0.5", *flags]
        self.start()

    def start(self) -> None:
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
        command = [self.python, "-m", "serving.embedded", f"--rest_api_port={port}", *self.flags]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=self.log, stderr=self.log)
        self.url = f"http://127.0.0.1:{port}/v1/models/{MODEL}"
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                httpx.get(self.url, timeout=5)
                return
            except httpx.TransportError:
                time.sleep(0.1)
        raise RuntimeError(f"The server did not start; see {self.log.name}")

    def states(self) -> dict[int, str]:
        """Return the state of each version that the server knows."""
        answer = httpx.get(self.url, timeout=30).json()
        return {int(one["version"]): one["state"] for one in answer.get("model_version_status", [])}

    def wait_for(self, version: int, state: str = "AVAILABLE", seconds: float = 60.0) -> float:
        """Wait until a version has a state; return the seconds."""
        started = time.monotonic()
        while self.states().get(version) != state:
            if time.monotonic() - started > seconds:
                raise TimeoutError(f"version {version} is not {state} after {seconds:g} s: {self.states()}")
            time.sleep(0.02)
        return time.monotonic() - started

    def generate(self, client: httpx.Client, num_chars: int, where: str = "") -> httpx.Response:
        """Send one request."""
        row = {"prompt": "The ", "num_chars": num_chars, "temperature": 0.8, "top_k": 0, "seed": 1}
        return client.post(f"{self.url}{where}:predict", json={"signature_name": "generate", "instances": [row]})

    def stop(self) -> int:
        """Stop it with SIGTERM; return its exit code."""
        self.process.terminate()
        try:
            return self.process.wait(60)
        finally:
            self.process.kill()
            self.log.close()


@dataclass
class Load:
    """Clients that generate without a pause."""

    served: Served
    clients: int
    num_chars: int
    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def __enter__(self) -> "Load":
        self.ended = threading.Event()
        self.threads = [threading.Thread(target=self._ask) for _ in range(self.clients)]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        for thread in self.threads:
            thread.join()

    def _ask(self) -> None:
        with httpx.Client(timeout=60) as client:
            while not self.ended.is_set():
                started = time.monotonic()
                try:
                    answer = self.served.generate(client, self.num_chars)
                    if answer.status_code != 200 or len(answer.json()["predictions"][0]) != self.num_chars:
                        self.failures.append(f"{answer.status_code} {answer.text[:200]}")
                except Exception as error:
                    self.failures.append(repr(error))
                self.seconds.append(time.monotonic() - started)


def broken(export: Path, copy: Path) -> Path:
    """Copy an export with truncated weights."""
    for path in export.rglob("*"):
        if path.is_file():
            target = copy / path.relative_to(export)
            target.parent.mkdir(parents=True, exist_ok=True)
            data = path.read_bytes()
            target.write_bytes(data[: len(data) // 2] if ".data-" in path.name else data)
    return copy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("export", type=Path, help="directory with a saved_model.pb")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--versions", type=int, default=5, help="pushed under load; the one before the last is broken")
    parser.add_argument("--chars", type=int, default=300, help="in each request")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        base, cut = str(directory / MODEL), broken(options.export, directory / "broken")
        publish(str(options.export), base)
        served = Served(directory)
        idle = publish(str(options.export), base)
        print(f"idle: version {idle} AVAILABLE {served.wait_for(idle):.2f} s after its rename", flush=True)
        started = time.monotonic()
        rows = []
        with Load(served, options.clients, options.chars) as load:
            for number in range(options.versions):
                due = started + (number + 0.5) * options.seconds / (options.versions + 0.5)
                time.sleep(max(0.0, due - time.monotonic()))
                bad = number == options.versions - 2
                version = publish(str(cut if bad else options.export), base)
                rows.append((version, bad, served.wait_for(version, "END" if bad else "AVAILABLE")))
            time.sleep(max(0.0, started + options.seconds - time.monotonic()))
        took = time.monotonic() - started
        final = served.states()
        code = served.stop()
        log = (directory / "server.log").read_text(errors="replace")
    seconds = sorted(load.seconds)
    print(f"{options.clients} clients, {options.chars} characters a request, {took:.0f} s")
    print(f"{'requests':>9} {'failures':>9} {'p50 ms':>9} {'p99 ms':>9} {'chars/s':>9}")
    p50, p99 = (1000 * seconds[int(len(seconds) * share)] for share in (0.5, 0.99))
    rate = len(seconds) * options.chars / took
    print(f"{len(seconds):>9} {len(load.failures):>9} {p50:>9.0f} {p99:>9.0f} {rate:>9.0f}")
    for version, bad, passed in rows:
        print(f"version {version}: {'broken, refused' if bad else 'AVAILABLE'} {passed:.2f} s after its rename")
    print(f"at the end: {json.dumps(final)}; the server's exit code: {code}")
    if load.failures:
        print("failures:", *load.failures[:5], sep="\n  ")
        print(log[-3000:])
        sys.exit(1)


if __name__ == "__main__":
    main()
