"""What one batch of questions to a node tells of fees, as the node says it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.domain.blocks import Header


class FeeHead(NamedTuple):
    """The latest header with its fee fields, in wei and gas; ``base_fee_wei`` None: a legacy chain."""

    header: Header
    base_fee_wei: int | None
    gas_used: int
    gas_limit: int
    extra_data: bytes = b""
    blob_gas_used: int | None = None


class FeeHistory(NamedTuple):
    """An answer of `eth_feeHistory`: one entry in each field for each block from ``oldest`` on.

    ``base_fees_wei`` holds one more: that of the next block, as the node reckons it. ``uses``: gas used as a
    share of the gas limit. ``tips``: by percentile of gas; empty for a block without transactions, of which
    nodes say 0.
    """

    oldest: int
    base_fees_wei: tuple[int, ...]
    uses: tuple[float, ...]
    tips: tuple[Mapping[float, int], ...]

    def base_fee_of(self, number: int) -> int | None:
        """Return a block's base fee in wei, that of the next one included; None of blocks beyond."""
        at = number - self.oldest
        return self.base_fees_wei[at] if 0 <= at < len(self.base_fees_wei) else None

    @property
    def newest(self) -> int:
        """The last block that it tells of."""
        return self.oldest + len(self.uses) - 1


class GasQuestion(NamedTuple):
    """A call whose gas is asked for; ``sender`` None: the node's choice. ``l1``: ask for its L1 part, too."""

    to: str
    data: bytes
    sender: str | None = None
    l1: bool = False


class GasAnswer(NamedTuple):
    """What the node says to it: the ``gas``, or the ``revert`` data, or in ``refused`` why it does not tell.

    ``l1_gas``: the part of ``gas`` that pays for data on L1 (Arbitrum), None where it is not known.
    """

    gas: int | None = None
    revert: bytes | None = None
    refused: str | None = None
    l1_gas: int | None = None


class FeeReading(NamedTuple):
    """Everything that was asked at one head; None for what the node does not tell.

    ``node_tip_wei``: `eth_maxPriorityFeePerGas`; ``gas_price_wei``: `eth_gasPrice`; ``pending``: transactions
    that could go into a block (`txpool_status`).
    """

    head: FeeHead
    history: FeeHistory | None
    node_tip_wei: int | None
    gas_price_wei: int | None
    pending: int | None
    gas: Mapping[GasQuestion, GasAnswer]
