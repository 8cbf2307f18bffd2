"""`plumbline schedules` against a server that speaks Cloud Scheduler's own protocol."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.cloud.scheduler_v1 import Job
from google.rpc.status_pb2 import Status

from shared.domain.schedules import SCHEDULES
from tests.support.scheduler_server import SchedulerServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PARENT = "projects/some-project/locations/us-central1"
_NAME = f"{_PARENT}/jobs/plumbline-reconcile"
_AT = datetime(2026, 1, 1, 0, 5, tzinfo=UTC)


@pytest.fixture
def server() -> Iterator[SchedulerServer]:
    """Lend the service, with the job as Terraform makes it."""
    with SchedulerServer() as running:
        running.add(_NAME, SCHEDULES["reconcile"].cron, schedule_time=_AT)
        yield running


def _schedules(
    server: SchedulerServer, home: Path, *arguments: str, **environ: str
) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PLUMBLINE_", "GOOGLE_CLOUD_"))}
    where = {
        "GOOGLE_CLOUD_PROJECT": "some-project",
        "GOOGLE_CLOUD_REGION": "us-central1",
        "CLOUD_SCHEDULER_EMULATOR_HOST": server.host,
        **environ,
    }
    return subprocess.run(
        [sys.executable, "-m", "shared", "--home", str(home), "schedules", *arguments],
        env={**kept, **{k: v for k, v in where.items() if v}},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _listed(server: SchedulerServer, home: Path) -> tuple[int, dict[str, Any]]:
    done = _schedules(server, home, "list", "--json")
    [job] = json.loads(done.stdout)
    return done.returncode, job


def test_a_job_that_is_as_it_should_be(server: SchedulerServer, tmp_path: Path) -> None:
    """Listed with its times and its next call, and nothing is wrong."""
    code, job = _listed(server, tmp_path)
    assert (code, job["wrong"], job["state"]) == (0, [], "ENABLED")
    assert (job["cron"], job["time_zone"], job["next_at"]) == (
        "*/5 * * * *",
        "Etc/UTC",
        "2026-01-01T00:05:00+00:00",
    )
    assert (job["last_at"], job["last_code"]) == (None, None)
    assert "plumbline-" not in _schedules(server, tmp_path, "list").stdout


def test_paused_and_resumed(server: SchedulerServer, tmp_path: Path) -> None:
    """Paused it is told as wrong until it is resumed; run by hand it is called all the same."""
    assert _schedules(server, tmp_path, "pause", "reconcile").returncode == 0
    assert server.jobs[_NAME].state == Job.State.PAUSED
    code, job = _listed(server, tmp_path)
    assert (code, job["wrong"]) == (1, ["it is paused"])
    assert _schedules(server, tmp_path, "run", "reconcile").returncode == 0
    assert server.calls == [_NAME]
    assert _schedules(server, tmp_path, "resume", "reconcile").returncode == 0
    assert _listed(server, tmp_path)[0] == 0


def test_what_is_wrong_is_told(server: SchedulerServer, tmp_path: Path) -> None:
    """Other times than the code's, and a last call that failed, are each said; exit 1."""
    failed = Status(code=grpc.StatusCode.UNAVAILABLE.value[0])
    server.add(_NAME, "0 * * * *", last_attempt_time=_AT, status=failed)
    code, job = _listed(server, tmp_path)
    assert code == 1
    assert job["wrong"] == ["the code's times are */5 * * * *", "its last call failed: unavailable"]
    server.jobs.clear()
    code, job = _listed(server, tmp_path)
    assert (code, job["state"]) == (1, "ABSENT")


@pytest.mark.parametrize(
    ("arguments", "environ", "code", "said"),
    [
        (["pause", "quote_gas"], {}, 2, "quote_gas is not called by the clock; these are: reconcile"),
        (["pause"], {}, 2, "Missing argument"),
        (["list"], {"GOOGLE_CLOUD_PROJECT": ""}, 2, "which project? Say --project"),
        (["list"], {"GOOGLE_CLOUD_REGION": ""}, 2, "which region? Say --region"),
        (["pause", "reconcile", "--region", "mars"], {}, 1, "is not there: has Terraform been applied?"),
        (["resume", "reconcile"], {}, 1, "Job is not paused"),
    ],
)
def test_misuse_is_said(
    server: SchedulerServer,
    tmp_path: Path,
    arguments: list[str],
    environ: dict[str, str],
    code: int,
    said: str,
) -> None:
    """Each mistake has its exit code and says what would be right, on stderr and without a traceback."""
    done = _schedules(server, tmp_path, *arguments, **environ)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False)
    assert said in " ".join(done.stderr.split())
    assert server.jobs[_NAME].state == Job.State.ENABLED


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (grpc.StatusCode.PERMISSION_DENIED, "roles/cloudscheduler.admin"),
        (grpc.StatusCode.INTERNAL, "Cloud Scheduler"),
        # Asked again for some seconds, and not for the client's own ten minutes.
        (grpc.StatusCode.UNAVAILABLE, "Cloud Scheduler"),
    ],
)
def test_a_service_that_refuses(
    server: SchedulerServer, tmp_path: Path, fault: grpc.StatusCode, said: str
) -> None:
    """One line on stderr, exit 1: what is missing, or that it does not answer."""
    server.fault = fault
    done = _schedules(server, tmp_path, "list")
    assert (done.returncode, len(done.stderr.strip().splitlines())) == (1, 1)
    assert said in done.stderr


def test_a_wrong_name_is_wrong_without_credentials_too(tmp_path: Path) -> None:
    """Who mistypes a function is told so, before being sent for credentials; that, too, is one line."""
    none = str(tmp_path / "none.json")
    nowhere = {"GOOGLE_APPLICATION_CREDENTIALS": none, "CLOUD_SCHEDULER_EMULATOR_HOST": ""}
    with SchedulerServer() as unused:
        done = _schedules(unused, tmp_path, "run", "reconsile", **nowhere)
        assert (done.returncode, len(done.stderr.strip().splitlines())) == (2, 1)
        assert "these are: reconcile" in done.stderr
        done = _schedules(unused, tmp_path, "run", "reconcile", **nowhere)
    assert (done.returncode, len(done.stderr.strip().splitlines())) == (1, 1)
    assert "gcloud auth application-default login" in done.stderr


def test_the_project_is_the_stores(server: SchedulerServer, tmp_path: Path) -> None:
    """Where the settings name a Firestore, its project is meant, without being said again."""
    store = {
        "PLUMBLINE_STORE": "firestore://some-project",
        "PLUMBLINE_BUS": "pubsub://some-project",
        "PLUMBLINE_CONTRACTS": "contracts",
        "GOOGLE_CLOUD_PROJECT": "another-project",
    }
    assert _schedules(server, tmp_path, "list", **store).returncode == 0
