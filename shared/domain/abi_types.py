"""The types of the contract ABI: what a compiler's JSON says of an argument, parsed once.

Specification: Solidity's "Contract ABI Specification". Sizes are in bytes; a value stands in the *head* of
what contains it, a dynamic one as an offset to its place in the tail.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from shared.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WORD: Final = 32
_ELEMENTARY: Final = re.compile(r"(uint|int|bytes)([1-9]\d{0,2})|(bool|address|bytes|string|function)")
_ARRAY: Final = re.compile(r"(.+)\[([1-9]\d*)?\]")
_MAX_BITS: Final = 256


@dataclass(frozen=True, slots=True)
class Elementary:
    """A type without parts; ``size`` in bits for integers, in bytes for ``bytesN``, else 0."""

    spelling: str
    kind: str
    size: int = 0

    @property
    def dynamic(self) -> bool:
        """Say whether it stands in the tail."""
        return self.kind in {"string", "bytes"}

    @property
    def head(self) -> int:
        """The bytes that it takes in a head."""
        return WORD


@dataclass(frozen=True, slots=True)
class Array:
    """``length`` items, as many as the data says if it is None."""

    spelling: str
    item: AbiType
    length: int | None
    dynamic: bool
    head: int


@dataclass(frozen=True, slots=True)
class Tuple:
    """Named parts in order: a struct, or the arguments of an event or a function."""

    spelling: str
    parts: tuple[Part, ...]
    dynamic: bool
    head: int

    @property
    def size(self) -> int:
        """The bytes of its own head."""
        return sum(part.type.head for part in self.parts)


AbiType: TypeAlias = Elementary | Array | Tuple


@dataclass(frozen=True, slots=True)
class Part:
    """A named part of a tuple; one without a name is called by its place, from ``0``."""

    name: str
    type: AbiType


def parse_type(argument: Mapping[str, Any]) -> AbiType:
    """Parse ``{"type": …, "components": …}``; InvalidInput for what the specification does not know."""
    return _parse(str(argument.get("type")), argument)


def parse_tuple(arguments: Sequence[Mapping[str, Any]]) -> Tuple:
    """Parse a list of arguments into the tuple that they form; InvalidInput for a name that comes twice."""
    parts = tuple(
        Part(str(argument.get("name") or place), parse_type(argument))
        for place, argument in enumerate(arguments)
    )
    names = [part.name for part in parts]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InvalidInput(f"the ABI has two arguments {twice[0]!r} in one list")
    dynamic = any(part.type.dynamic for part in parts)
    size = sum(part.type.head for part in parts)
    spelling = f"({','.join(part.type.spelling for part in parts)})"
    return Tuple(spelling, parts, dynamic, WORD if dynamic else size)


def _parse(name: str, argument: Mapping[str, Any]) -> AbiType:
    if array := _ARRAY.fullmatch(name):
        item = _parse(array[1], argument)
        length = int(array[2]) if array[2] else None
        dynamic = length is None or item.dynamic
        head = WORD if length is None or item.dynamic else length * item.head
        return Array(f"{item.spelling}[{array[2] or ''}]", item, length, dynamic, head)
    if name == "tuple":
        components = argument.get("components")
        if not isinstance(components, list) or not components:
            raise InvalidInput(f"the ABI's tuple {argument.get('name')!r} has no components")
        return parse_tuple(components)
    found = _ELEMENTARY.fullmatch(name)
    if found and found[3]:
        return Elementary(name, "bytesN", 24) if name == "function" else Elementary(name, name)
    if found:
        kind, size = found[1], int(found[2])
        if kind == "bytes" and size <= WORD:
            return Elementary(name, "bytesN", size)
        if kind != "bytes" and size <= _MAX_BITS and size % 8 == 0:
            return Elementary(name, kind, size)
    raise InvalidInput(f"the ABI has an unknown type {name!r}")
