"""Log lines: one JSON object each, with a severity, whatever is logged (secrets: test_redaction.py)."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.logging import JsonLines, ReadableLines, about, event_fields, set_up, trace_by
from tests.support.logs import KEY, json_line, record

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_a_line_has_what_cloud_logging_reads() -> None:
    """Severity by level, message, time and logger; a field cannot pass itself off as one of them."""
    levels = {
        logging.DEBUG: "DEBUG", logging.INFO: "INFO", logging.WARNING: "WARNING", logging.ERROR: "ERROR",
        logging.CRITICAL: "CRITICAL", 25: "INFO",
    }  # fmt: skip
    for level, severity in levels.items():
        line = json_line("told\nin two lines", {"chainId": 1, "severity": "NONE"}, level=level)
        assert (line["severity"], line["chainId"]) == (severity, 1)
        assert (line["message"], line["logger"]) == ("told\nin two lines", "plumbline.test")
        assert line["time"].endswith("+00:00")


def test_a_traceback_is_part_of_the_message_without_its_secrets() -> None:
    """The whole chain of exceptions is told, and no URL in any of them."""
    error = ValueError("no answer")
    error.__cause__ = OSError(f"https://node.example/{KEY} refused")
    line = json_line("failed", exc_info=(ValueError, error, None))
    assert "OSError" in line["message"]
    assert "no answer" in line["message"]
    assert KEY not in line["message"]


def test_a_line_gets_out_whose_arguments_do_not_fit() -> None:
    """What logging itself would print of it, over many lines, has the arguments as they are."""
    made = record("told %s of %s")
    made.args = (f"https://node.example/{KEY}",)
    line = JsonLines().format(made)
    assert "told %s of %s (its arguments do not fit" in json.loads(line)["message"]
    assert KEY not in line


def test_a_line_gets_out_whose_fields_hold_themselves_or_have_no_text() -> None:
    """Both are cut where they cannot be told."""

    class Mute:
        def __str__(self) -> str:
            raise ValueError(KEY)

    fields: dict[str, Any] = {"mute": Mute(), "number": 1}
    fields["self"] = fields
    line = json_line("told", fields)
    assert (line["number"], line["self"]["number"]) == (1, 1)
    assert line["mute"] == "<Mute without a text: ValueError>"


_ENDS = """
import logging, threading, warnings
from shared.logging import set_up
set_up()
warnings.warn("old: https://node.example/{key}")
def fall(): raise ValueError("https://node.example/{key}")
thread = threading.Thread(target=fall); thread.start(); thread.join()
fall()
"""


def test_what_ends_a_process_is_a_line_too() -> None:
    """A warning, what ends a thread and what ends all: each is one line of JSON without its secret."""
    done = subprocess.run(
        [sys.executable, "-c", _ENDS.format(key=KEY)],
        env={**os.environ, "K_SERVICE": "listener"},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["severity"] for line in lines] == ["WARNING", "CRITICAL", "CRITICAL"]
    assert done.returncode == 1
    assert KEY not in done.stderr
    assert all("ended by ValueError: https://[redacted]" in line["message"] for line in lines[1:])


_anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.just("\ud800"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text() | st.integers() | st.none(), inner, max_size=3)
        | st.tuples(inner, inner)
        | st.frozensets(st.integers(), max_size=2)
    ),
    max_leaves=8,
)


@settings(max_examples=500)
@given(st.dictionaries(st.text(max_size=5), _anything, max_size=4))
def test_whatever_is_logged_the_line_gets_out(fields: dict[str, Any]) -> None:
    """Integers beyond 64 bits, half surrogate pairs, keys that are no text: one line of JSON all the same."""
    line = json_line("told", {"amount": 2**256 - 1, **fields})
    assert line["message"] == "told"
    if "amount" not in fields:
        assert line["amount"] == 2**256 - 1


@pytest.fixture
def _bare_root(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Take the handlers off the root logger, and put it back after."""
    logger = logging.getLogger()
    handlers, level = list(logger.handlers), logger.level
    logger.handlers[:] = []
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    for name in ("K_SERVICE", "CLOUD_RUN_WORKER_POOL"):
        monkeypatch.delenv(name, raising=False)
    yield
    logging.captureWarnings(capture=False)
    logger.handlers[:] = handlers
    logger.setLevel(level)


@pytest.mark.parametrize("in_the_cloud", ["K_SERVICE", "CLOUD_RUN_WORKER_POOL", None])
@pytest.mark.usefixtures("_bare_root")
def test_set_up_once_for_where_it_runs(monkeypatch: pytest.MonkeyPatch, in_the_cloud: str | None) -> None:
    """Under Cloud Run each line is JSON, on a terminal it is readable; setting up twice doubles nothing."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    if in_the_cloud:
        monkeypatch.setenv(in_the_cloud, "reconcile")
    set_up()
    set_up()
    logging.getLogger("plumbline.test").warning("blocks behind", extra={"fields": {"blocks": 7}})
    [line] = stream.getvalue().splitlines()
    if in_the_cloud:
        assert json.loads(line)["blocks"] == 7
    else:
        assert line.endswith("WARNING  blocks behind blocks=7")


def test_a_line_tells_what_it_is_about() -> None:
    """What surrounds it is in each line, the inner over the outer and the line's own fields over both."""
    with about(chainId=1, blockNumber=7, eventId=None):
        with about(blockNumber=8, rolloverId="a"):
            line = json_line("told", {"rolloverId": "b"})
            assert (line["chainId"], line["blockNumber"], line["rolloverId"]) == (1, 8, "b")
            assert "chainId=1 blockNumber=8 rolloverId=a" in ReadableLines().format(record("told"))
        assert "rolloverId" not in json_line("told")
        assert "eventId" not in json_line("told")
    assert "chainId" not in json_line("told")


def test_what_a_line_is_about_is_redacted_too() -> None:
    """A transfer's id may be anything that somebody sent."""
    with about(rolloverId=f"https://node.example/{KEY}"):
        assert KEY not in JsonLines().format(record("told"))


def test_an_event_is_told_by_its_id_its_transfer_and_its_log() -> None:
    """The same names as everywhere; of an event that is odd what there is."""
    data = {
        "chainId": 1,
        "contract": "0xe5",
        "blockNumber": 7,
        "transactionHash": "0x1",
        "logIndex": 0,
        "x": 1,
    }
    told = event_fields({"eventId": "e", "eventType": "t", "rolloverId": "a", "data": data, "audit": {}})
    assert told == {
        "eventId": "e", "eventType": "t", "rolloverId": "a", "chainId": 1, "contract": "0xe5",
        "blockNumber": 7, "transactionHash": "0x1", "logIndex": 0,
    }  # fmt: skip
    assert event_fields({"eventId": "e", "data": "text"}) == {"eventId": "e"}
    assert event_fields({}) == {}


def test_a_line_belongs_to_the_request_in_hand() -> None:
    """The trace's fields are Cloud Logging's own names, and no field of ours can stand in for them."""
    trace_by(lambda: {"logging.googleapis.com/trace": "projects/p/traces/1"})
    try:
        line = json_line("told", {"logging.googleapis.com/trace": "mine"})
        assert line["logging.googleapis.com/trace"] == "projects/p/traces/1"
        assert "traces" not in ReadableLines().format(record("told"))
    finally:
        trace_by(dict)


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def test_a_terminal_gets_colours_unless_somebody_wants_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Warnings and what is worse stand out; a file, or NO_COLOR, gets plain lines."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    warning = record("told", level=logging.WARNING)
    assert "\x1b" not in ReadableLines().format(warning)
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert ReadableLines().format(warning).startswith("\x1b[33m")
    assert "\x1b" not in ReadableLines().format(record("told"))
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in ReadableLines().format(warning)
