"""Ways to price a transaction that a back-test compares: what libraries and wallets do, and Plumbline's own.

A strategy is asked for a quote time and again; each time it is handed what happened since, one by one, and
nothing else: it cannot look ahead, as what has not happened yet is not in its hands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from shared.app.fee_market import Market, News
from shared.domain.fee_chains import ETHEREUM
from shared.domain.fees import FeeRules, max_fee
from shared.domain.tip_quote import tip_for
from shared.domain.tips import TipModel

if TYPE_CHECKING:
    from collections.abc import Iterator

GWEI: Final = 10**9
WANTED: Final = 0.98
"""Chance of inclusion that Plumbline's strategy wants within the deadline."""


class Price(NamedTuple):
    """What a strategy would put into a transaction, wei; ``tip_wei`` None: the recording has no tips.

    In that case ``max_fee_wei`` is the least that the cap would be.
    """

    max_fee_wei: int
    tip_wei: int | None


class Strategy(Protocol):
    """A way to price; ``source`` says where it is written down."""

    name: str
    source: str

    def price(self, news: Iterator[News], within_blocks: int) -> Price | None:
        """Take in what happened since the last call, then price; None while too little is known."""


class Multiple:
    """The latest base fee times a number, and a tip: the node's suggestion, or a fixed one."""

    def __init__(self, name: str, source: str, percent: int, tip_wei: int | None = None) -> None:
        self.name, self.source = name, source
        self._percent, self._tip_wei, self._market = percent, tip_wei, Market()

    def price(self, news: Iterator[News], within_blocks: int) -> Price | None:  # noqa: ARG002 (they ask for none)
        """Price as the library does, whatever the deadline."""
        self._market.take(news)
        if self._market.latest_fee_wei is None:
            return None
        tip = self._market.node_tip() if self._tip_wei is None else self._tip_wei
        return Price(self._market.latest_fee_wei * self._percent // 100 + (tip or 0), tip)


class MetaMask:
    """A level of MetaMask: the median tip at a percentile of the last 5 blocks, and a floor in gwei."""

    def __init__(self, level: str, percentile: int, percents: tuple[int, int], floor_wei: int) -> None:
        self.name = f"metamask-{level}"
        self.source = (
            "@metamask/gas-fee-controller 13.0.2 (MIT), dist/fetchGasEstimatesViaEthFeeHistory/"
            "calculateGasFeeEstimatesForPriorityLevels.js"
        )
        self._percentile, self._floor_wei, self._market = percentile, floor_wei, Market()
        self._base_percent, self._tip_percent = percents

    def price(self, news: Iterator[News], within_blocks: int) -> Price | None:  # noqa: ARG002 (it asks for none)
        """Price as the controller does, whatever the deadline."""
        self._market.take(news)
        if self._market.latest_fee_wei is None:
            return None
        base = self._market.latest_fee_wei * self._base_percent // 100
        tips = sorted(self._market.tips_at(self._percentile, 5))
        if not tips:
            return Price(base + self._floor_wei, None)
        tip = max(tips[(len(tips) - 1) // 2] * self._tip_percent // 100, self._floor_wei)
        return Price(base + tip, tip)


class Plumbline:
    """The cap that survives the deadline exactly, and the cheapest tip that has the wanted chance."""

    name = "plumbline"
    source = "shared/domain/fees.py and shared/domain/tips.py"

    def __init__(self, rules: FeeRules = ETHEREUM, wanted: float = WANTED) -> None:
        self._rules, self._wanted = rules, wanted
        self._market = Market(rules)
        self._learned: tuple[object, TipModel] | None = None

    def price(self, news: Iterator[News], within_blocks: int) -> Price | None:
        """Price for the deadline."""
        self._market.take(news)
        following = self._market.next_fee_wei
        if following is None:
            return None
        tip = self._tip(following, within_blocks)
        cap = max_fee(self._rules, following, self._market.gas_limit, within_blocks, tip or 0)
        return None if cap is None else Price(cap, tip)

    def _tip(self, following: int, within_blocks: int) -> int | None:
        """Choose the tip; the model is made anew when a block or a transaction came."""
        market = self._market
        newest = market.observations[-1] if market.observations else None
        key = (following, id(newest), market.blocks[-1].number if market.blocks else None)
        if self._learned is None or self._learned[0] != key:
            self._learned = key, TipModel(list(market.observations), list(market.blocks), following)
        model = self._learned[1]
        choice = tip_for(model, following, within_blocks, self._wanted, market.node_tip())
        return None if choice is None else choice.tip_wei


def strategies() -> list[Strategy]:
    """Make every strategy anew, ours first."""
    ethapi = "go-ethereum internal/ethapi/transaction_args.go and eth/gasprice/gasprice.go"
    return [
        Plumbline(),
        Multiple(
            "ethers", "ethers 6.13.5 (MIT), src.ts/providers/abstract-provider.ts, getFeeData", 200, GWEI
        ),
        Multiple("viem", "viem 2.23.9 (MIT), actions/public/estimateFeesPerGas.ts", 120),
        Multiple("web3.py", "web3.py 8.0.0 (MIT), web3/_utils/transactions.py", 200),
        Multiple("geth", ethapi, 200),
        MetaMask("low", 10, (110, 94), GWEI),
        MetaMask("medium", 20, (120, 97), GWEI * 3 // 2),
        MetaMask("high", 30, (125, 98), 2 * GWEI),
    ]
