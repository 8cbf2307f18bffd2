"""Reading ABI data: a type is compiled once into a function from bytes to a document-ready value.

Integers whose type can pass 2^63-1 become decimal strings, narrower ones stay ``int``; addresses and bytes
are lower-case 0x hex; a string that is not UTF-8 becomes 0x hex, so that nothing is lost. Strict: what
breaks the encoding (missing bytes, an offset to nowhere, padding that is not clean) is Malformed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from shared.domain.abi_types import WORD, Array, Elementary, Tuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from shared.domain.abi_types import AbiType

    Reader: TypeAlias = Callable[[bytes, int], Any]
    """Reads the value at a byte position; the head that it stands in is known to be complete."""

_SAFE_BITS: Final = 63
_ADDRESS_PADDING: Final = bytes(12)


class Malformed(ValueError):
    """Data that is not of its type; ``argument`` is the path of names to it."""

    def __init__(self, reason: str, argument: str = "") -> None:
        super().__init__(reason)
        self.argument = argument

    def inside(self, name: str) -> Malformed:
        """Return the same, one level further out; ``name`` is a name, or an index in brackets."""
        inner = self.argument
        return Malformed(str(self), f"{name}{'.' if inner and inner[0] != '[' else ''}{inner}")


def reader(kind: AbiType) -> Reader:
    """Compile a type. The position that the reader takes is that of the value itself, not of its offset."""
    if isinstance(kind, Tuple):
        return _tuple(kind)
    if isinstance(kind, Array):
        return _array(kind)
    return _elementary(kind)


def _elementary(kind: Elementary) -> Reader:
    if kind.kind in {"uint", "int"}:
        return _integer(kind.size, signed=kind.kind == "int")
    if kind.kind == "bytesN":
        return _fixed_bytes(kind.size)
    return {"bool": _bool, "address": _address, "bytes": _bytes, "string": _string}[kind.kind]


def _integer(bits: int, *, signed: bool) -> Reader:
    wide = bits > _SAFE_BITS + signed
    low, high = (-(1 << bits - 1), 1 << bits - 1) if signed else (0, 1 << bits)
    if not signed and bits == WORD * 8:
        return lambda data, at: str(int.from_bytes(data[at : at + WORD]))  # every word is one

    def read(data: bytes, at: int) -> int | str:
        value = int.from_bytes(data[at : at + WORD], "big", signed=signed)
        if not low <= value < high:
            raise Malformed(f"{value} does not fit {bits} bits")
        return str(value) if wide else value

    return read


def _bool(data: bytes, at: int) -> bool:
    value = int.from_bytes(data[at : at + WORD], "big")
    if value > 1:
        raise Malformed(f"{value} is neither false (0) nor true (1)")
    return value == 1


def _address(data: bytes, at: int) -> str:
    if data[at : at + 12] != _ADDRESS_PADDING:
        raise Malformed(f"0x{data[at : at + WORD].hex()} is longer than an address")
    return "0x" + data[at + 12 : at + WORD].hex()


def _fixed_bytes(size: int) -> Reader:
    padding = bytes(WORD - size)

    def read(data: bytes, at: int) -> str:
        if data[at + size : at + WORD] != padding:
            raise Malformed(f"0x{data[at : at + WORD].hex()} is longer than {size} bytes")
        return "0x" + data[at : at + size].hex()

    return read


def _length(data: bytes, at: int) -> int:
    if at + WORD > len(data):
        raise Malformed(f"the data ends at byte {len(data)}, before the length")
    return int.from_bytes(data[at : at + WORD], "big")


def _blob(data: bytes, at: int) -> bytes:
    length = _length(data, at)
    start = at + WORD
    end = start + length
    padded = start + (length + WORD - 1) // WORD * WORD
    if padded > len(data):
        raise Malformed(f"{length} bytes are announced and {len(data) - start} are there, padding included")
    if any(data[end:padded]):
        raise Malformed("the padding is not zero")
    return data[start:end]


def _bytes(data: bytes, at: int) -> str:
    return "0x" + _blob(data, at).hex()


def _string(data: bytes, at: int) -> str:
    blob = _blob(data, at)
    try:
        return blob.decode()
    except UnicodeDecodeError:
        return "0x" + blob.hex()


def _target(data: bytes, start: int, at: int, head: int) -> int:
    """Return where the dynamic value is whose offset stands at ``at``, in a head of ``head`` bytes."""
    offset = int.from_bytes(data[at : at + WORD], "big")
    if offset < head or start + offset >= len(data):
        raise Malformed(f"its offset {offset} lies outside of the data")
    return start + offset


def _array(kind: Array) -> Reader:
    read_item, dynamic, each = reader(kind.item), kind.item.dynamic, kind.item.head

    def read(data: bytes, at: int) -> list[Any]:
        if kind.length is None:
            count, start = _length(data, at), at + WORD
        else:
            count, start = kind.length, at
        head = count * each
        if start + head > len(data):
            raise Malformed(f"{count} items are announced, the data ends at byte {len(data)}")
        items = []
        for place in range(start, start + head, each):
            try:
                items.append(read_item(data, _target(data, start, place, head) if dynamic else place))
            except Malformed as error:
                raise error.inside(f"[{len(items)}]") from None
        return items

    return read


def _tuple(kind: Tuple) -> Reader:
    places: list[tuple[str, Reader, bool, int]] = []
    size = 0
    for part in kind.parts:
        places.append((part.name, reader(part.type), part.type.dynamic, size))
        size += part.type.head

    def read(data: bytes, at: int) -> dict[str, Any]:
        if at + size > len(data):
            raise _cut_short(places, len(data) - at)
        values = {}
        name = ""
        try:
            for name, read_part, dynamic, offset in places:
                place = _target(data, at, at + offset, size) if dynamic else at + offset
                values[name] = read_part(data, place)
        except Malformed as error:
            raise error.inside(name) from None
        return values

    return read


def _cut_short(places: Sequence[tuple[str, Reader, bool, int]], available: int) -> Malformed:
    starts = [offset for _, _, _, offset in places[1:]]
    name = next((p[0] for p, end in zip(places, starts, strict=False) if end > available), places[-1][0])
    return Malformed(f"the data ends {max(available, 0)} bytes into what holds it", name)
