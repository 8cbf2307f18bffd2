"""A message on ``chain-logs``: what the listener says, and what the handler reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson

from shared.domain.limits import SAFE_INTEGER
from shared.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from shared.ports import RawLog

LOGS: Final = "logs"
REMOVED: Final = "removed"
_FRAME_BYTES: Final = 1_000
"""The JSON of a log without its data is smaller: two hashes, an address and at most four topics."""


@dataclass(frozen=True, slots=True)
class LogBatch:
    """A message on ``chain-logs``: raw logs of one chain that appeared, or that a reorg took back.

    ``reorg_counter`` is the chain's at the time of publishing; ``timestamps`` gives the time of each
    block by hash, in seconds since 1970; ``returned`` names blocks that were taken back at a lower counter
    and are canonical again. ``senders`` gives, by transaction hash, who sent it (``from``) and the lowest
    ``logIndex`` of our logs in it, where that is asked for. ``proved`` names what is on file of disputed
    blocks (see ``Disputes``): the logs are proved then, and what else is stored of those blocks is made up.
    """

    kind: str
    chain_id: int
    reorg_counter: int
    logs: Sequence[RawLog]
    timestamps: Mapping[str, int] = field(default_factory=dict)
    returned: Sequence[str] = ()
    senders: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    proved: Sequence[str] = ()

    def encode(self) -> bytes:
        """Return the message's bytes."""
        return orjson.dumps(self.as_dict())

    def as_dict(self) -> dict[str, Any]:
        """Return the message's JSON."""
        told: dict[str, Any] = {
            "kind": self.kind,
            "chainId": self.chain_id,
            "reorgCounter": self.reorg_counter,
            "timestamps": dict(self.timestamps),
            "returned": list(self.returned),
            "senders": dict(self.senders),
            "logs": list(self.logs),
        }
        return told | {"proved": list(self.proved)} if self.proved else told

    @classmethod
    def decode(cls, data: bytes) -> LogBatch:
        """Read a message; InvalidInput names the field that is wrong."""
        try:
            value = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise InvalidInput(f"message is not JSON: {error}") from error
        if not isinstance(value, dict):
            raise InvalidInput("message is not a JSON object")
        for name, kind in (("chainId", int), ("reorgCounter", int), ("timestamps", dict), ("logs", list)):
            if not isinstance(value.get(name), kind) or isinstance(value[name], bool):
                raise InvalidInput(f"message field {name} is missing or not a {kind.__name__}")
        for name in ("chainId", "reorgCounter"):
            if not 0 <= value[name] < SAFE_INTEGER:
                raise InvalidInput(f"message field {name} is out of range: {value[name]}")
        if value.get("kind") not in (LOGS, REMOVED):
            raise InvalidInput(f"message field kind is neither {LOGS} nor {REMOVED}: {value.get('kind')!r}")
        returned = _texts(value, "returned", "block hashes")
        proved = _texts(value, "proved", "keys of disputed blocks")
        senders = value.get("senders", {})
        if not isinstance(senders, dict) or not all(_is_sender(each) for each in senders.values()):
            raise InvalidInput("message field senders is not an object of objects with from and logIndex")
        return cls(
            kind=value["kind"],
            chain_id=value["chainId"],
            reorg_counter=value["reorgCounter"],
            logs=value["logs"],
            timestamps=value["timestamps"],
            returned=returned,
            senders=senders,
            proved=proved,
        )

    def transactions_from(self) -> dict[str, str]:
        """Return the sender of each transaction whose first log is in this message, by its hash.

        The others are told of by the message that has it: one event a transaction, and the same one
        however its logs are cut into messages.
        """
        here = {(str(log.get("transactionHash")), str(log.get("logIndex"))) for log in self._readable()}
        return {
            key.lower(): sender["from"]
            for key, sender in self.senders.items()
            if (key, sender["logIndex"]) in here
        }

    def _readable(self) -> Iterator[RawLog]:
        return (log for log in self.logs if isinstance(log, dict))


def _texts(message: Mapping[str, Any], name: str, what: str) -> list[str]:
    listed = message.get(name, [])
    if not isinstance(listed, list) or not all(isinstance(key, str) for key in listed):
        raise InvalidInput(f"message field {name} is not a list of {what}")
    return listed


def _is_sender(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(value.get(name), str) for name in ("from", "logIndex"))


def cut(logs: Sequence[RawLog], most_logs: int, most_bytes: int) -> Iterator[tuple[int, Sequence[RawLog]]]:
    """Yield the logs in parts of at most so many logs and bytes of JSON, each with the place it begins at.

    One log is never cut, however large.
    """
    begun = size = 0
    for at, log in enumerate(logs):
        weight = _FRAME_BYTES + len(log["data"])
        size += weight
        if at - begun == most_logs or (size > most_bytes and at > begun):
            yield begun, logs[begun:at]
            begun, size = at, weight
    if logs:
        yield begun, logs[begun:]
