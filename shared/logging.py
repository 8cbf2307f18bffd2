"""Log lines: one JSON object each in the cloud, readable on a terminal, never a secret in either.

What a line is about has the same names everywhere: ``eventId``, ``rolloverId``, ``chainId``, ``blockNumber``
(``blockHash``, ``transactionHash``, ``logIndex``), ``contract``.
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
import sys
import threading
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import TracebackType

_LOG: Final = logging.getLogger("plumbline")
# Texts, which `re` compiles when a line is first written: most cold starts end without one.
_URL: Final = r"(?i)(https?|wss?)(?::(?:\\?/){2}|%3A%2F%2F)[^\s\"'<>]+"
"""A URL, also with its slashes escaped as some JSON writers do, or percent-encoded within another."""
_URL_PART: Final = (
    r"(?i)(\burl: |\b(?:GET|HEAD|POST|PUT|DELETE|CONNECT) (?=/)|\bhost='|\bresolve '|\bconnect to host "
    r"|discarding connection: |\bhooks\.slack\.com/)[^\s'\"<>]+"
)
"""What libraries tell of a URL without its scheme: urllib3's paths and hosts, a request's first line."""
_NAMES: Final = (
    r"private[_ -]?key|secret(?:[_-]?key)?|mnemonic|passw(?:or)?d|api[_ -]?key|token|authorization|bearer"
)
_ASSIGNED_NAMES: Final = rf"{_NAMES}|access[_-]?key(?:[_-]?id)?|credentials?|passphrase|webhook(?:[_-]?url)?"
_SPOKEN: Final = rf"(?i)({_NAMES})(\s+)([^\s,;\"']{{8,}})"
_SCHEME: Final = r"(?i)(authorization[\"']?\s*[=:]\s*[\"']?)[a-z]+[ ]+(?=[^\s,;\"'])"
"""How somebody is authorised, before the secret itself: ``Basic``, ``Bearer``."""
_ASSIGNED: Final = rf"(?i)({_ASSIGNED_NAMES})([\"']?\s*[=:]\s*[\"']?)([^\s,;\"']+)"
_SECRET_NAME: Final = rf"(?i)(?:{_ASSIGNED_NAMES})$"
_DEEPEST: Final = 12
"""What lies deeper in a field is not told: it may hold itself."""
_HIDDEN: Final = "[redacted]"
_SEVERITY: Final = {"WARNING": "WARNING", "ERROR": "ERROR", "CRITICAL": "CRITICAL", "DEBUG": "DEBUG"}
_COLOURS: Final = {
    "DEBUG": "\x1b[2m", "WARNING": "\x1b[33m", "ERROR": "\x1b[31m", "CRITICAL": "\x1b[31;1m"
}  # fmt: skip
_EVENT_FIELDS: Final = (
    "eventId", "eventType", "rolloverId", "chainId", "contract", "blockNumber", "transactionHash", "logIndex"
)  # fmt: skip
_BOUND: Final[ContextVar[Mapping[str, Any]]] = ContextVar("plumbline_log_fields", default={})  # noqa: B039
_trace: Callable[[], Mapping[str, Any]] = dict


@contextmanager
def about(**fields: Any) -> Iterator[None]:
    """Let every line of this thread, while it is within, tell what it is about; None tells nothing."""
    told = {name: value for name, value in fields.items() if value is not None}
    token = _BOUND.set({**_BOUND.get(), **told})
    try:
        yield
    finally:
        _BOUND.reset(token)


def event_fields(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a line tells of an event: its id, its transfer, and where its log lies."""
    data = event.get("data")
    told = {**event, **(data if isinstance(data, dict) else {})}
    return {name: told[name] for name in _EVENT_FIELDS if told.get(name) is not None}


def trace_by(trace: Callable[[], Mapping[str, Any]]) -> None:
    """Let every JSON line have the fields that this returns for the request in hand."""
    global _trace  # noqa: PLW0603 - as the root logger, there is one of it in a process
    _trace = trace


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return {**_BOUND.get(), **getattr(record, "fields", {})}


def redact(text: str) -> str:
    """Return the text without what may be secret: the rest of a URL behind its scheme, and named keys."""
    text = re.sub(_URL, lambda match: f"{match[1]}://{_HIDDEN}", text)
    text = re.sub(_SCHEME, r"\1", re.sub(_URL_PART, rf"\1{_HIDDEN}", text))
    return re.sub(_ASSIGNED, rf"\1\2{_HIDDEN}", re.sub(_SPOKEN, rf"\1\2{_HIDDEN}", text))


def _redacted(value: Any, depth: int = 0) -> Any:
    """Return the value as plain JSON, without secrets; what JSON does not have as its text."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if depth > _DEEPEST:
        return "…"
    if isinstance(value, dict):
        named = {_text(key): item for key, item in value.items()}
        return {
            redact(key): _HIDDEN if re.search(_SECRET_NAME, key) else _redacted(item, depth + 1)
            for key, item in named.items()
        }
    if isinstance(value, list | tuple):
        return [_redacted(item, depth + 1) for item in value]
    return redact(_text(value))


def _text(value: Any) -> str:
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001 - whatever is logged, the line gets out, and says so
        return f"<{type(value).__name__} without a text: {type(error).__name__}>"


class JsonLines(logging.Formatter):
    """Formats as Cloud Logging reads it: ``severity``, ``message``, ``time``, and the record's fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line of JSON."""
        line = {
            **_redacted(_fields(record)),
            **_trace(),
            "severity": _SEVERITY.get(record.levelname, "INFO"),
            "message": redact(self._message(record)),
            "logger": record.name,
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
        }
        # Not orjson, which refuses integers beyond 64 bits and half a surrogate pair: a line must get out.
        return json.dumps(line)

    def _message(self, record: logging.LogRecord) -> str:
        try:
            message = record.getMessage()
        except Exception as error:  # noqa: BLE001 - logging itself would print all of it past the redaction
            message = f"{_text(record.msg)} (its arguments do not fit: {type(error).__name__})"
        return f"{message}\n{self.formatException(record.exc_info)}" if record.exc_info else message


class ReadableLines(JsonLines):
    """Formats for a person at a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a readable line, coloured from warnings on."""
        time = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S")
        fields = _redacted(_fields(record))
        told = " ".join(f"{key}={value}" for key, value in fields.items())
        line = f"{time} {record.levelname:<8} {redact(self._message(record))} {told}".rstrip()
        colour = _COLOURS.get(record.levelname)
        plain = not colour or "NO_COLOR" in os.environ or not sys.stderr.isatty()
        return line if plain else f"{colour}{line}\x1b[0m"


def cloud_name() -> str | None:
    """Return what Cloud Run calls this process, a service or a worker pool; None where it is not there.

    Source: https://cloud.google.com/run/docs/container-contract (environment variables).
    """
    return os.environ.get("K_SERVICE") or os.environ.get("CLOUD_RUN_WORKER_POOL")


def set_up(level: int = logging.INFO) -> None:
    """Send log records to stderr: JSON under Cloud Run, else readable; once.

    Under Cloud Run also what Python prints by itself: why a process or a thread ends, and its warnings.
    """
    root = logging.getLogger()
    if any(isinstance(handler.formatter, JsonLines) for handler in root.handlers):
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if cloud_name() else ReadableLines())
    root.addHandler(handler)
    root.setLevel(level)
    if cloud_name():
        sys.excepthook = _ended_by
        threading.excepthook = lambda told: _ended_by(told.exc_type, told.exc_value, told.exc_traceback)
        logging.captureWarnings(capture=True)


def _ended_by(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    """Log what nobody caught: as a traceback it would be many lines, with whatever secret it quotes."""
    told = error if error is not None else kind()
    if not isinstance(told, KeyboardInterrupt | SystemExit):
        _LOG.critical("ended by %s: %s", kind.__name__, _text(told), exc_info=(kind, told, trace))
