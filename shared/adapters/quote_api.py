"""The HTTP side of gas quotes: answers that caches may keep until the next block."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.errors import InvalidInput

if TYPE_CHECKING:
    from shared.adapters.http_problem import Answer as HttpAnswer


def quote_answer(body: bytes, tag: str, fresh_s: float, if_none_match: str | None) -> HttpAnswer:
    """Return a quote as Flask takes it: 304 without a body where the caller has this very one (RFC 9110).

    ``tag`` names the body, and ``fresh_s`` is how long it surely holds: ``max-age`` is that in whole seconds,
    rounded down; 0: ask again each time.
    Private: a quote may be behind a login, and names a transfer.
    """
    quoted = f'"{tag}"'
    headers = {"ETag": quoted, "Cache-Control": f"private, max-age={int(fresh_s)}, must-revalidate"}
    if if_none_match is not None and _has(if_none_match, quoted):
        return b"", 304, headers
    return body, 200, {**headers, "Content-Type": "application/json"}


def query_text(query: bytes) -> str:
    """Return a query string as text, its escapes as they are; InvalidInput where it is not in UTF-8."""
    try:
        return query.decode()
    except UnicodeDecodeError:
        raise InvalidInput("the query is not in UTF-8") from None


def _has(if_none_match: str, tag: str) -> bool:
    listed = [entry.strip().removeprefix("W/") for entry in if_none_match.split(",")]
    return tag in listed or listed == ["*"]
