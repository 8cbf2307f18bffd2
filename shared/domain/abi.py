"""Contract ABI: events and functions, each compiled once, between raw bytes and document-ready values.

No dependency: this is imported at every cold start (see docs/decisions/0004-own-abi-decoder.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from shared.domain.abi_read import Malformed, reader
from shared.domain.abi_types import WORD, Elementary, parse_tuple, parse_type
from shared.domain.abi_write import write
from shared.domain.hashing import keccak_256
from shared.errors import InvalidInput, UndecodableLog

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shared.domain.abi_read import Reader
    from shared.domain.abi_types import Tuple

_SELECTOR: Final = 4
_HASH: Final = Elementary("bytes32", "bytesN", WORD)


def signature(entry: Mapping[str, Any]) -> str:
    """Return the signature of an ABI function or event, such as ``mintTokens(bytes32)``."""
    return f"{entry.get('name')}{parse_tuple(entry.get('inputs') or ()).spelling}"


def _unhex(value: object) -> bytes:
    if isinstance(value, str):
        if value[:2] == "0x":
            try:
                data = bytes.fromhex(value[2:])
            except ValueError:
                data = b""
            if 2 * len(data) == len(value) - 2:  # fromhex passes over blanks
                return data
    elif isinstance(value, bytes):
        return value
    raise Malformed(f"{value!r} is not 0x hex")


def _word(topic: object) -> bytes:
    data = _unhex(topic)
    if len(data) != WORD:
        raise Malformed(f"{topic!r} is not {WORD} bytes")
    return data


@dataclass(frozen=True, slots=True)
class EventDecoder:
    """One event of an ABI; ``arguments`` is their types in order, ``indexed`` the names in the topics."""

    name: str
    signature: str
    topic0: str
    arguments: Tuple
    indexed: tuple[str, ...]
    _topics: tuple[Reader, ...]
    _data: Reader

    def decode(self, topics: Sequence[str], data: str | bytes) -> dict[str, Any]:
        """Return every argument by name: tuples as dicts, arrays as lists.

        An indexed argument of more than one word is its 0x hash, all that the log keeps. Bytes after the
        last argument are passed over, as Solidity does. Raises UndecodableLog naming the argument.
        """
        if len(topics) != len(self.indexed) + 1:
            raise UndecodableLog(
                f"{self.name}: the log has {len(topics)} topics, not {len(self.indexed) + 1}"
            )
        values: dict[str, Any] = {}
        argument = "topics[0]"
        try:
            # Whoever chose this decoder by the topic has it spelled as here already.
            if topics[0] != self.topic0 and _word(topics[0]).hex() != self.topic0[2:]:
                raise Malformed(f"{topics[0]} is the topic of another event")  # noqa: TRY301 - named below
            for argument, read, topic in zip(self.indexed, self._topics, topics[1:], strict=True):
                values[argument] = read(_word(topic), 0)
            argument = "data"
            values |= self._data(_unhex(data), 0)
        except Malformed as error:
            raise UndecodableLog(f"{self.name}: argument {error.argument or argument}: {error}") from None
        return values


def compile_event(entry: Mapping[str, Any]) -> EventDecoder:
    """Compile an ABI event; InvalidInput where it is anonymous or has a type that the ABI does not know."""
    if entry.get("anonymous"):
        raise InvalidInput(f"event {entry.get('name')} is anonymous: its logs do not say what they are")
    inputs = entry.get("inputs") or ()
    arguments = parse_tuple(inputs)
    names = [part.name for part in arguments.parts]
    named = [{**argument, "name": name} for argument, name in zip(inputs, names, strict=True)]
    indexed = [argument for argument in named if argument.get("indexed")]
    spelled = f"{entry.get('name')}{arguments.spelling}"
    return EventDecoder(
        name=str(entry.get("name")),
        signature=spelled,
        topic0="0x" + keccak_256(spelled.encode()).hex(),
        arguments=arguments,
        indexed=tuple(argument["name"] for argument in indexed),
        _topics=tuple(_topic_reader(argument) for argument in indexed),
        _data=reader(parse_tuple([argument for argument in named if not argument.get("indexed")])),
    )


def _topic_reader(argument: Mapping[str, Any]) -> Reader:
    kind = parse_type(argument)
    is_value = isinstance(kind, Elementary) and not kind.dynamic
    return reader(kind if is_value else _HASH)


@dataclass(frozen=True, slots=True)
class FunctionCodec:
    """One function of an ABI; ``selector`` is the 0x hex of the four bytes that calldata begins with."""

    name: str
    signature: str
    selector: str
    inputs: Tuple
    outputs: Tuple
    _inputs: Reader
    _outputs: Reader

    def encode(self, arguments: Sequence[Any] | Mapping[str, Any]) -> bytes:
        """Return the calldata of a call, from arguments in order or by name; InvalidInput names the one."""
        try:
            return bytes.fromhex(self.selector[2:]) + write(self.inputs, arguments)
        except Malformed as error:
            raise InvalidInput(f"{self.name}: argument {error.argument}: {error}") from None

    def decode_result(self, data: bytes) -> list[Any]:
        """Return the values of an answer in order; UndecodableLog where it is not what the ABI says."""
        try:
            return list(self._outputs(data, 0).values())
        except Malformed as error:
            raise UndecodableLog(f"{self.name}: answer {error.argument}: {error}") from None

    def decode_call(self, calldata: bytes) -> dict[str, Any] | None:
        """Return the arguments of a call by name; None for a call of another function, or a garbled one."""
        if calldata[:_SELECTOR].hex() != self.selector[2:]:
            return None
        try:
            values: dict[str, Any] = self._inputs(calldata[_SELECTOR:], 0)
        except Malformed:
            return None  # anybody may send anything; what the contract made of it, its logs say
        return values


def compile_function(entry: Mapping[str, Any]) -> FunctionCodec:
    """Compile an ABI function; InvalidInput for a type that the ABI does not know."""
    inputs, outputs = parse_tuple(entry.get("inputs") or ()), parse_tuple(entry.get("outputs") or ())
    spelled = f"{entry.get('name')}{inputs.spelling}"
    return FunctionCodec(
        name=str(entry.get("name")),
        signature=spelled,
        selector="0x" + keccak_256(spelled.encode())[:_SELECTOR].hex(),
        inputs=inputs,
        outputs=outputs,
        _inputs=reader(inputs),
        _outputs=reader(outputs),
    )
