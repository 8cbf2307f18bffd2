"""As much of JSON Schema as our own descriptions use, to hold answers against them."""

from __future__ import annotations

import re
from typing import Any

_TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool,
    "null": type(None),
}  # fmt: skip


def faults(value: Any, schema: dict[str, Any], place: str = "$") -> list[str]:
    """Return what of a value does not fit its schema; empty where all fits."""
    if "anyOf" in schema:
        every = [faults(value, each, place) for each in schema["anyOf"]]
        return min(every, key=len)
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if not any(_is(value, kind) for kind in kinds):
        return [f"{place}: {value!r} is no {kinds}"]
    if isinstance(value, dict):
        return _of_object(value, schema, place)
    if isinstance(value, list):
        return [
            fault
            for at, part in enumerate(value)
            for fault in faults(part, schema["items"], f"{place}[{at}]")
        ]
    return _of_scalar(value, schema, place)


def _of_scalar(value: Any, schema: dict[str, Any], place: str) -> list[str]:
    found = []
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{place}: {value!r} is none of {schema['enum']}")
    if isinstance(value, str) and "pattern" in schema and not re.search(schema["pattern"], value):
        found.append(f"{place}: {value!r} is not {schema['pattern']}")
    if isinstance(value, int | float):
        low, high = schema.get("minimum", value), schema.get("maximum", value)
        if not low <= value <= high:
            found.append(f"{place}: {value!r} is out of range")
    return found


def _of_object(value: dict[str, Any], schema: dict[str, Any], place: str) -> list[str]:
    properties, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    found = [f"{place}: {name} is missing" for name in schema.get("required", ()) if name not in value]
    for name, part in value.items():
        if name in properties or isinstance(others, dict):
            found += faults(part, properties.get(name, others), f"{place}.{name}")
        elif others is False:
            found.append(f"{place}: {name} is not described")
    return found


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, _TYPES[kind])
