"""Writing ABI data from document-ready values: the other direction of ``abi_read``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared.domain.abi_read import Malformed
from shared.domain.abi_types import WORD, Array, Elementary, Tuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.domain.abi_types import AbiType


def write(kind: AbiType, value: Any) -> bytes:
    """Encode one value, without the offset of a dynamic one; Malformed where it is not of the type.

    Integers may be ``int`` or decimal strings, bytes ``bytes`` or 0x hex, tuples mappings by name or
    sequences in order.
    """
    if isinstance(kind, Tuple):
        return _sequence(
            [part.type for part in kind.parts], _ordered(kind, value), [p.name for p in kind.parts]
        )
    if isinstance(kind, Array):
        return _array(kind, value)
    return _elementary(kind, value)


def _ordered(kind: Tuple, value: Any) -> Sequence[Any]:
    names = [part.name for part in kind.parts]
    if isinstance(value, dict):
        if set(value) != set(names):
            raise Malformed(f"has {sorted(value)}, needs {names}")
        return [value[name] for name in names]
    if not isinstance(value, list | tuple) or len(value) != len(names):
        raise Malformed(f"needs {len(names)} values: {', '.join(names)}")
    return value


def _array(kind: Array, value: Any) -> bytes:
    if not isinstance(value, list | tuple) or kind.length not in {None, len(value)}:
        raise Malformed(f"is no list of {kind.spelling}")
    body = _sequence([kind.item] * len(value), value, [f"[{i}]" for i in range(len(value))])
    return _number(len(value)) + body if kind.length is None else body


def _sequence(kinds: Sequence[AbiType], values: Sequence[Any], names: Sequence[str]) -> bytes:
    heads, tails = [], []
    at = sum(kind.head for kind in kinds)
    for kind, value, name in zip(kinds, values, names, strict=True):
        try:
            encoded = write(kind, value)
        except Malformed as error:
            raise error.inside(name) from None
        if kind.dynamic:
            heads.append(_number(at))
            tails.append(encoded)
            at += len(encoded)
        else:
            heads.append(encoded)
    return b"".join(heads + tails)


def _number(value: int) -> bytes:
    return value.to_bytes(WORD, "big")


def _padded(blob: bytes) -> bytes:
    return _number(len(blob)) + blob + bytes(-len(blob) % WORD)


def _elementary(kind: Elementary, value: Any) -> bytes:
    if kind.kind in {"uint", "int"}:
        return _integer(kind, value)
    if kind.kind == "bool":
        if not isinstance(value, bool):
            raise Malformed(f"{value!r} is no bool")
        return _number(int(value))
    if kind.kind == "string":
        if not isinstance(value, str):
            raise Malformed(f"{value!r} is no string")
        try:
            return _padded(value.encode())
        except UnicodeEncodeError as error:
            raise Malformed(f"cannot be spelled in UTF-8: {error.reason}") from error
    blob = _unhex(value)
    if kind.kind == "bytes":
        return _padded(blob)
    size = 20 if kind.kind == "address" else kind.size
    if len(blob) != size:
        raise Malformed(f"has {len(blob)} bytes, needs {size}")
    return blob.rjust(WORD, b"\0") if kind.kind == "address" else blob.ljust(WORD, b"\0")


def _integer(kind: Elementary, value: Any) -> bytes:
    number = value
    if isinstance(value, str) and value.removeprefix("-").isdecimal():
        number = int(value)
    if not isinstance(number, int) or isinstance(number, bool):
        raise Malformed(f"{value!r} is no integer")
    signed = kind.kind == "int"
    low, high = (-(1 << kind.size - 1), 1 << kind.size - 1) if signed else (0, 1 << kind.size)
    if not low <= number < high:
        raise Malformed(f"{number} does not fit {kind.spelling}")
    return number.to_bytes(WORD, "big", signed=signed)


def _unhex(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str) and value.startswith("0x"):
        try:
            blob = bytes.fromhex(value[2:])
        except ValueError:
            blob = b""
        if 2 * len(blob) == len(value) - 2:
            return blob
    raise Malformed(f"{value!r} is neither bytes nor 0x hex")
