"""The Metrics port on Cloud Monitoring: figures are kept in this process and written now and then.

Nothing here may slow or fail what is measured. Counting only adds in memory. A write goes through a thread,
is waited for no longer than the caller says, and what fails is counted, logged, and made up for by the next
write, since sums and distributions are cumulative. The client (50 ms to import) is loaded by the first write,
never by a function's first answer (decision 35).
"""

from __future__ import annotations

import concurrent.futures.thread  # noqa: F401 - it cannot be imported any more when a process ends, as gRPC would
import logging
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from shared.adapters.kept_figures import KeptFigures
from shared.domain.metrics import METRICS_FAILED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from google.cloud.monitoring_v3 import MetricServiceClient

    from shared.adapters.kept_figures import Kept, Key
    from shared.domain.metrics import Metric
    from shared.ports import Clock

_LOG: Final = logging.getLogger(__name__)
SERIES_A_CALL: Final = 200
"""Time series in one request, at most (https://cloud.google.com/monitoring/quotas)."""
LEAST_APART_S: Final = 5.0
"""Seconds between the end times of two points of a series, at least (the same page)."""
_EVERY_S: Final = 10.0
"""Twice that: older versions of that page say ten."""
_LONGEST_S: Final = 300.0
_REQUEST_S: Final = 3.0
_TOLD_AGAIN_S: Final = 300.0


class CloudMonitoringMetrics:
    """Writes the figures of one process, called ``resource``'s ``task_id``, to ``project``.

    ``resource``: the labels of a ``generic_task`` (project_id, location, namespace, job, task_id).
    ``connect`` makes the client at the first write; by default with the environment's credentials.
    """

    def __init__(
        self,
        project: str,
        resource: Mapping[str, str],
        clock: Clock,
        connect: Callable[[], MetricServiceClient] | None = None,
    ) -> None:
        self._project = f"projects/{project}"
        self._resource = dict(resource)
        self._clock = clock
        self._connect = connect or _client
        self._client: MetricServiceClient | None = None
        self._figures = KeptFigures()
        self._start = clock.now()
        self._last_end = self._start
        self._due_s = clock.monotonic_s() + _EVERY_S
        self._failures = 0
        self._told_s: float | None = None
        self._described: set[str] | None = None
        self._starting = threading.Lock()
        self._writing = threading.Lock()
        self._writer: threading.Thread | None = None

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Add to a counter."""
        self._figures.count(name, amount, labels)

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Set a figure that goes up and down."""
        self._figures.gauge(name, value, labels)

    def observe(self, name: str, value: float, times: int = 1, **labels: str) -> None:
        """Add to a distribution."""
        self._figures.observe(name, value, times, labels)

    def flush(self, wait_s: float = 0.0, *, now: bool = False) -> None:
        """Write what changed, at most every ten seconds (``now``: five); wait ``wait_s`` for it at most."""
        with self._starting:
            if self._writer is not None and self._writer.is_alive():
                return  # it is another one's, and has not got what came since
            if not self._figures.has_changed or not self._is_due(now=now):
                return
            writer = threading.Thread(target=self._write, name="metrics", daemon=True)
            self._writer = writer
            writer.start()
        # While the service fails nobody waits for it: it would slow every invocation.
        if wait_s > 0 and not self._failures:
            writer.join(wait_s)

    def close(self) -> None:
        """Write the rest: to be called when the process ends, which it holds up for some seconds at most."""
        if not self._writing.acquire(timeout=_REQUEST_S):
            return
        try:
            # Only now: a write under way has moved the time before which the service takes no other.
            if self._figures.has_changed:
                left_s = LEAST_APART_S - (self._clock.now() - self._last_end).total_seconds()
                if self._last_end != self._start and left_s > 0:
                    self._clock.sleep(min(left_s, LEAST_APART_S))
                self._write_all()
        finally:
            self._writing.release()

    def _is_due(self, *, now: bool) -> bool:
        earliest = self._last_end + timedelta(
            seconds=LEAST_APART_S if self._last_end != self._start else 0.001
        )
        return (now or self._clock.monotonic_s() >= self._due_s) and self._clock.now() >= earliest

    def _write(self) -> None:
        if not self._writing.acquire(timeout=_REQUEST_S):
            return
        try:
            self._write_all()
        finally:
            self._writing.release()

    def _write_all(self) -> None:
        changed = self._figures.take_changed()
        left = dict.fromkeys(kept.key for kept in changed)
        try:
            from google.api_core.exceptions import InvalidArgument  # noqa: PLC0415 - see above

            # From here on a point may have been written, whatever comes back.
            self._last_end = end = max(self._clock.now(), self._start + timedelta(milliseconds=1))
            client = self._connected()
            self._describe(client, {kept.metric.name: kept.metric for kept in changed}.values())
            refused: InvalidArgument | None = None
            for at in range(0, len(changed), SERIES_A_CALL):
                part = changed[at : at + SERIES_A_CALL]
                try:
                    self._send(client, part, end)
                except InvalidArgument as error:
                    # Some of its series are refused, the others written: no reason to write less often.
                    refused = error
                else:
                    for kept in part:
                        del left[kept.key]
        except Exception as error:  # noqa: BLE001 - whatever it is, the work measured goes on; it is counted
            self._failures += 1
            self._failed(error, left)
        else:
            self._failures = 0
            if refused:
                self._failed(refused, left)
        pause_s = min(_EVERY_S * 2.0 ** min(self._failures, 10), _LONGEST_S) if self._failures else _EVERY_S
        self._due_s = self._clock.monotonic_s() + pause_s

    def _failed(self, error: Exception, left: Iterable[Key] = ()) -> None:
        self._figures.hand_back(left)
        self._figures.count(METRICS_FAILED, 1, {})
        told = self._told_s
        if told is None or self._clock.monotonic_s() - told >= _TOLD_AGAIN_S:
            self._told_s = self._clock.monotonic_s()
            _LOG.warning("figures not written: %s: %s", type(error).__name__, error)

    def _connected(self) -> MetricServiceClient:
        if self._client is None:
            self._client = self._connect()
        return self._client

    def _describe(self, client: MetricServiceClient, metrics: Iterable[Metric]) -> None:
        """See to it that the service knows each figure by our table, before its first point.

        Points are written all the same where it will not: the descriptor may be there, and ours to read only.
        Where it does not answer, the other figures are not asked for one by one, each for its whole time.
        """
        from google.api_core.exceptions import GoogleAPICallError, ServerError  # noqa: PLC0415 - see above

        from shared.adapters import cloud_monitoring_shapes as shapes  # noqa: PLC0415 - see above

        for metric in metrics:
            try:
                if self._described is None:
                    request = {"name": self._project, "filter": shapes.OURS}
                    found = client.list_metric_descriptors(request, timeout=_REQUEST_S, retry=None)
                    self._described = shapes.described_by(found)
                if metric.name not in self._described:
                    request = {"name": self._project, "metric_descriptor": shapes.descriptor(metric)}
                    client.create_metric_descriptor(request, timeout=_REQUEST_S, retry=None)
                    self._described.add(metric.name)
            except GoogleAPICallError as error:
                self._failed(error)
                if self._described is None or isinstance(error, ServerError):
                    return

    def _send(self, client: MetricServiceClient, part: Sequence[Kept], end: datetime) -> None:
        from shared.adapters.cloud_monitoring_shapes import time_series  # noqa: PLC0415 - see above

        series = [time_series(kept, self._resource, self._start, end) for kept in part]
        client.create_time_series(name=self._project, time_series=series, timeout=_REQUEST_S, retry=None)


def _client() -> MetricServiceClient:
    from google.cloud.monitoring_v3 import MetricServiceClient  # noqa: PLC0415 - see above

    return MetricServiceClient()
