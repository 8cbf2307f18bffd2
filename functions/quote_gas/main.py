"""HTTP → a gas quote: what to pay, how much gas to allow, and how sure that is."""

from __future__ import annotations

import logging
from threading import Lock
from typing import TYPE_CHECKING

import functions_framework

from shared.adapters.http_problem import answer, problem
from shared.adapters.quote_api import query_text, quote_answer
from shared.bootstrap import plumbline
from shared.errors import InvalidInput, NotFound, PlumblineError, WrongMethod

if TYPE_CHECKING:
    from flask import Request

    from shared.adapters.http_problem import Answer

_LOG = logging.getLogger("plumbline.quote_gas")
_FLUSH_S = 0.1
"""Somebody waits for the answer: figures that are not written by then are with the next write."""

_WIRING = Lock()
"""Threads that come first together share one use case, and with it the one batch of the block."""


def _quote(request: Request) -> Answer:
    with _WIRING:
        parts = plumbline()
        quotes = parts.quote_gas
    query = query_text(request.query_string)
    with parts.invocation(flush_s=_FLUSH_S):
        quote = quotes.answer(query)
    known = request.headers.get("If-None-Match")
    return quote_answer(quote.body, quote.tag, quote.fresh_s, known)


def _report(request: Request) -> Answer:
    return answer(plumbline().gas_report.answer(query_text(request.query_string)))


def _openapi(request: Request) -> Answer:  # noqa: ARG001 - every route takes the request
    from shared.app.quote_openapi import openapi  # noqa: PLC0415 - few ever ask for it

    return answer(openapi())


ROUTES = {"/": _quote, "/quote": _quote, "/report": _report, "/openapi.json": _openapi}


@functions_framework.http
def quote_gas(request: Request) -> Answer:
    """Quote or report: GET ``/quote`` (or ``/``) or ``/report``, as ``/openapi.json`` describes them."""
    try:
        route = ROUTES.get(request.path)
        if route is None:
            raise NotFound(f"there is nothing at {request.path}; known are {', '.join(ROUTES)}")
        if request.method not in ("GET", "HEAD"):
            body, status, headers = problem(WrongMethod("quote_gas takes GET alone"))
            return body, status, {**headers, "Allow": "GET, HEAD"}
        return route(request)
    except InvalidInput as error:
        return problem(error)
    except PlumblineError as error:
        _LOG.warning("no quote: %s: %s", error.code, error)
        return problem(error)
