"""Which trace the request in hand belongs to, by its headers, in the names that Cloud Logging reads.

Sources: https://www.w3.org/TR/trace-context (traceparent),
https://cloud.google.com/trace/docs/trace-context (X-Cloud-Trace-Context: TRACE/SPAN;o=OPTIONS, the span in
decimal), https://cloud.google.com/logging/docs/agent/logging/configuration#special-fields.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

TRACE: Final = "logging.googleapis.com/trace"
SPAN: Final = "logging.googleapis.com/spanId"
SAMPLED: Final = "logging.googleapis.com/trace_sampled"
# Compiled by the first request that has such a header: no cold start pays for them.
_PARENT: Final = r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?"
_GOOGLES: Final = r"([0-9a-fA-F]{32})(?:/([0-9]{1,20}))?(?:;o=([0-9]+))?"
_SPAN_LIMIT: Final = 1 << 64


def trace_fields(headers: Mapping[str, str], project: str) -> dict[str, Any]:
    """Return the fields of a log line that tie it to its request; none where the headers tell none.

    W3C's header goes before Google's. What is malformed counts as absent: anybody may send anything. Without
    a project the trace is told by its bare id.
    """
    found = _w3c(headers.get("traceparent", "")) or _googles(headers.get("X-Cloud-Trace-Context", ""))
    if found is None:
        return {}
    trace, span, sampled = found
    fields: dict[str, Any] = {TRACE: f"projects/{project}/traces/{trace}" if project else trace}
    if span:
        fields[SPAN] = span
    return {**fields, SAMPLED: sampled}


def current_trace(project: str) -> dict[str, Any]:
    """Return the fields for the request that this thread answers; none outside of one."""
    # Only a process that has imported Flask can be answering a request: the listener never pays for it.
    flask = sys.modules.get("flask")
    if flask is None or not flask.has_request_context():
        return {}
    return trace_fields(flask.request.headers, project)


def _w3c(value: str) -> tuple[str, str, bool] | None:
    found = re.fullmatch(_PARENT, value.strip())
    if not found or not int(found[1], 16) or not int(found[2], 16):
        return None
    if value.startswith("00") and len(value.strip()) != len("00-") + 32 + 1 + 16 + 1 + 2:
        return None
    return found[1], found[2], bool(int(found[3], 16) & 1)


def _googles(value: str) -> tuple[str, str, bool] | None:
    found = re.fullmatch(_GOOGLES, value.strip())
    if not found or not int(found[1], 16):
        return None
    span = int(found[2] or 0)
    return found[1].lower(), f"{span:016x}" if 0 < span < _SPAN_LIMIT else "", found[3] == "1"
