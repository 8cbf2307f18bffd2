"""A contract version as Plumbline knows it: which of its logs means which step, and how it is read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from shared.domain.lifecycle import STEPS, ContractState
from shared.errors import InvalidInput, UndecodableLog

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shared.domain.abi import EventDecoder, FunctionCodec
    from shared.domain.actions import ActionRule


@dataclass(frozen=True, slots=True)
class Finality:
    """When a block counts as final: the node's ``tag``, or a ``depth`` in blocks below the latest."""

    tag: str | None = None
    depth: int | None = None


@dataclass(frozen=True, slots=True)
class Levels:
    """Where the application keeps custodians, and what the contract's level numbers are called there."""

    names: Mapping[int, str]
    collection: str
    address_field: str
    level_field: str

    def same(self, stored: object, actual: int) -> bool:
        """Say whether what the database has, a number or a name, means the contract's level."""
        if isinstance(stored, str):
            return stored in (str(actual), self.names.get(actual))
        return stored == actual and not isinstance(stored, bool)


class DecodedLog(NamedTuple):
    """What a log says: the lifecycle step, the transfer, and the step's fields."""

    step: str
    transfer_hash: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class LogRule:
    """One mapped event: ``step`` for every log of it, or the step chosen by the value of ``by``.

    ``fields`` gives each step's field the ABI argument that holds it; ``parts`` pairs, where one of the two
    is inside something, the path of the field with that of the argument.
    """

    decoder: EventDecoder
    transfer: str
    step: str | None
    by: str | None
    steps: Mapping[str, str]
    fields: Mapping[str, Mapping[str, str]]
    parts: Mapping[str, Sequence[tuple[tuple[str, ...], tuple[str, ...]]]]

    @property
    def targets(self) -> frozenset[str]:
        """The steps that a log of this event can mean."""
        return frozenset(self.steps.values()) if self.step is None else frozenset({self.step})

    def read(self, topics: Sequence[str], data: str) -> DecodedLog:
        """Decode a log of this event; UndecodableLog names what is off."""
        arguments = self.decoder.decode(topics, data)
        step = self.step
        if step is None:
            chosen = arguments[str(self.by)]
            key = str(chosen).lower() if isinstance(chosen, bool) else str(chosen)
            step = self.steps.get(key)
            if step is None:
                raise UndecodableLog(f"argument {self.by} of {self.decoder.name} is {key}: no step for it")
        values: dict[str, Any] = dict(STEPS[step].constants)
        for target, source in self.fields[step].items():
            values[target] = arguments[source]
        for path, place in self.parts[step]:
            value: Any = arguments
            for name in place:
                value = value[name]
            inside = values
            for name in path[:-1]:
                inside = inside.setdefault(name, {})
            inside[path[-1]] = value
        return DecodedLog(step, arguments[self.transfer], values)


@dataclass(frozen=True, slots=True)
class Reads:
    """The functions by which the contract is asked; those it does not have are None."""

    state: FunctionCodec
    tokenised: FunctionCodec | None = None
    level: FunctionCodec | None = None


@dataclass(frozen=True)
class ContractSpec:
    """One contract version on one chain; ``address`` is lower-case, ``deployment_block`` its first block."""

    name: str
    version: str
    chain_id: int
    address: str
    deployment_block: int
    finality: Finality
    token_decimals: int
    levels: Levels
    rules: Mapping[str, LogRule]
    unmapped: frozenset[str]
    reads: Reads
    references: Sequence[tuple[FunctionCodec, str]]
    abi: Sequence[Mapping[str, Any]] = field(repr=False)
    actions: Mapping[str, ActionRule] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The name under which states and cursors know this contract."""
        return f"{self.chain_id}:{self.address}"

    def decode(self, log: Mapping[str, Any]) -> DecodedLog | None:
        """Return what a raw log says, None for an event of the ABI that is mapped to no step.

        Raises UndecodableLog for a topic that the ABI does not have, and for malformed data.
        """
        topics = log.get("topics")
        if not isinstance(topics, list) or not topics or not isinstance(topics[0], str):
            raise UndecodableLog(f"log field topics is not a list of hex strings: {topics!r}")
        topic = topics[0].lower()
        rule = self.rules.get(topic)
        if rule is not None:
            return rule.read(topics, log.get("data", "0x"))
        if topic in self.unmapped:
            return None
        raise UndecodableLog(f"topic {topics[0]} is no event of {self.name} {self.version}")

    def topics_of(self, step: str) -> list[str]:
        """Return the first topics of the events that can mean a step."""
        return [topic for topic, rule in self.rules.items() if step in rule.targets]

    @property
    def transfer_topic(self) -> bool:
        """Say whether every mapped event has the transfer hash as its first indexed argument."""
        return all(
            bool(rule.decoder.indexed) and rule.decoder.indexed[0] == rule.transfer
            for rule in self.rules.values()
        )

    def state_call(self, transfer_hash: str) -> bytes:
        """Return the calldata that asks for a transfer's state."""
        return self.reads.state.encode((transfer_hash,))

    def read_state(self, data: bytes) -> ContractState:
        """Return the state; UndecodableLog for no answer, or a number that the lifecycle does not have."""
        number = int(self.reads.state.decode_result(data)[0])
        try:
            return ContractState(number)
        except ValueError as error:
            raise UndecodableLog(f"{self.key} answers state {number}, which the lifecycle lacks") from error

    def tokenised_call(self, transfer_hash: str) -> bytes | None:
        """Return the calldata that asks whether both custodians tokenise; None if it cannot be asked."""
        return None if self.reads.tokenised is None else self.reads.tokenised.encode((transfer_hash,))

    def read_tokenised(self, data: bytes) -> bool:
        """Return whether both custodians tokenise."""
        return self.reads.tokenised is not None and bool(self.reads.tokenised.decode_result(data)[0])

    def level_call(self, custodian: str) -> bytes | None:
        """Return the calldata that asks for a custodian's level; None if it cannot be asked.

        That is so where the contract has no such function, or ``custodian`` is not an address.
        """
        try:
            return None if self.reads.level is None else self.reads.level.encode((custodian.lower(),))
        except InvalidInput:
            return None

    def read_level(self, data: bytes) -> int | None:
        """Return a custodian's level."""
        return None if self.reads.level is None else int(self.reads.level.decode_result(data)[0])

    def sender_reference(self, calldata: bytes) -> str | None:
        """Return the reference that a call of one of the configured functions carries."""
        for function, argument in self.references:
            arguments = function.decode_call(calldata)
            if arguments is not None:
                return str(arguments[argument])
        return None


class Registry:
    """All configured contracts, found by chain id and address; never one in place of another."""

    def __init__(self, contracts: Sequence[ContractSpec]) -> None:
        """Index the contracts, in the order given."""
        self.contracts: tuple[ContractSpec, ...] = tuple(contracts)
        self._by_place = {(spec.chain_id, spec.address): spec for spec in contracts}

    def find(self, chain_id: int, address: str) -> ContractSpec | None:
        """Return the contract at an address, None if it is not configured."""
        return self._by_place.get((chain_id, address.lower()))

    def on_chain(self, chain_id: int) -> list[ContractSpec]:
        """Return the contracts of one chain."""
        return [spec for spec in self.contracts if spec.chain_id == chain_id]

    @property
    def chains(self) -> list[int]:
        """The chain ids that any contract is on."""
        return sorted({spec.chain_id for spec in self.contracts})
