"""Log lines: one JSON object each in the cloud, readable on a terminal, never a secret in either."""

from __future__ import annotations

import logging
import os
import re
import sys
from datetime import UTC, datetime
from typing import Any, Final

import orjson

_URL: Final = re.compile(r"\b(https?|wss?)://[^\s\"'<>]+")
_KEY: Final = re.compile(r"(?i)\b(private[_ ]?key|secret|password|api[_-]?key|token)(\W+)([^\s,;\"']{8,})")
_SEVERITY: Final = {"WARNING": "WARNING", "ERROR": "ERROR", "CRITICAL": "CRITICAL", "DEBUG": "DEBUG"}
_COLOURS: Final = {"WARNING": "\x1b[33m", "ERROR": "\x1b[31m", "CRITICAL": "\x1b[31;1m"}


def redact(text: str) -> str:
    """Return the text without what may be secret: the rest of a URL behind its scheme, and named keys."""
    text = _URL.sub(lambda match: f"{match[1]}://[redacted]", text)
    return _KEY.sub(r"\1\2[redacted]", text)


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {key: _redacted(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(item) for item in value]
    return value


class JsonLines(logging.Formatter):
    """Formats as Cloud Logging reads it: ``severity``, ``message``, ``time``, and the record's fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line of JSON."""
        line = {
            **_redacted(getattr(record, "fields", {})),
            "severity": _SEVERITY.get(record.levelname, "INFO"),
            "message": redact(self._message(record)),
            "logger": record.name,
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
        }
        return orjson.dumps(line, default=str).decode()

    def _message(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        return f"{message}\n{self.formatException(record.exc_info)}" if record.exc_info else message


class ReadableLines(JsonLines):
    """Formats for a person at a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a readable line, coloured from warnings on."""
        time = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S")
        fields = _redacted(getattr(record, "fields", {}))
        told = " ".join(f"{key}={value}" for key, value in fields.items())
        line = f"{time} {record.levelname:<8} {redact(self._message(record))} {told}".rstrip()
        colour = _COLOURS.get(record.levelname)
        return f"{colour}{line}\x1b[0m" if colour and sys.stderr.isatty() else line


def set_up(level: int = logging.INFO) -> None:
    """Send log records to stderr: JSON under Cloud Run (which sets K_SERVICE), else readable; once."""
    root = logging.getLogger()
    if any(isinstance(handler.formatter, JsonLines) for handler in root.handlers):
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if os.environ.get("K_SERVICE") else ReadableLines())
    root.addHandler(handler)
    root.setLevel(level)
