"""The jobs of Cloud Scheduler that call Plumbline's functions, for whoever operates them."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import grpc  # type: ignore[import-untyped]  # grpcio ships no types
from google.api_core import exceptions as google_errors
from google.api_core.retry import Retry, if_exception_type
from google.auth.exceptions import GoogleAuthError
from google.cloud import scheduler_v1
from google.cloud.scheduler_v1.services.cloud_scheduler.transports import CloudSchedulerGrpcTransport

from shared.domain.schedules import SCHEDULES
from shared.errors import InvalidInput, NotFound, StoreUnavailable, Unauthorized

if TYPE_CHECKING:
    from collections.abc import Iterator

EMULATOR: Final = "CLOUD_SCHEDULER_EMULATOR_HOST"
"""HOST:PORT that is spoken to without TLS in place of Google's, as the other emulators' variables say."""
_TIMEOUT_S: Final = 30.0
_AGAIN: Final = Retry(
    predicate=if_exception_type(google_errors.ServiceUnavailable), initial=0.2, maximum=2.0, timeout=5.0
)
"""For whoever waits at a terminal: the client's own goes on for ten minutes."""
_PREFIX: Final = "plumbline-"


@dataclass(frozen=True, slots=True)
class Job:
    """A job as the service has it, times in ISO 8601 or None; ``wrong`` says what an operator must look at.

    ``last_code`` is the gRPC code of the last attempt (0: well), None where there was none.
    """

    function: str
    cron: str
    time_zone: str
    state: str
    next_at: str | None
    last_at: str | None
    last_code: int | None
    wrong: tuple[str, ...]


class CloudScheduler:
    """The jobs of one project and region that Terraform made: ``plumbline-`` and the function's name.

    Raises NotFound for one that is not there, StoreUnavailable where the service does not answer.
    """

    def __init__(self, project: str, region: str, emulator_host: str | None = None) -> None:
        self._parent = f"projects/{project}/locations/{region}"
        self._emulator_host = emulator_host or os.environ.get(EMULATOR)
        self._made: scheduler_v1.CloudSchedulerClient | None = None

    def list(self) -> list[Job]:
        """Return the job of every schedule of the code; one that is absent has the state ``ABSENT``."""
        with _translated(self._parent):
            listed = self._client.list_jobs(parent=self._parent, timeout=_TIMEOUT_S, retry=_AGAIN)
            found = {job.name.rpartition("/")[2]: job for job in listed}
        return [_told(function, found.get(_name(function))) for function in SCHEDULES]

    def pause(self, function: str) -> Job:
        """Stop calling a function; what it does by hand goes on."""
        return self._change(function, "pause_job")

    def resume(self, function: str) -> Job:
        """Call a function again; what was missed is not made up for one by one."""
        return self._change(function, "resume_job")

    def run(self, function: str) -> Job:
        """Call a function now, besides its times, also while its job is paused."""
        return self._change(function, "run_job")

    def close(self) -> None:
        """Give back the connection."""
        if self._made is not None:
            self._made.transport.close()  # type: ignore[no-untyped-call]
            self._made = None

    @property
    def _client(self) -> scheduler_v1.CloudSchedulerClient:
        if self._made is None:
            with _translated(self._parent):
                if self._emulator_host:
                    channel = grpc.insecure_channel(self._emulator_host)
                    transport = CloudSchedulerGrpcTransport(channel=channel)
                    self._made = scheduler_v1.CloudSchedulerClient(transport=transport)
                else:
                    self._made = scheduler_v1.CloudSchedulerClient()
        return self._made

    def _change(self, function: str, method: str) -> Job:
        # Asked before anything is connected: without credentials, too, a wrong name is what is wrong.
        if function not in SCHEDULES:
            raise InvalidInput(f"{function} is not called by the clock; these are: {', '.join(SCHEDULES)}")
        with _translated(f"{self._parent}/jobs/{_name(function)}"):
            job = getattr(self._client, method)(
                name=f"{self._parent}/jobs/{_name(function)}", timeout=_TIMEOUT_S
            )
        return _told(function, job)


def _name(function: str) -> str:
    return _PREFIX + function.replace("_", "-")


def _told(function: str, job: scheduler_v1.Job | None) -> Job:
    schedule = SCHEDULES[function]
    if job is None:
        return Job(function, schedule.cron, "", "ABSENT", None, None, None, ("no such job: apply Terraform",))
    last_code = job.status.code if job.last_attempt_time else None
    wrong = []
    if job.state != scheduler_v1.Job.State.ENABLED:
        wrong.append(f"it is {job.state.name.lower()}")
    if job.schedule != schedule.cron:
        wrong.append(f"the code's times are {schedule.cron}")
    if last_code:
        wrong.append(f"its last call failed: {_meaning(last_code)}")
    return Job(
        function=function,
        cron=job.schedule,
        time_zone=job.time_zone,
        state=job.state.name,
        next_at=job.schedule_time.isoformat() if job.schedule_time else None,
        last_at=job.last_attempt_time.isoformat() if job.last_attempt_time else None,
        last_code=last_code,
        wrong=tuple(wrong),
    )


def _meaning(code: int) -> str:
    return next((each.name.lower() for each in grpc.StatusCode if each.value[0] == code), str(code))


@contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except google_errors.NotFound as error:
        raise NotFound(f"Cloud Scheduler: {what} is not there: has Terraform been applied?") from error
    except google_errors.InvalidArgument as error:
        raise InvalidInput(f"Cloud Scheduler: {what}: {error.message}") from error
    except (google_errors.PermissionDenied, google_errors.Unauthenticated) as error:
        raise Unauthorized(
            f"Cloud Scheduler: {what}: {error.message} (it needs roles/cloudscheduler.admin)"
        ) from error
    except google_errors.GoogleAPIError as error:
        raise StoreUnavailable(f"Cloud Scheduler: {what}: {error}") from error
    except GoogleAuthError as error:
        raise Unauthorized(f"Cloud Scheduler: {error} (gcloud auth application-default login)") from error
