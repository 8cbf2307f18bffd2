"""The HTTP side of gas quotes: answers that caches may keep until the next block."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.adapters.http_problem import Answer


def quote_answer(body: bytes, tag: str, fresh_s: float, if_none_match: str | None) -> Answer:
    """Return a quote as Flask takes it: 304 without a body where the caller has this very one (RFC 9110).

    ``tag`` names it. ``max-age`` counts the whole seconds of ``fresh_s``, for which it surely holds; 0: ask
    again each time.
    Private: a quote may be behind a login, and names a transfer.
    """
    tag = f'"{tag}"'
    headers = {"ETag": tag, "Cache-Control": f"private, max-age={int(fresh_s)}, must-revalidate"}
    if if_none_match is not None and _has(if_none_match, tag):
        return b"", 304, headers
    return body, 200, {**headers, "Content-Type": "application/json"}


def _has(if_none_match: str, tag: str) -> bool:
    listed = [entry.strip().removeprefix("W/") for entry in if_none_match.split(",")]
    return tag in listed or listed == ["*"]
