"""The fee rule of each chain that Plumbline knows, by chain id, with where its numbers are written down."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, NamedTuple

from shared.domain.congestion import CongestionRules
from shared.domain.fees import FeeRules, GrowthRules
from shared.errors import InvalidInput

ETHEREUM: Final = FeeRules(target_of=2, change_denominator=8)
"""EIP-1559: ELASTICITY_MULTIPLIER 2, BASE_FEE_MAX_CHANGE_DENOMINATOR 8; gas limit within 1/1024."""
OP_BEDROCK: Final = FeeRules(target_of=6, change_denominator=50, limit_drift=None)
"""kona-genesis 0.2.4 `params.rs`: OP_MAINNET_EIP1559_DEFAULT_…; op-geth lets the gas limit jump."""
OP_CANYON: Final = FeeRules(target_of=6, change_denominator=250, limit_drift=None)
"""The same, …_CANYON. Since Holocene every header says its own numbers: `rules_of_header`."""
POLYGON_BHILAI: Final = FeeRules(target_of=2, change_denominator=64)
"""Polygon PIP-58 (block 73,440,256): BaseFeeChangeDenominatorPostBhilai 64 (Delhi, PIP-6: 16)."""
POLYGON_DANDELI: Final = FeeRules(target_of=100, target_share=65, change_denominator=64)
"""Bor, block 81,424,000: TargetGasPercentagePostDandeli 65, and the denominator of Bhilai."""
POLYGON_LISOVO: Final = GrowthRules(growth_ppm=50_000, promised=True)
"""Bor after Lisovo: each producer sets its fee, within MaxBaseFeeChangePercent 5: a limit, no exact fee."""
ARBITRUM_ONE: Final = GrowthRules(floor_wei=10_000_000)
"""Arbitrum (Nitro `arbos/l2pricing/model.go`): base fee = minimum · e^(backlog beyond tolerance), by seconds
and not by blocks; several gas targets since ArbOS 51. Its headers do not hold the backlog, so neither the
next base fee nor a worst one follows from them: unknown, unless the most growth observed is set. The minimum
is that of Arbitrum One (ArbGasInfo.getMinimumGasPrice tells the present one)."""
LOCAL: Final = FeeRules(target_of=2, change_denominator=8, limit_drift=None)
"""anvil and hardhat: Ethereum's formula, with a gas limit that can be set at will."""


_CROWDED: Final = CongestionRules()
UNKNOWN_RULE: Final = GrowthRules()
"""Of a chain that is not in the table: neither its next base fee nor its worst one is known."""


class ChainFees(NamedTuple):
    """How fees work on a chain: its rule, whether a tip buys anything there, and how its blocks come.

    ``header_says``: its headers carry their own numbers, and the rule here is only what it once began with.
    ``node_says``: the node may be told another next base fee, and says which. ``tip_wei``: what is paid
    where tips buy nothing. ``block_s``: seconds between blocks (0: they come at any time); ``look_s``: how
    often the head is looked at once the next block is due; ``stale_s``: age of the head past which the node
    is behind (None: never, blocks come when somebody sends). ``l1_in_gas``: part of the gas pays for data on
    L1; ``l1_apart``: that is paid besides, and is in no figure here.
    """

    rules: FeeRules | GrowthRules
    tips: bool = True
    header_says: bool = False
    node_says: bool = False
    tip_wei: int = 0
    block_s: float = 12.0
    look_s: float = 1.0
    stale_s: float | None = 120.0
    l1_in_gas: bool = False
    l1_apart: bool = False
    congestion: CongestionRules = _CROWDED

    @property
    def tips_paid(self) -> bool:
        """Whether a tip costs anything: Arbitrum takes the base fee alone, whatever tip a transaction has.

        Nitro `arbos/tx_processor.go`, `DropTip`. Whoever sets a tip there says that it is taken.
        """
        return self.tips or self.tip_wei > 0


_OP: Final = ChainFees(OP_CANYON, header_says=True, block_s=2, look_s=0.5, stale_s=60, l1_apart=True)
_ARBITRUM: Final = ChainFees(ARBITRUM_ONE, tips=False, block_s=0.25, look_s=0.5, stale_s=60, l1_in_gas=True)
"""A sequencer of Arbitrum makes a block only where there is something to put in: see ``stale_s``."""
UNKNOWN: Final = ChainFees(UNKNOWN_RULE, block_s=1, look_s=0.5)

CHAINS: Final = {
    1: ChainFees(ETHEREUM),
    11155111: ChainFees(ETHEREUM),
    10: _OP,
    8453: _OP,
    137: ChainFees(POLYGON_LISOVO, block_s=2, look_s=0.5, stale_s=60),
    42161: _ARBITRUM,
    42170: _ARBITRUM._replace(stale_s=300),
    421614: _ARBITRUM._replace(stale_s=300),
    31337: ChainFees(LOCAL, node_says=True, block_s=0, look_s=0.1, stale_s=None),
}
"""Rules by chain id. A chain that is not here is unknown: its settings must say."""

_HOLOCENE_BYTES: Final = 9
_JOVIAN_BYTES: Final = 17


def rules_of_header(rules: FeeRules, extra_data: bytes) -> FeeRules:
    """Return the rule by which the block after this OP Stack header is priced, as its extraData says.

    Holocene: version 0, denominator and elasticity of 4 bytes each; Jovian: version 1, and a minimum base fee
    of 8 bytes (op-geth `consensus/misc/eip1559/eip1559.go`). After Jovian, pass as gas used the larger of
    gasUsed and blobGasUsed, which is the footprint of its data there. Raises InvalidInput for other bytes.
    """
    layout = (len(extra_data), extra_data[0] if extra_data else None)
    if layout not in {(_HOLOCENE_BYTES, 0), (_JOVIAN_BYTES, 1)}:
        raise InvalidInput("extra_data is neither of Holocene nor of Jovian")
    denominator, elasticity = (int.from_bytes(extra_data[at : at + 4]) for at in (1, 5))
    if denominator == 0 or elasticity == 0:
        raise InvalidInput("extra_data holds a denominator or an elasticity of 0")
    floor = int.from_bytes(extra_data[_HOLOCENE_BYTES:])
    return replace(
        rules, target_share=1, target_of=elasticity, change_denominator=denominator, floor_wei=floor
    )
