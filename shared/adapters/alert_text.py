"""A notice of an alert in words, for people: one subject line and a body, without secrets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from shared.logging import redact
from shared.ports import CLOSED, REPEATED

if TYPE_CHECKING:
    from shared.ports import Notice

_SUBJECT: Final = 200
_VALUE: Final = 600
_BODY: Final = 3_000
"""Characters: a person reads no more, and Slack cuts a message at 40,000."""


def subject(notice: Notice) -> str:
    """Return one line that says what it is about."""
    state = {CLOSED: "closed", REPEATED: "still open"}.get(notice.kind, notice.alert.severity)
    line = " ".join(f"[plumbline] {state}: {notice.alert.title}".split())
    return _whole(redact(line))[:_SUBJECT]


def body(notice: Notice) -> str:
    """Return what there is to know, a line each, cut where it would be too long to read."""
    alert = notice.alert
    opened = notice.opened_at.strftime("%Y-%m-%d %H:%M:%S UTC")
    times = "" if notice.raised == 1 else f", raised {notice.raised} times"
    lines = [f"{alert.key}, open since {opened}{times}"]
    if notice.kind == CLOSED:
        why = "was not seen for a while" if alert.passing else "is over"
        lines = [f"{alert.key}, opened {opened}, {why}{times}"]
    lines += [f"{name}: {_told(value)}" for name, value in alert.detail.items()]
    return _whole(redact("\n".join(lines)))[:_BODY]


def _whole(text: str) -> str:
    """Return the text without half surrogate pairs, which are no text to anybody."""
    return text.encode("utf-8", "replace").decode()


def _told(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= _VALUE else f"{text[:_VALUE]} …"
