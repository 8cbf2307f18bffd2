"""A gRPC server that speaks Cloud Scheduler for the jobs that it was given, and refuses as it does."""

from __future__ import annotations

import re
from concurrent import futures
from typing import TYPE_CHECKING, Any, Self

import grpc
from google.cloud import scheduler_v1 as api

if TYPE_CHECKING:
    from collections.abc import Callable

_JOB = re.compile(r"projects/[^/]+/locations/[^/]+/jobs/[A-Za-z0-9_-]{1,500}")
_State = api.Job.State


class SchedulerServer:
    """Listens on a free port; ``jobs`` are the jobs by full name, ``calls`` the names of those run by hand.

    ``fault``: a status to answer every request with.
    """

    def __init__(self) -> None:
        self.jobs: dict[str, api.Job] = {}
        self.calls: list[str] = []
        self.fault: grpc.StatusCode | None = None
        self._server = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
        methods: dict[str, tuple[Callable[[Any, grpc.ServicerContext], Any], Any, Any]] = {
            "ListJobs": (self._list, api.ListJobsRequest, api.ListJobsResponse),
            "PauseJob": (self._pause, api.PauseJobRequest, api.Job),
            "ResumeJob": (self._resume, api.ResumeJobRequest, api.Job),
            "RunJob": (self._run, api.RunJobRequest, api.Job),
        }
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(
                self._guarded(handle), request.deserialize, answer.serialize
            )
            for name, (handle, request, answer) in methods.items()
        }
        service = "google.cloud.scheduler.v1.CloudScheduler"
        self._server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, handlers)])
        self.host = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self._server.stop(0).wait()

    def add(self, name: str, schedule: str, **fields: Any) -> api.Job:
        """Put a job there, as Terraform does."""
        assert _JOB.fullmatch(name), name
        made = api.Job(name=name, schedule=schedule, time_zone="Etc/UTC", state=_State.ENABLED, **fields)
        self.jobs[name] = made
        return made

    def _guarded(
        self, handle: Callable[[Any, grpc.ServicerContext], Any]
    ) -> Callable[[Any, grpc.ServicerContext], Any]:
        def guarded(request: Any, context: grpc.ServicerContext) -> Any:
            if self.fault is not None:
                context.abort(self.fault, "as the test says")
            return handle(request, context)

        return guarded

    def _list(self, request: Any, _context: grpc.ServicerContext) -> Any:
        found = [job for name, job in self.jobs.items() if name.startswith(f"{request.parent}/jobs/")]
        return api.ListJobsResponse(jobs=found)

    def _pause(self, request: Any, context: grpc.ServicerContext) -> Any:
        job = self._job(request, context)
        if job.state != _State.ENABLED:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "Job is not enabled")
        job.state = _State.PAUSED
        return job

    def _resume(self, request: Any, context: grpc.ServicerContext) -> Any:
        job = self._job(request, context)
        if job.state != _State.PAUSED:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "Job is not paused")
        job.state = _State.ENABLED
        return job

    def _run(self, request: Any, context: grpc.ServicerContext) -> Any:
        job = self._job(request, context)
        self.calls.append(request.name)
        return job

    def _job(self, request: Any, context: grpc.ServicerContext) -> api.Job:
        if not _JOB.fullmatch(request.name):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "Job name must be formatted as it is")
        if request.name not in self.jobs:
            context.abort(grpc.StatusCode.NOT_FOUND, "Job not found")
        return self.jobs[request.name]
