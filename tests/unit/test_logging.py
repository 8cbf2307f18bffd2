"""Log lines: one JSON object each, with a severity, whatever is logged; and never a secret."""

from __future__ import annotations

import io
import json
import logging
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.logging import JsonLines, ReadableLines, about, event_fields, redact, set_up, trace_by

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "aBcD3fGhIjKlMnOpQrStUv"
PRIVATE = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"


def record(message: str, fields: Any = None, level: int = logging.INFO, **extra: Any) -> logging.LogRecord:
    """Return a record as a logger makes it."""
    made = logging.LogRecord("plumbline.test", level, __file__, 1, message, None, extra.get("exc_info"))
    if fields is not None:
        made.fields = fields
    return made


def json_line(message: str, fields: Any = None, **more: Any) -> Any:
    """Return what a record looks like in the cloud; fails where it is more than one line."""
    line = JsonLines().format(record(message, fields, **more))
    assert "\n" not in line
    return json.loads(line)


@pytest.mark.parametrize(
    "url",
    [
        f"https://eth-mainnet.example/v2/{KEY}",
        f"https://node.example/?apikey={KEY}&x=1",
        f"https://user:{KEY}@node.example/rpc",
        f"https://{KEY}.node.example",
        f"wss://node.example/ws/{KEY}#part",
        f"HTTPS://node.example/v2/{KEY}",
        f"xhttp://node.example/{KEY}",
        f"https:\\/\\/node.example\\/v2\\/{KEY}",
        f"proxy?target=https%3A%2F%2Fnode.example%2F{KEY}",
    ],
)
@pytest.mark.parametrize("around", ["{}", "refused by {}: 401", "('{}',)", '{{"url":"{}"}}', "a={},b"])
def test_nothing_of_a_url_is_left(url: str, around: str) -> None:
    """Path, query, fragment, host and user all may hold a provider's key, so all of it goes."""
    text = redact(around.format(url))
    assert KEY not in text
    assert "node.example" not in text
    assert "[redacted]" in text


@pytest.mark.parametrize(
    "text",
    [
        f"private key {PRIVATE}",
        f"PRIVATE_KEY={PRIVATE}",
        f'{{"privateKey": "{PRIVATE}"}}',
        f"private-key:{PRIVATE}",
        f"client_secret={KEY}",
        f"access_token: {KEY}",
        f"'api_key': '{KEY}'",
        f"x-api-key: {KEY}",
        f"Authorization: Bearer {KEY}",
        f"password = {KEY}",
        f"mnemonic: {KEY}",
    ],
)
def test_a_named_secret_is_left_out(text: str) -> None:
    """The value behind a name that says secret is replaced, the name stays."""
    assert KEY not in redact(text)
    assert PRIVATE not in redact(text)
    assert redact(text)[:4] == text[:4]


@pytest.mark.parametrize(
    "text",
    [
        f"transaction {PRIVATE} was mined in block 12",
        "3 tokens were minted; token_decimals is 6",
        "contract 1:0xe5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5: TokensMinted",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    """Hashes, addresses and the product's own words are told as they are."""
    assert redact(text) == text


_SECRETS = st.from_regex(r"\A[A-Za-z0-9_-]{12,64}\Z").filter(lambda key: "redacted" not in key)
_PLACES = st.sampled_from(
    ["{s}://{k}@n.example/", "{s}://u:{k}@n.example", "{s}://n.example/v2/{k}", "{s}://n.example/{k}/x?y=1",
     "{s}://n.example/?key={k}", "{s}://n.example#{k}", "{s}://{k}.n.example/"]
)  # fmt: skip


@settings(max_examples=500)
@given(
    key=_SECRETS,
    place=_PLACES,
    scheme=st.sampled_from(["http", "https", "ws", "wss"]),
    before=st.text(max_size=20),
    after=st.text(max_size=20),
    nested=st.sampled_from([str, lambda url: {"rpcUrl": url}, lambda url: [{url: (url, url)}], ValueError]),
)
def test_no_key_of_a_url_survives_in_any_line(
    key: str, place: str, scheme: str, before: str, after: str, nested: Any
) -> None:
    """Wherever it stands, in the message or in the fields, for the cloud or for a terminal."""
    url = place.format(s=scheme, k=key)
    fields = {"detail": nested(url), url: 1}
    for formatter in (JsonLines(), ReadableLines()):
        line = formatter.format(record(f"{before}{url} {after}", fields))
        # What stands around is drawn from all of Unicode and may happen to hold anything but the key.
        assert key not in line


def test_a_secret_field_is_left_out_by_its_name() -> None:
    """A field whose name says secret has no value in the line, however deep."""
    line = json_line("x", {"privateKey": PRIVATE, "deep": [{"api_key": KEY}], "transactionHash": PRIVATE})
    assert line["privateKey"] == line["deep"][0]["api_key"] == "[redacted]"
    assert line["transactionHash"] == PRIVATE


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
    for name in ("K_SERVICE", "CLOUD_RUN_WORKER_POOL"):
        monkeypatch.delenv(name, raising=False)
    yield
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
