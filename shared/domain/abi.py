"""Contract ABI: decoders compiled once per event, from a log to document-ready values.

Specification: Solidity's "Contract ABI Specification". Integers whose type can pass 2^63-1 become
decimal strings, narrower ones stay ``int``; addresses are lower-case; bytes are 0x hex; a string that is
not UTF-8 becomes 0x hex, so that nothing is lost.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from shared.domain.hashing import keccak_256
from shared.errors import ConfigError, UndecodableLog

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

WORD: Final = 32
_ARRAY: Final = re.compile(r"^(.*)\[(\d*)\]$")
_INTEGER: Final = re.compile(r"^(u?)int(\d*)$")
_BYTES: Final = re.compile(r"^bytes(\d+)$")
_SAFE_BITS: Final = 63
_MAX_BITS: Final = 256


@dataclass(frozen=True, slots=True)
class Decoder:
    """Decodes one type: ``read(data, at)`` at byte offset ``at``; ``size`` bytes if static, else None."""

    name: str
    size: int | None
    read: Callable[[bytes, int, str], Any]

    @property
    def head(self) -> int:
        """The bytes that the type takes in the head of what contains it."""
        return WORD if self.size is None else self.size


def canonical_type(argument: Mapping[str, Any]) -> str:
    """Return the type as it stands in a signature, tuples spelled out."""
    kind = str(argument["type"])
    if not kind.startswith("tuple"):
        return kind
    parts = ",".join(canonical_type(component) for component in argument["components"])
    return f"({parts}){kind.removeprefix('tuple')}"


def signature(entry: Mapping[str, Any]) -> str:
    """Return the signature of an ABI function or event, such as ``mintTokens(bytes32)``."""
    return f"{entry['name']}({','.join(canonical_type(a) for a in entry.get('inputs', ()))})"


def selector(entry: Mapping[str, Any]) -> bytes:
    """Return the four bytes by which calldata names a function."""
    return keccak_256(signature(entry).encode())[:4]


def _word(data: bytes, at: int, name: str) -> bytes:
    word = data[at : at + WORD]
    if len(word) != WORD:
        raise UndecodableLog(f"argument {name}: the data ends at byte {len(data)}, {at + WORD} are needed")
    return word


def _number(data: bytes, at: int, name: str) -> int:
    return int.from_bytes(_word(data, at, name))


def _integer(bits: int, *, signed: bool) -> Callable[[bytes, int, str], int | str]:
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    wide = bits > _SAFE_BITS + signed

    def read(data: bytes, at: int, name: str) -> int | str:
        value = int.from_bytes(_word(data, at, name), signed=signed)
        if not low <= value <= high:
            raise UndecodableLog(f"argument {name}: {value} does not fit {bits} bits")
        return str(value) if wide else value

    return read


def _bool(data: bytes, at: int, name: str) -> bool:
    value = _number(data, at, name)
    if value > 1:
        raise UndecodableLog(f"argument {name}: {value} is no bool")
    return value == 1


def _address(data: bytes, at: int, name: str) -> str:
    word = _word(data, at, name)
    if any(word[:12]):
        raise UndecodableLog(f"argument {name}: 0x{word.hex()} is no address")
    return "0x" + word[12:].hex()


def _fixed_bytes(size: int) -> Callable[[bytes, int, str], str]:
    def read(data: bytes, at: int, name: str) -> str:
        word = _word(data, at, name)
        if any(word[size:]):
            raise UndecodableLog(f"argument {name}: 0x{word.hex()} is longer than {size} bytes")
        return "0x" + word[:size].hex()

    return read


def _blob(data: bytes, at: int, name: str) -> bytes:
    length = _number(data, at, name)
    start = at + WORD
    if start + length > len(data):
        raise UndecodableLog(f"argument {name}: {length} bytes are announced, {len(data) - start} are there")
    return data[start : start + length]


def _bytes(data: bytes, at: int, name: str) -> str:
    return "0x" + _blob(data, at, name).hex()


def _string(data: bytes, at: int, name: str) -> str:
    blob = _blob(data, at, name)
    try:
        return blob.decode()
    except UnicodeDecodeError:
        return "0x" + blob.hex()


_ELEMENTARY: Final = {
    "bool": Decoder("bool", WORD, _bool),
    "address": Decoder("address", WORD, _address),
    "bytes": Decoder("bytes", None, _bytes),
    "string": Decoder("string", None, _string),
    "function": Decoder("function", WORD, _fixed_bytes(24)),
}


def compile_type(argument: Mapping[str, Any]) -> Decoder:
    """Return the decoder of an ABI argument; ConfigError for a type that the ABI does not know."""
    kind = str(argument["type"])
    if array := _ARRAY.match(kind):
        return _array(compile_type({**argument, "type": array[1]}), kind, array[2])
    if kind == "tuple":
        components = argument["components"]
        named = bool(components) and all(component.get("name") for component in components)
        return _tuple([(c.get("name", ""), compile_type(c)) for c in components], named=named)
    if kind in _ELEMENTARY:
        return _ELEMENTARY[kind]
    if integer := _INTEGER.match(kind):
        bits = int(integer[2] or _MAX_BITS)
        if bits % 8 == 0 and 0 < bits <= _MAX_BITS:
            return Decoder(kind, WORD, _integer(bits, signed=not integer[1]))
    if (size := _BYTES.match(kind)) and 0 < int(size[1]) <= WORD:
        return Decoder(kind, WORD, _fixed_bytes(int(size[1])))
    raise ConfigError(f"ABI type {kind!r} is not known")


def _array(item: Decoder, kind: str, length: str) -> Decoder:
    def items(data: bytes, at: int, name: str, count: int) -> list[Any]:
        if at + count * item.head > len(data):
            raise UndecodableLog(f"argument {name}: {count} items are announced, the data ends before them")
        return [_member(item, data, at, at + i * item.head, f"{name}[{i}]") for i in range(count)]

    if not length:
        return Decoder(kind, None, lambda d, at, n: items(d, at + WORD, n, _number(d, at, n)))
    count = int(length)
    size = None if item.size is None else item.size * count
    return Decoder(kind, size, lambda d, at, n: items(d, at, n, count))


def _tuple(members: Sequence[tuple[str, Decoder]], *, named: bool) -> Decoder:
    places, at = [], 0
    for name, member in members:
        places.append((name, member, at))
        at += member.head
    size = None if any(member.size is None for _, member in members) else at

    def read(data: bytes, start: int, name: str) -> Any:
        values = [
            (key, _member(member, data, start, start + offset, f"{name}.{key}".lstrip(".")))
            for key, member, offset in places
        ]
        return dict(values) if named else [value for _, value in values]

    return Decoder("tuple", size, read)


def _member(member: Decoder, data: bytes, start: int, at: int, name: str) -> Any:
    """Read a member of an array or tuple that begins at ``start``; a dynamic one is found by its offset."""
    if member.size is not None:
        return member.read(data, at, name)
    offset = _number(data, at, name)
    if start + offset + WORD > len(data):
        raise UndecodableLog(f"argument {name}: its offset {offset} lies outside the data")
    return member.read(data, start + offset, name)


def unhex(value: object, field: str) -> bytes:
    """Return the bytes of 0x hex; UndecodableLog names the field that is not."""
    if isinstance(value, str) and value.startswith("0x"):
        try:
            return bytes.fromhex(value[2:])
        except ValueError:
            pass
    raise UndecodableLog(f"log field {field} is not hex: {value!r}")


@dataclass(frozen=True, slots=True)
class EventDecoder:
    """One ABI event: ``topic0`` and a decoder for the other topics and the data."""

    name: str
    signature: str
    topic0: str
    arguments: tuple[str, ...]
    indexed: tuple[tuple[str, Decoder], ...]
    body: Decoder

    def decode(self, topics: Sequence[str], data: str) -> dict[str, Any]:
        """Return every argument by name; an indexed dynamic one is its 0x hash, all that the log keeps.

        Raises UndecodableLog naming the argument.
        """
        if len(topics) != len(self.indexed) + 1:
            raise UndecodableLog(f"{self.name} has {len(self.indexed) + 1} topics, the log {len(topics)}")
        values = {
            name: decoder.read(unhex(topic, name), 0, name)
            for (name, decoder), topic in zip(self.indexed, topics[1:], strict=True)
        }
        values.update(self.body.read(unhex(data, "data"), 0, ""))
        return values


def compile_event(entry: Mapping[str, Any]) -> EventDecoder:
    """Compile an ABI event; ConfigError where it is anonymous or an argument has no name."""
    inputs = entry.get("inputs", ())
    if entry.get("anonymous") or not all(argument.get("name") for argument in inputs):
        raise ConfigError(f"event {entry.get('name')!r} is anonymous or has an argument without a name")
    hashed = Decoder("hash", WORD, _fixed_bytes(WORD))
    indexed = []
    for argument in inputs:
        decoder = compile_type(argument)
        if argument.get("indexed"):
            plain = decoder.size == WORD and not argument["type"].startswith("tuple")
            indexed.append((argument["name"], decoder if plain else hashed))
    body = [(a["name"], compile_type(a)) for a in inputs if not a.get("indexed")]
    spelled = signature(entry)
    return EventDecoder(
        entry["name"], spelled, "0x" + keccak_256(spelled.encode()).hex(),
        tuple(a["name"] for a in inputs), tuple(indexed), _tuple(body, named=True),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Function:
    """One ABI function, for reads of one static argument and for reading calldata."""

    signature: str
    selector: bytes
    inputs: Decoder
    outputs: Decoder

    def call(self, *words: str) -> bytes:
        """Return calldata for arguments of one word each, given as 0x hex, padded on the left."""
        return self.selector + b"".join(bytes.fromhex(word[2:]).rjust(WORD, b"\0") for word in words)

    def arguments(self, calldata: bytes) -> dict[str, Any] | None:
        """Return the named arguments of a call of this function, None for calldata of another."""
        if calldata[:4] != self.selector:
            return None
        values = self.inputs.read(calldata[4:], 0, "")
        return values if isinstance(values, dict) else None

    def result(self, data: bytes) -> list[Any]:
        """Return the values that a call returned; UndecodableLog where it returned too little."""
        values = self.outputs.read(data, 0, "result")
        return list(values)


def compile_function(entry: Mapping[str, Any]) -> Function:
    """Compile an ABI function."""
    inputs = [(a.get("name", ""), compile_type(a)) for a in entry.get("inputs", ())]
    outputs = [("", compile_type(a)) for a in entry.get("outputs", ())]
    named = bool(inputs) and all(name for name, _ in inputs)
    return Function(
        signature(entry), selector(entry), _tuple(inputs, named=named), _tuple(outputs, named=False)
    )
