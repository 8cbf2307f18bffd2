"""The functions as operators see them: figures that leave in time, and lines that belong to their request."""

from __future__ import annotations

import http.client
import json
import logging
import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from shared.adapters.cloud_monitoring import CloudMonitoringMetrics
from shared.adapters.request_trace import SAMPLED, SPAN, TRACE
from shared.app.deadletters import EVENTS_SOURCE
from shared.contracts.template import write_contract_file
from shared.domain.contract import Finality
from shared.domain.metrics import DEAD_LETTERS, EVENTS_STORED, LOG_TO_STATE, RECONCILE_RUNS
from shared.errors import StoreUnavailable
from shared.logging import JsonLines
from tests.support.metrics import MemoryMetrics
from tests.support.monitoring_server import MonitoringServer
from tests.support.served import wait_until
from tests.support.triggers import PROVIDER_KEY
from tests.support.world import ADDRESS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask.testing import FlaskClient

    from shared.bootstrap import Plumbline

    Client = Callable[[str], FlaskClient]

ROOT = Path(__file__).resolve().parents[2]
PAYLOADS = Path(__file__).parent / "payloads"
ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
MAIN = """
import os
import grpc
from google.cloud import monitoring_v3
from google.cloud.monitoring_v3.services.metric_service.transports import MetricServiceGrpcTransport

_Client = monitoring_v3.MetricServiceClient

def _connected():
    # Google's own client; only where it connects to, and as whom, is the test's.
    channel = grpc.insecure_channel(os.environ["MONITORING"])
    return _Client(transport=MetricServiceGrpcTransport(channel=channel))

monitoring_v3.MetricServiceClient = _connected
from functions.{name}.main import {name}
"""


def recorded(name: str) -> tuple[bytes, dict[str, str]]:
    """Return body and headers of a recorded request."""
    found = json.loads((PAYLOADS / f"{name}.json").read_text("utf-8"))
    return json.dumps(found["body"]).encode(), found["headers"]


class Lines(logging.Handler):
    """Keeps every line as it would be written in the cloud."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonLines())
        self.lines: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Format now, while the request is in hand."""
        line = self.format(record)
        assert "\n" not in line
        self.lines.append(json.loads(line))

    def of(self, message: str) -> dict[str, Any]:
        """Return the one line with this message."""
        [found] = [line for line in self.lines if message in line["message"]]
        return found


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Listen to the root logger."""
    handler = Lines()
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)


def test_each_invocation_flushes_when_it_ends(parts: Plumbline, client: Client) -> None:
    """Also one that fails; the schedule's figures leave at once and are waited for longer."""
    metrics = MemoryMetrics()
    parts.metrics = metrics
    body, headers = recorded("pubsub_push")
    assert client("handle_chain_event").post("/", data=body, headers=headers).status_code == 200
    body, headers = recorded("firestore_created")
    assert client("project_events").post("/", data=body, headers=headers).status_code == 200
    assert client("reconcile").post("/").status_code == 200
    assert client("reconcile").post("/", data=b'{"block": "nonsense"}').status_code == 400
    assert metrics.flushes == [(1.0, False), (1.0, False), (10.0, True), (10.0, True)]
    assert metrics.counters[EVENTS_STORED, "1"] == 3
    assert metrics.counters[RECONCILE_RUNS, "crooked"] == 1


def test_what_one_function_buries_is_counted_like_the_others(parts: Plumbline, client: Client) -> None:
    """A message that is none, and an event that can never count."""
    metrics = MemoryMetrics()
    parts.metrics = metrics
    body, headers = recorded("pubsub_push")
    broken = json.dumps({"message": {"data": "not base64!"}}).encode()
    client("handle_chain_event").post("/", data=broken, headers=headers)
    body, headers = recorded("firestore_created")
    client("project_events").post("/", data=body.replace(b"rollover.started", b"invented"), headers=headers)
    assert metrics.counters[DEAD_LETTERS, "chain-logs", "invalid_input"] == 1
    assert metrics.counters[DEAD_LETTERS, EVENTS_SOURCE, "invalid_input"] == 1
    alerts = {key for key, _ in parts.documents.query("alerts", _all())}
    assert alerts == {"dead_letters:chain-logs:invalid_input", "dead_letters:events:invalid_input"}


def _all() -> Any:
    from shared.ports import Query  # noqa: PLC0415 - for this one look

    return Query()


def test_lines_belong_to_their_request(parts: Plumbline, client: Client, lines: Lines) -> None:
    """Trace and span of the header, the event, its transfer, chain and block; one line of JSON each."""
    assert parts.settings.google_project == ""
    parent = {"traceparent": f"00-{ID}-{SPAN_ID}-01"}
    body, headers = recorded("firestore_created")
    client("project_events").post("/", data=body, headers={**headers, **parent})
    line = lines.of("event projected")
    assert (line[TRACE], line[SPAN], line[SAMPLED], line["severity"]) == (ID, SPAN_ID, True, "INFO")
    assert (line["eventId"], line["rolloverId"]) == ("started-a", "a")
    body, headers = recorded("pubsub_push")
    client("handle_chain_event").post("/", data=body, headers={**headers, **parent})
    line = lines.of("logs handled")
    assert (line[TRACE], line["chainId"], line["stored"]) == (ID, 1, 3)
    assert line["firstBlock"] <= line["lastBlock"]
    assert len(line["rolloverIds"]) == 1


def test_a_failure_is_told_with_its_trace_and_without_a_key(client: Client, lines: Lines) -> None:
    """The traceback that the framework logs belongs to the request as well, and is redacted."""
    answer = client("reconcile").post("/", headers={"X-Cloud-Trace-Context": f"{ID}/1;o=1"})
    assert answer.status_code == 200
    assert PROVIDER_KEY not in json.dumps(lines.lines)
    assert lines.of("opened: The reconciliation found trouble")[TRACE] == ID
    assert all(line[TRACE] == ID for line in lines.lines if line["logger"].startswith("plumbline."))


def test_a_store_that_is_away_is_told_with_the_event_that_waits(
    parts: Plumbline, client: Client, lines: Lines
) -> None:
    """Which event comes again is said, and the framework's own traceback belongs to the request as well."""

    class Away:
        """A store that cannot be read."""

        close = parts.documents.close

        def get_many(self, *_: object) -> Any:
            raise StoreUnavailable("the store is away")

    parts.documents = Away()
    served = client("project_events")
    served.application.config["PROPAGATE_EXCEPTIONS"] = False
    body, headers = recorded("firestore_created")
    trace = {"X-Cloud-Trace-Context": f"{ID}/1;o=1"}
    assert served.post("/", data=body, headers={**headers, **trace}).status_code == 500
    line = lines.of("event not projected yet: the store is away")
    assert (line["eventId"], line["rolloverId"], line["severity"]) == ("started-a", "a", "WARNING")
    [traceback] = [line for line in lines.lines if "Traceback" in line["message"]]
    assert traceback[TRACE] == ID


def test_a_reconciliation_has_told_its_figures_when_it_answers(parts: Plumbline, client: Client) -> None:
    """The very first run of an instance, too: an alert on its errors must not wait for the next."""
    with MonitoringServer("p", lambda: datetime.now(UTC)) as server:
        resource = {"project_id": "p", "location": "r", "namespace": "n", "job": "j", "task_id": "1"}
        parts.metrics = CloudMonitoringMetrics("p", resource, parts.clock, server.connect)
        assert client("reconcile").post("/").status_code == 200
        assert server.last(RECONCILE_RUNS, outcome="crooked") == 1
        assert server.refusals == []


@contextmanager
def served(home: Path, name: str, monitoring: int) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Serve a function as the platform does, by functions-framework under gunicorn; give its port."""
    (home / "main.py").write_text(MAIN.format(name=name))
    contracts = write_contract_file(home / "contracts", 1, ADDRESS, 1, Finality(depth=0))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    environ = {key: value for key, value in os.environ.items() if not key.startswith("PLUMBLINE_")}
    environ |= {
        "PLUMBLINE_STORE": f"sqlite:///{home / 'store.sqlite'}", "PLUMBLINE_CONTRACTS": str(contracts),
        "PLUMBLINE_METRICS": "monitoring://p/europe-west1", "MONITORING": f"127.0.0.1:{monitoring}",
        "PLUMBLINE_RPC_1": "http://127.0.0.1:9", "K_SERVICE": name, "PYTHONPATH": str(ROOT),
        "NO_PROXY": "127.0.0.1",
    }  # fmt: skip
    framework = Path(sys.executable).with_name("functions-framework")
    command = [str(framework), f"--target={name}", "--signature-type=cloudevent", f"--port={port}"]
    with subprocess.Popen(
        [*command, "--host=127.0.0.1", f"--source={home / 'main.py'}"],
        env=environ,
        cwd=home,
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    ) as process:
        try:
            yield port, process
        finally:
            process.kill()


def test_an_instance_that_is_put_away_tells_what_is_left(tmp_path: Path) -> None:
    """Its first answer waits for no client to be loaded; SIGTERM, the platform's last word, lets all out."""
    body, headers = recorded("pubsub_push")

    def post(port: int) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.request("POST", "/", body, headers)
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    with (
        MonitoringServer("p", lambda: datetime.now(UTC)) as server,
        served(tmp_path, "handle_chain_event", server.port) as (port, process),
    ):
        wait_until(lambda: post(port), "the function answers")
        assert server.calls == []
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        assert server.last(EVENTS_STORED, chain="1") == 3
        assert server.last(LOG_TO_STATE, chain="1", source="handle_chain_event").count == 3
        assert server.refusals == []
        (_, _, resource), *_ = server.points
        assert dict(resource)["job"] == "handle_chain_event"
        assert dict(resource)["location"] == "europe-west1"
