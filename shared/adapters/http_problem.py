"""Answers of HTTP functions: JSON, and RFC 9457 problem documents for errors."""

from __future__ import annotations

from math import ceil
from typing import Any, Final

import orjson

from shared.errors import PlumblineError, RateLimited
from shared.logging import redact

_PAUSE_S: Final = 5
_LONGEST_S: Final = 86_400
"""A day: whoever asks for more is not waited for so long without a look."""

Answer = tuple[bytes, int, dict[str, str]]


def answer(document: Any, status: int = 200) -> Answer:
    """Return a JSON answer as Flask takes it."""
    return orjson.dumps(document), status, {"Content-Type": "application/json"}


def problem(error: PlumblineError) -> Answer:
    """Return the problem document of an error, with ``Retry-After`` where trying again makes sense."""
    headers = {"Content-Type": "application/problem+json"}
    if error.retryable:
        asked = error.retry_after_s if isinstance(error, RateLimited) else None
        headers["Retry-After"] = str(_PAUSE_S if asked is None else min(max(1, ceil(asked)), _LONGEST_S))
    body = {
        "type": f"urn:plumbline:{error.code}",
        "title": error.code.replace("_", " "),
        "status": error.http_status,
        "detail": redact(str(error)),
    }
    return orjson.dumps(body), error.http_status, headers
