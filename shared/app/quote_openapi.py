"""What gas quotes take and give, described in OpenAPI 3.1."""

from __future__ import annotations

from typing import Any, Final

from shared.app.report_openapi import report_schema
from shared.domain.actions import ACTIONS
from shared.domain.fee_quote import CONFIDENCE, MOST_BLOCKS, WITHIN_BLOCKS

_WEI: Final = {"type": ["string", "null"], "pattern": "^[0-9]+$", "description": "wei; null: nobody knows"}
_GAS: Final = {"type": ["integer", "null"], "minimum": 0}
_SHARE: Final = {"type": ["number", "null"], "minimum": 0, "maximum": 1}
_TEXT: Final = {"type": "string"}
_TEXT_OR_NULL: Final = {"type": ["string", "null"]}
_COUNT: Final = {"type": "integer", "minimum": 0}
_CONFIDENCE: Final = {"type": "string", "enum": ["high", "medium", "low"]}
_ADDRESS: Final = {"type": "string", "pattern": "^0x[0-9a-fA-F]{40}$"}


def openapi() -> dict[str, Any]:
    """Return the description."""
    quote = "What to pay, how much gas to allow, and how sure that is"
    return {
        "openapi": "3.1.0",
        "info": {"title": "Plumbline gas quotes", "version": "1"},
        "paths": {
            "/quote": {"get": {"summary": quote, "parameters": _parameters(), "responses": _responses()}},
            "/report": {
                "get": {
                    "summary": "What our own transactions cost, against a default, and what follows",
                    "parameters": [each for each in _parameters() if each["name"] == "chain"],
                    "responses": _report_responses(),
                }
            },
            "/openapi.json": {
                "get": {"summary": "This description", "responses": {"200": {"description": "OpenAPI 3.1"}}}
            },
        },
        "components": {"schemas": {"Quote": _quote(), "Report": report_schema(), "Problem": _problem()}},
    }


def _parameters() -> list[dict[str, Any]]:
    described: dict[str, tuple[str, dict[str, Any]]] = {
        "action": ("what is to be done", {"type": "string", "enum": list(ACTIONS)}),
        "chain": (
            "chain id; may be left out where one chain is configured", {"type": "integer", "minimum": 1}
        ),
        "contract": ("its address; may be left out where one is configured on the chain", _ADDRESS),
        "transfer": ("transfer id, or its hash: the gas of the real call is then estimated", _TEXT),
        "within_blocks": (
            "deadline in blocks",
            {"type": "integer", "minimum": 1, "maximum": MOST_BLOCKS, "default": WITHIN_BLOCKS},
        ),
        "confidence": (
            "chance of inclusion wanted by then",
            {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1, "default": CONFIDENCE},
        ),
        "from": ("who will send; otherwise the custodian whose action it is", _ADDRESS),
        "data": (
            "the very calldata, if it is known; otherwise it is made from what is stored of the transfer",
            {"type": "string", "pattern": "^0x([0-9a-fA-F]{2}){4,}$"},
        ),
    }  # fmt: skip
    return [
        {"name": name, "in": "query", "required": name == "action", "description": text, "schema": schema}
        for name, (text, schema) in described.items()
    ]


def _responses() -> dict[str, Any]:
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    caching = {"ETag": {"schema": _TEXT}, "Cache-Control": {"schema": _TEXT}}
    return {
        "200": {
            "description": "the quote; the same until the next block",
            "headers": caching,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Quote"}}},
        },
        "304": {"description": "the quote that If-None-Match names still holds", "headers": caching},
        "400": {"description": "a field is wrong; `detail` names it", "content": problem},
        "405": {"description": "another method than GET", "content": problem},
        "503": {
            "description": "the node is gone, behind, or tells too little",
            "headers": {"Retry-After": {"schema": {"type": "integer"}}},
            "content": problem,
        },
    }


def _report_responses() -> dict[str, Any]:
    quoted = _responses()
    schema = {"application/json": {"schema": {"$ref": "#/components/schemas/Report"}}}
    problem = quoted["400"]["content"]
    told = {
        "200": {"description": "the report, made anew", "content": schema},
        "422": {"description": "what is recorded was changed by hand", "content": problem},
    }
    return told | {status: quoted[status] for status in ("400", "405", "503")}


def _quote() -> dict[str, Any]:
    figure = _object({"wei": _WEI, "source": _TEXT, "confidence": _CONFIDENCE})
    forecast = _object(
        {
            "ahead": _COUNT, "wei": _WEI, "low": _WEI, "high": _WEI, "judged": _COUNT,
            "errorOfUnchanged": {"type": "number"}, "errorOfAverage": {"type": "number"},
            "errorOfNext": {"type": "number"},
        }
    )  # fmt: skip
    return _object(
        {
            "chainId": _COUNT,
            "contract": _ADDRESS,
            "action": _TEXT,
            "transfer": _TEXT_OR_NULL,
            "withinBlocks": _COUNT,
            "wantedConfidence": {"type": "number"},
            "type": {"type": "string", "enum": ["eip1559", "legacy"]},
            "maxFeePerGas": _WEI,
            "maxPriorityFeePerGas": _WEI,
            "gasPrice": {**_WEI, "description": "wei, on a legacy chain; else null"},
            "expectedEffectiveGasPrice": {**_WEI, "description": "base fee and tip in the next block, wei"},
            "nextBaseFeePerGas": _WEI,
            "inclusion": {
                "type": "object",
                "description": "chance of being in a block within so many; beyond the deadline at least that",
                "additionalProperties": _SHARE,
            },
            "baseFee": _or_null(
                _object(
                    {
                        "latest": _WEI,
                        "next": figure,
                        "worst": _or_null(figure),
                        "forecast": _or_null(forecast),
                    }
                )
            ),
            "tip": _or_null(
                _object(
                    {
                        "source": {"type": "string", "enum": ["receipts", "blocks", "node", "setting"]},
                        "confidence": _CONFIDENCE,
                        "reachesWanted": {"type": ["boolean", "null"]},
                        "regime": _TEXT_OR_NULL,
                        "observations": _COUNT,
                    }
                )
            ),
            "savings": {"type": "array", "items": _saving()},
            "gasLimit": _GAS,
            "gas": _gas(),
            "revert": _or_null(
                _object({"error": _TEXT_OR_NULL, "arguments": {"type": "object"}, "data": _TEXT})
            ),
            "expectedCost": _WEI,
            "worstCost": _WEI,
            "costLeavesOut": {"type": "array", "items": _TEXT},
            "block": _object({"number": _COUNT, "hash": _TEXT, "timestamp": _TEXT}),
            "validity": _object({"untilBlock": _COUNT, "until": _TEXT_OR_NULL, "deadlineBlock": _COUNT}),
            "congestion": _object(
                {
                    "level": {"type": "string", "enum": ["high", "medium", "low", "unknown"]},
                    "confidence": _CONFIDENCE,
                    "meanUse": _SHARE,
                    "blocks": _COUNT,
                    "pendingTransactions": {"type": ["integer", "null"]},
                }
            ),
            "confidence": _CONFIDENCE,
            "records": {**_TEXT, "description": "good, or why what is recorded could not be read"},
        }
    )


def _gas() -> dict[str, Any]:
    receipts = _object({"count": _COUNT, "min": _COUNT, "mean": _COUNT, "max": _COUNT, "p95": _COUNT})
    return _object(
        {
            "source": {"type": "string", "enum": ["estimate", "receipts", "table", "revert", "unknown"]},
            "confidence": _CONFIDENCE,
            "expected": _GAS,
            "l1Gas": _GAS,
            "madeUp": {"type": "array", "items": _TEXT, "description": "arguments that are stand-ins"},
            "because": {**_TEXT_OR_NULL, "description": "why there is no estimate"},
            "receipts": _or_null(receipts),
        }
    )


def _saving() -> dict[str, Any]:
    return _object(
        {
            "default": _TEXT,
            "source": _TEXT,
            "maxFeePerGas": _WEI,
            "effectiveGasPrice": _WEI,
            "saving": {**_SHARE, "description": "share of its price; null: none"},
            "coversDeadline": {"type": ["boolean", "null"]},
        }
    )


def _problem() -> dict[str, Any]:
    return _object({"type": _TEXT, "title": _TEXT, "status": {"type": "integer"}, "detail": _TEXT})


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}
