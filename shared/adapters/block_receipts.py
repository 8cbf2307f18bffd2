"""The receipts of one block, read strictly from endpoints that serve them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from shared.adapters.ethereum_shapes import read_hash, read_hex
from shared.adapters.json_rpc_failures import METHOD_NOT_FOUND, CallRefused, NotThere
from shared.errors import ChainUnavailable, DoubtfulAnswer, RateLimited
from shared.ports import Spent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from shared.adapters.json_rpc import JsonRpcEndpoint
    from shared.domain.blocks import Header
    from shared.ports import RawLog

_METHOD: Final = "eth_getBlockReceipts"
# EIP-1474: not found, not supported, parameters (a hash) not taken; HTTP statuses that came without JSON.
_UNKNOWN_METHOD: Final = (METHOD_NOT_FOUND, -32004, -32602, 400, 405)
_UNKNOWN_METHOD_TEXT: Final = re.compile(
    rf"(?:method|{_METHOD})\b.{{0,80}}\b(?:not|isn't|unsupported|disabled|unavailable|blocked|restricted)\b"
    r"|(?:unknown|unsupported|unrecogni[sz]ed|invalid|no such) (?:rpc )?method|upgrade|whitelist",
    re.IGNORECASE,
)
_WITHOUT_S: Final = 10.0
"""Short: one of several nodes behind a name may be the odd one, and without receipts a lie may stand."""
_PERHAPS_WITHOUT_S: Final = 60.0
_FAILURES: Final = 3
_FAILING_S: Final = 1.5  # longer than one read is tried for
_ADDRESS_DIGITS: Final = 42


class BlockReceipts:
    """Asks endpoints for receipts, and keeps in mind for a while which ones do not serve them."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._without_until: dict[str, float] = {}
        self._failures: dict[str, tuple[int, float]] = {}

    def read(self, endpoint: JsonRpcEndpoint, header: Header) -> list[Mapping[str, Any]] | None:
        """Return the block's receipts, or None where the endpoint does not serve receipts.

        None as well from the third failure in a row, if it has failed for a while: ``does_without`` then says
        that it serves other reads.
        Raises as ``read_receipts`` does, and RateLimited.
        """
        if self._monotonic() < self._without_until.get(endpoint.name, float("-inf")):
            return None
        try:
            answer = endpoint.call(_METHOD, [header.hash])
        except RateLimited:
            raise
        except ChainUnavailable as error:
            if isinstance(error, CallRefused) and _is_unknown_method(error):
                self._without_until[endpoint.name] = self._monotonic() + _WITHOUT_S
                return None
            failures, since = self._failures.get(endpoint.name, (0, self._monotonic()))
            self._failures[endpoint.name] = (failures + 1, since)
            if not self._fails(endpoint.name):
                raise
            return None
        self._failures.pop(endpoint.name, None)
        return read_receipts(answer, header)

    def does_without(self, endpoint: JsonRpcEndpoint) -> None:
        """Take note that the endpoint answered another question where ``read`` returned None."""
        if self._fails(endpoint.name):
            # Whatever it says (a time-out, HTTP 403), it does not serve receipts.
            self._without_until[endpoint.name] = self._monotonic() + _PERHAPS_WITHOUT_S
        self._failures.pop(endpoint.name, None)

    def _fails(self, name: str) -> bool:
        failures, since = self._failures.get(name, (0, 0.0))
        return failures >= _FAILURES and self._monotonic() - since >= _FAILING_S


def read_receipts(answer: Any, header: Header) -> list[Mapping[str, Any]]:
    """Return the receipts as they are, after proof that each is of this block, and its logs of it.

    Raises NotThere where the node does not know the block, DoubtfulAnswer where a receipt is
    missing, out of order, of another block, or at odds with its logs.
    """
    if answer is None:
        raise NotThere(f"the node does not know block {header.hash}")
    if not isinstance(answer, list):
        raise DoubtfulAnswer("the answer is not a list of receipts")
    seen = set()
    try:
        for i, receipt in enumerate(answer):
            name = read_hash(receipt["transactionHash"], "transactionHash")
            if name in seen:
                raise DoubtfulAnswer(f"two receipts of transaction {name}")
            seen.add(name)
            _check_place(receipt, header, name, i)
            if len(receipt["from"]) != _ADDRESS_DIGITS:
                raise DoubtfulAnswer(f"a receipt of transaction {name} without a sender")
            for log in receipt["logs"]:
                if log.get("removed"):
                    raise DoubtfulAnswer(f"a removed log in a receipt of block {header.hash}")
                _check_place(log, header, name, i)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DoubtfulAnswer(f"a receipt that is not whole: {type(error).__name__} {error}") from error
    return answer


def logs_of(receipts: Sequence[Mapping[str, Any]]) -> list[RawLog]:
    """Return all logs of the receipts, in order."""
    return [log for receipt in receipts for log in receipt["logs"]]


def spent_in(receipts: Mapping[str, Mapping[str, Any]]) -> dict[str, Spent]:
    """Return what the transactions of these receipts used and paid; those that do not tell it are left out.

    These fields move no milestone, and a chain that spells them in its own way is not to be refused for it.
    """
    found = {}
    for name, receipt in receipts.items():
        used, price, to = (receipt.get(field) for field in ("gasUsed", "effectiveGasPrice", "to"))
        try:
            paid = None if price is None else read_hex(price, "effectiveGasPrice")
            found[name] = Spent(to.lower() if isinstance(to, str) else None, read_hex(used, "gasUsed"), paid)
        except ChainUnavailable:
            continue
    return found


def numbered_through(receipts: Sequence[Mapping[str, Any]]) -> bool:
    """Say whether the logs are numbered from 0 through the block, as the execution API wants it."""
    return all(read_hex(log.get("logIndex"), "logIndex") == i for i, log in enumerate(logs_of(receipts)))


def counted_through(receipts: Sequence[Mapping[str, Any]]) -> list[RawLog]:
    """Return all logs of the receipts, numbered from 0 through the block whatever their numbers are."""
    return [{**log, "logIndex": hex(i)} for i, log in enumerate(logs_of(receipts))]


def numbered_each(receipts: Sequence[Mapping[str, Any]]) -> bool:
    """Say whether the logs are numbered from 0 in each transaction, as some chains do."""
    return all(
        read_hex(log.get("logIndex"), "logIndex") == i
        for receipt in receipts
        for i, log in enumerate(receipt["logs"])
    )


def _check_place(item: Mapping[str, Any], header: Header, transaction: str, index: int) -> None:
    place = (
        read_hash(item["blockHash"], "blockHash"),
        int(item["blockNumber"], 16),
        read_hash(item["transactionHash"], "transactionHash"),
        int(item["transactionIndex"], 16),
    )
    if place != (header.hash, header.number, transaction, index):
        raise DoubtfulAnswer(f"block {header.hash}: what should be at {index} is at {place}")


def _is_unknown_method(error: CallRefused) -> bool:
    # Our own message names the method in front of what the endpoint said.
    said = str(error).rpartition(f"error {error.number}: ")[2]
    return error.number in _UNKNOWN_METHOD or _UNKNOWN_METHOD_TEXT.search(said) is not None
