"""Log records as a logger makes them, and what becomes of them in the cloud."""

from __future__ import annotations

import json
import logging
from typing import Any

from shared.logging import JsonLines

KEY = "aBcD3fGhIjKlMnOpQrStUv"
PRIVATE = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"


def record(message: str, fields: Any = None, level: int = logging.INFO, **extra: Any) -> logging.LogRecord:
    """Return a record as a logger makes it."""
    made = logging.LogRecord("plumbline.test", level, __file__, 1, message, None, extra.get("exc_info"))
    if fields is not None:
        made.fields = fields
    return made


def json_line(message: str, fields: Any = None, **more: Any) -> Any:
    """Return what a record looks like in the cloud; fails where it is more than one line."""
    line = JsonLines().format(record(message, fields, **more))
    assert "\n" not in line
    return json.loads(line)
