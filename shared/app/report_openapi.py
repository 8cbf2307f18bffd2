"""The optimisation report as OpenAPI 3.1 describes it."""

from __future__ import annotations

from typing import Any, Final

_WEI: Final = {"type": ["string", "null"], "pattern": "^[0-9]+$", "description": "wei; null: nobody knows"}
_COUNT: Final = {"type": "integer", "minimum": 0}
_COUNT_OR_NULL: Final = {"type": ["integer", "null"], "minimum": 0}
_SHARE: Final = {"type": ["number", "null"], "minimum": 0, "maximum": 1}
_NUMBER: Final = {"type": ["number", "null"]}
_TEXT: Final = {"type": "string"}


def report_schema() -> dict[str, Any]:
    """Return the schema."""
    action = {
        "action": _TEXT, "contract": _TEXT, "transactions": _COUNT, "meanGas": _COUNT, "meanGasPrice": _WEI,
        "cost": _WEI, "share": _SHARE,
    }  # fmt: skip
    saving = {
        "against": _TEXT, "value": _NUMBER, "low": _NUMBER, "high": _NUMBER, "n": _COUNT,
        "most": {**_SHARE, "description": "what no tip at all would have saved"},
        "verdict": {"type": "string", "enum": ["saves", "none", "unknown"]},
    }  # fmt: skip
    return _object(
        {
            "chainId": _COUNT,
            "at": _TEXT,
            "senders": {"type": "string", "enum": ["wallets", "all"]},
            "transactions": {**_COUNT, "description": "own ones that are kept: the last 500"},
            "firstBlock": _COUNT_OR_NULL,
            "lastBlock": _COUNT_OR_NULL,
            "gasUsed": _COUNT,
            "cost": _WEI,
            "saving": _object(saving),
            "success": _object({"rate": _SHARE, "succeeded": _COUNT, "failed": _COUNT}),
            "waits": _object(
                {
                    "transactions": _COUNT,
                    "median": _COUNT_OR_NULL,
                    "most": _COUNT_OR_NULL,
                    "withinFive": _SHARE,
                }
            ),
            "actions": {"type": "array", "items": _object(action)},
            "recommendations": {
                "type": "array",
                "items": _object({"code": _TEXT, "text": _TEXT, "numbers": {"type": "object"}}),
            },
        }
    )


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
