"""Cloud Scheduler → the plumb line: a whole run, or one transfer, and its report."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import functions_framework

from shared.adapters.http_problem import answer, problem
from shared.bootstrap import plumbline
from shared.errors import InvalidInput, PlumblineError, WrongMethod

if TYPE_CHECKING:
    from flask import Request

    from shared.adapters.http_problem import Answer

_LOG = logging.getLogger("plumbline.reconcile")
_FLUSH_S = 10.0
_FIELDS: dict[str, type] = {"rolloverId": str, "block": str, "dryRun": bool}


@functions_framework.http
def reconcile(request: Request) -> Answer:
    """Reconcile: POST, with an optional JSON body of ``rolloverId``, ``block`` and ``dryRun``."""
    if request.method != "POST":
        body, status, headers = problem(WrongMethod("reconcile takes POST alone"))
        return body, status, {**headers, "Allow": "POST"}
    try:
        asked = _body(request)
        parts = plumbline()
        # Every run's figures count at once, and nobody waits for its first answer.
        with parts.invocation(flush_s=_FLUSH_S, flush_now=True):
            options: dict[str, Any] = {"block": asked.get("block"), "dry_run": asked.get("dryRun", False)}
            if "rolloverId" in asked:
                return answer(parts.reconcile.run_one(asked["rolloverId"], **options))
            return answer(parts.reconcile.run(**options))
    except PlumblineError as error:
        _LOG.warning("reconciliation refused: %s: %s", error.code, error)
        return problem(error)


def _body(request: Request) -> dict[str, Any]:
    if not request.get_data():
        return {}
    body = request.get_json(force=True, silent=True)
    if not isinstance(body, dict):
        raise InvalidInput("the body is not a JSON object")
    for name, value in body.items():
        if name not in _FIELDS:
            raise InvalidInput(f"field {name} is not known; known are {', '.join(_FIELDS)}")
        if not isinstance(value, _FIELDS[name]):
            raise InvalidInput(f"field {name} must be a {_FIELDS[name].__name__}")
        if (
            isinstance(value, str)
            and not value.isascii()
            and any("\ud800" <= char <= "\udfff" for char in value)
        ):
            raise InvalidInput(f"field {name} holds half a surrogate pair, which is no text")
    return body
