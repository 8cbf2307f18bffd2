"""The receipts of one block from endpoints that give none by block: asked for transaction by transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from shared.adapters.block_receipts import read_receipts
from shared.adapters.ethereum_shapes import read_hash
from shared.adapters.json_rpc_failures import CallRefused
from shared.errors import ChainUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from shared.adapters.json_rpc import JsonRpcEndpoint
    from shared.domain.blocks import Header

_MOST: Final = 40
"""Transactions of a block, each a request: more would cost too much where other readings witness as well."""
_REST_S: Final = 60.0


class ReceiptsSingly:
    """Asks for them, and lets those endpoints be for a minute that did not give them whole.

    It makes nothing fail: whoever is given None has other ways to read the block, which prove less.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._rests_until: dict[str, float] = {}

    def read(self, endpoint: JsonRpcEndpoint, header: Header) -> list[Mapping[str, Any]] | None:
        """Return the block's receipts in order; None where it has too many, or the endpoint lacks any."""
        if self._monotonic() < self._rests_until.get(endpoint.name, float("-inf")):
            return None
        try:
            hashes = _transactions(endpoint.call("eth_getBlockByHash", [header.hash, False]))
            if hashes is not None and len(hashes) <= _MOST:
                answers = endpoint.batch([("eth_getTransactionReceipt", [each]) for each in hashes])
                if not any(answer is None or isinstance(answer, CallRefused) for answer in answers):
                    return read_receipts(answers, header)
        except ChainUnavailable:
            pass  # refused, limited, nonsense: the next question shows whether the endpoint is there at all
        self.in_vain(endpoint)
        return None

    def in_vain(self, endpoint: JsonRpcEndpoint) -> None:
        """Take note that they did not prove the block."""
        self._rests_until[endpoint.name] = self._monotonic() + _REST_S


def _transactions(block: Any) -> list[str] | None:
    if not isinstance(block, dict) or not isinstance(block.get("transactions"), list):
        return None
    return [read_hash(each, "transaction") for each in block["transactions"]]
