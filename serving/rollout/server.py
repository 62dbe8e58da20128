"""The server that has to load a version before a label moves to it."""

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass

from components.errors import UserError
from pipeline.config.serving import ServingSettings
from serving.access import outgoing
from serving.client import status

_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Server:
    """A model server at a known address.

    Example: `test_withdrawn_version_is_loaded_before_its_label_moves` in tests/serving/rollout/test_apply.py.

    Attributes:
      url: base URL.
      model: name in requests.
      settings: `start_seconds` limits the wait, `access` has the API key and the certificate.
    """

    url: str
    model: str
    settings: ServingSettings
    report: Callable[[str], None]
    sleep: Callable[[float], None]

    @functools.cached_property
    def _http(self) -> status.HttpOptions:
        return outgoing.options(self.settings.access, self.url)

    def is_present(self, must_answer: bool) -> bool:
        """Whether a server of the model responds, or is too busy to; reports it if not.

        Raises:
          UserError: there is none, and `must_answer` requires one; or it requires another API key.
        """
        try:
            known = status.fetch(self.url, self.model, self._http)
        except status.StatusDenied as error:
            raise UserError(
                f"The server cannot be asked which versions it has loaded, so no label was moved: {error}. Give one "
                f"with --api-key-file. Received: {self.url}"
            ) from None
        except status.StatusUnavailable:
            return True
        if known:
            return True
        reason = f"No server responds at {self.url}" if known is None else f"{self.url} does not serve {self.model}"
        if must_answer:
            raise UserError(
                f"{reason}, so no label was moved. Give the server's address as http://HOST:PORT, with the port of the "
                "REST API, or omit --server-url to move labels without a server. Received: --server-url "
                f"{self.url}"
            )
        self.report(f"{reason[0].lower()}{reason[1:]}: the labels move without a check that a server can load them")
        return False

    def wait_for(self, versions: set[int]) -> None:
        """Wait until the server has loaded these versions; meanwhile it may be too busy to respond, or restart.

        Raises:
          UserError: it failed to load one, or it took longer than `start_seconds`.
        """
        start, slept, reported = time.monotonic(), 0.0, False
        while True:
            known, problem = self._fetch()
            waited = max(slept, time.monotonic() - start)  # a response can take seconds
            missing = {version for version in versions if status.of(known, version).state != status.AVAILABLE}
            if not missing:
                return
            failed = {version for version in missing if status.of(known, version).failed}
            if failed or waited >= self.settings.start_seconds:
                raise self._not_loaded(status.of(known, min(failed or missing)), problem, waited)
            if not reported:
                reported = True
                self.report(f"waiting until {self.url} has loaded version {', '.join(map(str, sorted(missing)))}")
            self.sleep(_POLL_SECONDS)
            slept += _POLL_SECONDS

    def _fetch(self) -> tuple[dict[int, status.VersionStatus], str]:
        """The status of the versions, or why there is none."""
        try:
            known = status.fetch(self.url, self.model, self._http)
        except status.StatusUnavailable as error:
            return {}, str(error)
        if known:
            return known, ""
        return {}, "it no longer responds" if known is None else "it does not know the model"

    def _not_loaded(self, version: status.VersionStatus, problem: str, waited: float) -> UserError:
        error = f" ({version.error_message})" if version.error_message else ""
        return UserError(
            f"The server has not loaded version {version.version} of {self.model}, so no label was moved to it: "
            f"{problem or f'its state is {version.state}{error}'}. Choose another version, push the model again, or "
            f"give another server with --server-url. Received: {self.url} after {waited:.0f} s"
        )
