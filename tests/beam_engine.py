"""An engine for tests of Beam's portable protocol: its jobs have several workers, and survive the loss of one.

Flink, Spark and Dataflow receive a pipeline through a job service, let workers in other processes execute it, and run
the work of a lost worker again. Here, Beam's own job service and runner do this. On their own they use one worker, and
wait for a lost one forever; `_Connection` notices the loss, and `_Job` restarts the job on new workers, as Flink does.

python tests/beam_engine.py DIRECTORY     writes `port` there, and a line in `events` for each job and each restart

If DIRECTORY has a file `hold` with the numbers of a job and of one of its bundles, the job stops after that bundle,
reports that, and waits for the loss of a worker.
"""

import contextlib
import copy
import sys
import threading
from pathlib import Path
from typing import Any

import grpc
from apache_beam.portability.api import beam_fn_api_pb2, beam_job_api_pb2
from apache_beam.runners.portability import local_job_service
from apache_beam.runners.portability.fn_api_runner import fn_runner, worker_handlers

WORKERS = 2
RESTARTS = 3
_SECONDS = 60.0
_LOST = beam_fn_api_pb2.InstructionResponse(error="a worker was lost")
_directory = Path(sys.argv[1])
_lock = threading.Lock()
_lost = threading.Event()
_jobs = 0


def _report(event: str) -> None:
    with _lock, (_directory / "events").open("a") as file:
        file.write(f"{event}\n")


class _Connection(worker_handlers.ControlConnection):
    """Fails the requests to a worker whose connection breaks; Beam's would wait for the responses."""

    _is_closing = _is_lost = False

    def close(self) -> None:
        self._is_closing = True
        super().close()

    def _read(self) -> None:
        with contextlib.suppress(grpc.RpcError):
            super()._read()
        if not self._is_closing:
            self._is_lost = True
            _lost.set()
            for future in list(self._futures_by_id.values()):
                future.set(_LOST)

    def push(self, req: Any) -> Any:
        future = super().push(req)
        if future is not None and self._is_lost:
            future.set(_LOST)
        return future


class _Runner(fn_runner.FnApiRunner):
    """Gives each job several workers."""

    def __init__(self, job: int, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._num_workers = WORKERS
        self._job, self.bundles = job, 0

    def _run_bundle(self, *arguments: Any) -> Any:
        if _lost.is_set():
            raise RuntimeError(_LOST.error)
        result = super()._run_bundle(*arguments)
        self.bundles += 1
        hold = _directory / "hold"
        if hold.exists() and hold.read_text() == f"{self._job} {self.bundles}":
            hold.unlink()
            _report(f"job {self._job} holds")
            if not _lost.wait(_SECONDS):
                raise RuntimeError("no worker was lost")
        return result


class _Job(local_job_service.BeamJob):
    """Runs a job again if it lost a worker. The workers of the first attempt get no more work."""

    def _invoke_runner(self) -> Any:
        global _jobs
        _jobs += 1
        self.set_state(beam_job_api_pb2.JobState.RUNNING)
        for _ in range(RESTARTS):
            _lost.clear()
            _report(f"job {_jobs} starts")
            try:
                return self._attempt()
            except Exception:
                if not _lost.is_set():
                    raise
                _report(f"job {_jobs} lost a worker")
        return self._attempt()

    def _attempt(self) -> Any:
        runner = _Runner(_jobs, provision_info=self._provision_info)
        result = runner.run_via_runner_api(copy.deepcopy(self._pipeline_proto), self.pipeline_options())
        _report(f"job {_jobs} ends after {runner.bundles} bundles")
        return result


if __name__ == "__main__":
    worker_handlers.ControlConnection = _Connection
    service = local_job_service.LocalJobServicer(str(_directory / "staged"), beam_job_type=_Job)
    port = service.start_grpc_server()
    (_directory / "port.tmp").write_text(str(port))
    (_directory / "port.tmp").rename(_directory / "port")
    threading.Event().wait()
