"""Which trace a request belongs to, by the headers of W3C and of Google; anybody may send anything."""

from __future__ import annotations

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.request_trace import SAMPLED, SPAN, TRACE, current_trace, trace_fields

ID = "0af7651916cd43dd8448eb211c80319c"
SPAN_ID = "b7ad6b7169203331"
W3C = f"00-{ID}-{SPAN_ID}-01"


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        ({"traceparent": W3C}, (ID, SPAN_ID, True)),
        ({"traceparent": W3C[:-1] + "0"}, (ID, SPAN_ID, False)),
        ({"traceparent": f"01-{ID}-{SPAN_ID}-01-more"}, (ID, SPAN_ID, True)),
        ({"X-Cloud-Trace-Context": f"{ID}/13235353014750950193;o=1"}, (ID, SPAN_ID, True)),
        ({"X-Cloud-Trace-Context": f"{ID.upper()}/1;o=0"}, (ID, "0000000000000001", False)),
        ({"X-Cloud-Trace-Context": ID}, (ID, None, False)),
        ({"X-Cloud-Trace-Context": f"{ID}/0"}, (ID, None, False)),
        ({"traceparent": "nonsense", "X-Cloud-Trace-Context": f"{ID}/1;o=1"}, (ID, "0000000000000001", True)),
        ({"traceparent": W3C, "X-Cloud-Trace-Context": "1" * 32}, (ID, SPAN_ID, True)),
    ],
)
def test_a_trace_is_read(headers: dict[str, str], wanted: tuple[str, str | None, bool]) -> None:
    """W3C's header goes first; Google's has its span in decimal."""
    trace, span, sampled = wanted
    fields = trace_fields(headers, "p")
    assert (fields[TRACE], fields.get(SPAN), fields[SAMPLED]) == (f"projects/p/traces/{trace}", span, sampled)
    assert trace_fields(headers, "")[TRACE] == trace


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"traceparent": ""},
        {"traceparent": f"00-{'0' * 32}-{SPAN_ID}-01"},
        {"traceparent": f"00-{ID}-{'0' * 16}-01"},
        {"traceparent": f"ff-{ID}-{SPAN_ID}-01"},
        {"traceparent": f"{W3C}-more"},
        {"traceparent": W3C.upper()},
        {"traceparent": f"00-{ID}-{SPAN_ID}"},
        {"X-Cloud-Trace-Context": "0" * 32},
        {"X-Cloud-Trace-Context": f"{ID}/{2**64};o=2"[:30]},
        {"X-Cloud-Trace-Context": f"{ID}\n/1"},
    ],
)
def test_what_is_no_trace_is_none(headers: dict[str, str]) -> None:
    """Malformed, all zeros, of a version that may not be."""
    assert trace_fields(headers, "p") == {}


@given(st.text(max_size=80), st.text(max_size=80))
def test_whatever_is_sent_the_fields_are_well_formed(first: str, second: str) -> None:
    """No header can put anything but hex into a trace."""
    fields = trace_fields({"traceparent": first, "X-Cloud-Trace-Context": second}, "p")
    assert not fields or set(fields[TRACE].removeprefix("projects/p/traces/")) <= set("0123456789abcdef")


def test_only_who_answers_a_request_has_one() -> None:
    """Outside of a request there is none, within it is the request's own."""
    assert current_trace("p") == {}
    with Flask("t").test_request_context(headers={"traceparent": W3C}):
        assert current_trace("p")[TRACE] == f"projects/p/traces/{ID}"
    assert current_trace("p") == {}
