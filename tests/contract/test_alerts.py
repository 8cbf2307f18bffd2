"""Alerts of several instances on every store, and every sink that takes them."""

from __future__ import annotations

import json
import logging
import threading
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws
from moto.core import DEFAULT_ACCOUNT_ID
from moto.ses import ses_backends

from shared.adapters.log_alerts import LogAlerts
from shared.adapters.no_metrics import NoMetrics
from shared.adapters.ses_alerts import SesAlerts
from shared.adapters.slack_alerts import SlackAlerts
from shared.adapters.system_clock import SystemClock
from shared.app.alerts import ALERTS, Alerts, AlertSettings
from shared.errors import SinkUnavailable
from shared.ports import CLOSED, OPENED, REPEATED, Alert, Notice
from tests.support.alerts import MemorySink
from tests.support.trickle import BODY, HEAD, each_byte, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.ports import AlertSink, Documents

WEBHOOK = "T00000000/B00000000/aBcDeFgHiJkLmNoPqRsTuVwX"
SENDER, RECIPIENT = "alerts@example.com", "operator@example.com"
TROUBLE = Alert(
    "trouble",
    "critical",
    "Trouble <!channel> & more",
    {"transfers": ["a", "b"], "error": "https://node.example/v2/key1234567 refused"},
)


def notice(kind: str = OPENED, alert: Alert = TROUBLE) -> Notice:
    """Return a notice."""
    return Notice(kind, alert, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), 3)


def test_instances_that_see_the_same_trouble_tell_it_once(documents: Documents) -> None:
    """Four at once, on every store: one opening, one end."""
    sink = MemorySink()
    instances = [Alerts(documents, [sink], SystemClock(), NoMetrics(), AlertSettings()) for _ in range(4)]

    def together(work: str, argument: Any) -> None:
        start = threading.Barrier(len(instances))

        def one(alerts: Alerts) -> None:
            start.wait()
            getattr(alerts, work)(argument)

        threads = [threading.Thread(target=one, args=(alerts,)) for alerts in instances]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    together("open", TROUBLE)
    assert Counter(kind for kind, _ in sink.told) == {OPENED: 1}
    together("close", "trouble")
    assert Counter(kind for kind, _ in sink.told) == {OPENED: 1, CLOSED: 1}
    stored = documents.get(ALERTS, "trouble")
    assert stored
    assert (stored["open"], stored["untold"], stored["sinks"]) == (False, False, {})


def test_what_must_be_tended_is_found(documents: Documents) -> None:
    """The queries that find open and untold alerts work on every store."""
    sink = MemorySink(failure=OSError("away"))
    alerts = Alerts(documents, [sink], SystemClock(), NoMetrics(), AlertSettings(quiet_s=0))
    odd = {"nested": [{"a": 1}], "half": "\ud800", "huge": 1 << 64, "none": float("nan")}
    alerts.open(Alert("letters", "error", "Letters", odd, passing=True))
    sink.failure = None
    alerts.tend()
    stored = documents.get(ALERTS, "letters")
    assert stored
    assert not stored["open"]


class Channel:
    """A Slack webhook in this process; ``status`` and ``answer`` are what it gives back."""

    def __init__(self) -> None:
        self.posted: list[dict[str, Any]] = []
        self.status = 200
        self.answer = b"ok"


@contextmanager
def webhook() -> Iterator[tuple[Channel, str]]:
    """Give a channel, and its URL."""
    channel = Channel()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == f"/services/{WEBHOOK}"
            body = self.rfile.read(int(self.headers["Content-Length"]))
            channel.posted.append(json.loads(body))
            self.send_response(channel.status)
            self.send_header("Content-Length", str(len(channel.answer)))
            self.end_headers()
            self.wfile.write(channel.answer)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield channel, f"http://127.0.0.1:{server.server_port}/services/{WEBHOOK}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Lend an Amazon SES in which the sender is verified."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        boto3.client("sesv2", region_name="eu-west-1").create_email_identity(EmailIdentity=SENDER)
        yield ses_backends[DEFAULT_ACCOUNT_ID]["eu-west-1"]


@pytest.fixture(params=["log", "slack", "ses"])
def sink(request: pytest.FixtureRequest) -> Iterator[AlertSink]:
    """Give each sink its turn."""
    if request.param == "log":
        yield LogAlerts()
    elif request.param == "slack":
        with webhook() as (_, url):
            yield SlackAlerts(url)
    else:
        request.getfixturevalue("aws")
        yield SesAlerts(SENDER, [RECIPIENT], "eu-west-1")


@pytest.mark.parametrize("kind", [OPENED, REPEATED, CLOSED])
@pytest.mark.parametrize(
    "alert",
    [
        TROUBLE,
        Alert("a:b", "warning", "x" * 5_000, {"big": ["y" * 500] * 500, "half": "\ud800"}, passing=True),
    ],
)
def test_every_sink_takes_every_notice(sink: AlertSink, kind: str, alert: Alert) -> None:
    """Long, odd and empty ones too."""
    sink.send(notice(kind, alert))
    sink.send(notice(kind, Alert("k", "none of ours", "", {})))


def test_the_log_tells_an_alert_as_its_severity(caplog: pytest.LogCaptureFixture) -> None:
    """The line holds the key and the detail; an end is information."""
    with caplog.at_level(logging.INFO):
        LogAlerts().send(notice())
        LogAlerts().send(notice(CLOSED))
    opened, closed = caplog.records
    assert (opened.levelno, closed.levelno) == (logging.CRITICAL, logging.INFO)
    assert opened.fields["alert"] == "trouble"  # type: ignore[attr-defined]
    assert opened.fields["transfers"] == ["a", "b"]  # type: ignore[attr-defined]


def test_slack_is_told_in_plain_text() -> None:
    """Nothing in an alert calls a channel together or hides a link, and no URL with a key is passed on."""
    with webhook() as (channel, url):
        SlackAlerts(url).send(notice())
    (message,) = channel.posted
    assert message["text"].startswith("*[plumbline] critical: Trouble &lt;!channel&gt; &amp; more*")
    assert 'transfers: ["a", "b"]' in message["text"]
    assert "open since 2026-01-02 03:04:05 UTC, raised 3 times" in message["text"]
    assert "node.example" not in message["text"]
    assert not message["unfurl_links"]


@pytest.mark.parametrize(("status", "answer"), [(404, b"no_service"), (429, b"rate_limited"), (500, b"")])
def test_slack_that_refuses_is_a_failure_without_the_secret(status: int, answer: bytes) -> None:
    """Slack's word for it is told, the webhook is not."""
    with webhook() as (channel, url):
        channel.status, channel.answer = status, answer
        with pytest.raises(SinkUnavailable, match=f"{status}: {answer.decode()}") as raised:
            SlackAlerts(url).send(notice())
    assert WEBHOOK not in str(raised.value)


def test_slack_that_cannot_be_reached_is_a_failure_without_the_secret() -> None:
    """Neither the message nor the cause nor the repr holds the URL."""
    sink = SlackAlerts(f"http://127.0.0.1:9/services/{WEBHOOK}")
    with pytest.raises(SinkUnavailable) as raised:
        sink.send(notice())
    assert WEBHOOK not in f"{raised.value!r} {raised.value.__cause__!r} {sink!r}"


def test_an_e_mail_says_what_it_is_about(aws: Any) -> None:
    """From and to whom it was configured, with a subject that says enough."""
    sink = SesAlerts(SENDER, [RECIPIENT, "second@example.com"], "eu-west-1")
    sink.send(notice())
    sink.send(notice(CLOSED))
    first, last = aws.sent_messages
    assert first.source == SENDER
    assert first.destinations["ToAddresses"] == [RECIPIENT, "second@example.com"]
    assert first.subject == "[plumbline] critical: Trouble <!channel> & more"
    assert 'transfers: ["a", "b"]' in first.body
    assert "node.example" not in first.body
    assert last.subject == "[plumbline] closed: Trouble <!channel> & more"


def test_an_e_mail_from_an_address_that_is_not_verified_is_a_failure(aws: Any) -> None:
    """SES' code is told, a person's address is not."""
    with pytest.raises(SinkUnavailable, match="SES refused: MessageRejected") as raised:
        SesAlerts("stranger@example.net", [RECIPIENT], "eu-west-1").send(notice())
    assert "example" not in str(raised.value)
    assert not aws.sent_messages


def test_an_e_mail_that_is_taken_byte_by_byte_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """What boto3 bounds is each read: the sink gives up while the answer still comes."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    # boto3 keeps credentials for whoever comes next in this process.
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    with serving([*each_byte(HEAD), BODY]) as (url, through):
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        with pytest.raises(SinkUnavailable, match="SES did not answer within 2 s"):
            SesAlerts(SENDER, [RECIPIENT], "eu-west-1", within_s=2).send(notice())
        assert not through.is_set()


def test_an_e_mail_without_credentials_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told by the kind of the error."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    with pytest.raises(SinkUnavailable, match="NoCredentialsError"):
        SesAlerts(SENDER, [RECIPIENT], "eu-west-1").send(notice())
