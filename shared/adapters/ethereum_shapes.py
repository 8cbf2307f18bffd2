"""What Ethereum nodes answer, read strictly: an answer of another shape is no answer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from shared.adapters.block_proof import recomputed_hash
from shared.domain.blocks import Header
from shared.domain.bloom import BLOOM_BYTES
from shared.domain.limits import TIME_LIMIT
from shared.errors import ChainUnavailable
from shared.ports import TransactionInfo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.ports import RawLog

_QUANTITY: Final = re.compile(r"0x[0-9a-fA-F]{1,64}")
_HASH_DIGITS: Final = 66
_ADDRESS_DIGITS: Final = 42
_HEIGHT_LIMIT: Final = 1 << 63
_LOG_FIELDS: Final = ("data", "blockHash", "transactionHash", "transactionIndex", "logIndex")


class LogFilter:
    """Which logs are asked for: of these addresses, with one of ``topics[i]`` (None: any) at position i.

    An empty list of addresses or of topics matches nothing, though nodes take it for "any".
    """

    def __init__(self, addresses: Sequence[str], topics: Sequence[Sequence[str] | None] = ()) -> None:
        self.addresses = [address.lower() for address in addresses]
        self.topics = [None if wanted is None else [topic.lower() for topic in wanted] for wanted in topics]
        self._addresses = frozenset(self.addresses)
        self._topics = [(i, frozenset(wanted)) for i, wanted in enumerate(self.topics) if wanted is not None]

    @property
    def matches_nothing(self) -> bool:
        """True where no log can match."""
        return not self._addresses or any(not wanted for _, wanted in self._topics)

    def matches(self, log: RawLog) -> bool:
        """Say whether the log is of those asked for."""
        topics = log["topics"]
        if log["address"].lower() not in self._addresses:
            return False
        return not self._topics or all(
            i < len(topics) and topics[i].lower() in wanted for i, wanted in self._topics
        )


def read_hex(value: Any, name: str) -> int:
    """Return the number of a hex quantity of at most 256 bits."""
    # `int` would take underscores, blanks and the digits of other scripts, too.
    if isinstance(value, str) and _QUANTITY.fullmatch(value):
        return int(value, 16)
    raise ChainUnavailable(f"field {name} is not a hex quantity")


def _read_below(limit: int, value: Any, name: str) -> int:
    number = read_hex(value, name)
    if not 0 <= number < limit:
        raise ChainUnavailable(f"field {name} is {value[:20]}, which cannot be")
    return number


def read_hash(value: Any, name: str) -> str:
    """Return a 32-byte hash in lower case."""
    return _read_digits(value, name, _HASH_DIGITS)


def read_header(block: Any) -> Header | None:
    """Return the header of a block, or None where the node answered null.

    Where its hash cannot be recomputed that is no error here: there are chains whose headers have other
    fields, or other hashes.
    """
    if block is None:
        return None
    block = read_object(block, "block")
    block_hash = read_hash(block.get("hash"), "hash")
    bloom = block.get("logsBloom")
    root = block.get("receiptsRoot")
    return Header(
        number=_read_below(_HEIGHT_LIMIT, block.get("number"), "number"),
        hash=block_hash,
        parent_hash=read_hash(block.get("parentHash"), "parentHash"),
        timestamp=_read_below(TIME_LIMIT, block.get("timestamp"), "timestamp"),
        logs_bloom=None if bloom is None else _read_bloom(bloom),
        receipts_root=None if root is None else read_hash(root, "receiptsRoot"),
        recomputed=recomputed_hash(block) == block_hash,
        base_fee_wei=_read_told(block, "baseFeePerGas"),
        gas_used=_read_told(block, "gasUsed"),
        gas_limit=_read_told(block, "gasLimit"),
    )


def read_transaction(transaction: Any, receipt: Any) -> TransactionInfo | None:
    """Return a transaction with its outcome; ChainUnavailable where the two are not of one block."""
    if transaction is None:
        return None
    transaction = read_object(transaction, "transaction")
    block_hash = number = ok = None
    if transaction.get("blockHash") is not None:
        receipt = read_object(receipt, "receipt")
        block_hash = read_hash(transaction["blockHash"], "blockHash")
        number = read_hex(transaction.get("blockNumber"), "blockNumber")
        ok = read_hex(receipt.get("status"), "status") == 1
        if read_hash(receipt.get("blockHash"), "blockHash") != block_hash:
            raise ChainUnavailable("a transaction and its receipt are of different blocks")
    to = transaction.get("to")
    return TransactionInfo(
        hash=read_hash(transaction.get("hash"), "hash"),
        sender=_read_digits(transaction.get("from"), "from", _ADDRESS_DIGITS),
        to=None if to is None else _read_digits(to, "to", _ADDRESS_DIGITS),
        data=read_bytes(transaction.get("input"), "input"),
        block_number=number,
        block_hash=block_hash,
        ok=ok,
    )


def read_logs(answer: Any, wanted: LogFilter, first: int, last: int) -> list[RawLog]:
    """Return the logs as they are, after proof that each is whole, was asked for, and lies in the range."""
    if not isinstance(answer, list):
        raise ChainUnavailable("the answer is not a list of logs")
    try:
        for log in answer:
            for field in _LOG_FIELDS:
                log[field]
            if not isinstance(log["topics"], list):
                raise ChainUnavailable("a log whose topics are no list")
            if not wanted.matches(log):
                raise ChainUnavailable("a log that was not asked for")
            if not first <= int(log["blockNumber"], 16) <= last:
                raise ChainUnavailable(f"a log of block {log['blockNumber']}, outside {first} to {last}")
    except (TypeError, AttributeError, KeyError, ValueError) as error:
        raise ChainUnavailable(f"a log that is not whole: {type(error).__name__} {error}") from error
    return answer


def read_object(value: Any, name: str) -> dict[str, Any]:
    """Return a JSON object."""
    if not isinstance(value, dict):
        raise ChainUnavailable(f"the {name} is not an object")
    return value


def _read_digits(value: Any, name: str, length: int) -> str:
    if not isinstance(value, str) or len(value) != length:
        raise ChainUnavailable(f"field {name} is not {length - 2} hex digits")
    read_hex(value, name)
    return value.lower()


def _read_told(block: dict[str, Any], name: str) -> int | None:
    value = block.get(name)
    return None if value is None else read_hex(value, name)


def _read_bloom(value: Any) -> bytes | None:
    bloom = read_bytes(value, "logsBloom")
    return bloom if len(bloom) == BLOOM_BYTES else None  # some chains keep none, and say so by "0x"


def read_bytes(value: Any, name: str) -> bytes:
    """Return hex data as bytes."""
    try:
        if isinstance(value, str) and value[:2] == "0x":
            return bytes.fromhex(value[2:])
    except ValueError:
        pass  # told below
    raise ChainUnavailable(f"field {name} is not hex data")
