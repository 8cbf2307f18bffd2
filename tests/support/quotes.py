"""A small world for gas quotes: the escrow on a chain in memory, and the use case over it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from shared.app.quote_gas import QuoteGas
from shared.domain.fee_reading import GasAnswer, GasQuestion
from shared.domain.fee_settings import chain_fees
from tests.support.clock import FakeClock
from tests.support.documents import MemoryDocuments
from tests.support.fake_chain import FakeChain
from tests.support.metrics import MemoryMetrics
from tests.support.world import registry

if TYPE_CHECKING:
    from pathlib import Path

GWEI = 10**9


class QuoteWorld:
    """One escrow on a FakeChain whose blocks come in time with the clock; ``fees`` are chain settings.

    ``estimate`` is what gas questions are answered, ``questions`` lists them.
    """

    def __init__(
        self, directory: Path, chain_id: int = 1, fees: str = "", base_fee_wei: int | None = 10 * GWEI
    ) -> None:
        self.clock = FakeClock()
        self.registry = registry(directory, chain_id)
        self.spec = self.registry.contracts[0]
        self.fees = chain_fees(chain_id, fees)
        self.chain = FakeChain(
            chain_id, genesis_time=int(self.clock.now().timestamp()), base_fee_wei=base_fee_wei
        )
        self.documents = MemoryDocuments()
        self.metrics = MemoryMetrics()
        self.estimate = GasAnswer(gas=70_212)
        self.questions: list[GasQuestion] = []
        self.chain.on_estimate = self._estimate
        self.quotes = self.instance()

    def instance(self, **options: Any) -> QuoteGas:
        """Return another instance on the same chain and store, as after a cold start."""
        return QuoteGas(
            self.registry, lambda _: self.chain, lambda _: self.fees, self.documents, self.clock,
            self.metrics, **options,
        )  # fmt: skip

    def mine(self, blocks: int = 1, *, used: float = 0.5, tip_wei: int | None = GWEI // 10) -> None:
        """Let blocks come, each in its time."""
        for _ in range(blocks):
            self.clock.advance(12)
            self.chain.mine(
                timestamp=int(self.clock.now().timestamp()),
                gas_used=int(used * self.chain.gas_limit),
                tip_wei=tip_wei if used else None,
            )

    def ask(self, **fields: Any) -> dict[str, Any]:
        """Ask for a quote (of agree_send unless told otherwise) and return the document."""
        given = {"action": "agree_send", **fields}
        query = "&".join(f"{name.rstrip('_')}={value}" for name, value in given.items())
        answer: dict[str, Any] = json.loads(self.quotes.answer(query).body)
        return answer

    def _estimate(self, question: GasQuestion) -> GasAnswer:
        self.questions.append(question)
        return self.estimate
