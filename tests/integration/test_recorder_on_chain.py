"""The recorder wired as it runs, on a real chain and store: what it writes is what quotes read."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING

from shared.app.doorbell import Doorbell
from shared.bootstrap import Plumbline
from shared.config import Settings
from shared.contracts.template import write_contract_file
from shared.domain.contract import Finality
from shared.domain.fee_record import FEE_HISTORY, GAS_SAMPLES, chunk_rows
from shared.local import chain_control
from shared.local.escrow import calldata
from shared.ports import Query
from tests.support.chain import parties

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from shared.domain.fee_record import FeeRow
    from shared.local.anvil import Anvil
    from shared.local.escrow.client import EscrowClient

CHAIN = 31337
PATIENCE_S = 30


@contextmanager
def listening(anvil: Anvil, escrow: EscrowClient, directory: Path) -> Iterator[Plumbline]:
    """Run a listener of its own, wired from the environment, until the end of the block."""
    file = write_contract_file(directory, CHAIN, escrow.address, 1, Finality(tag="finalized"))
    parts = Plumbline(
        Settings.from_env(
            {
                "PLUMBLINE_STORE": f"sqlite:///{directory / 'store.db'}",
                "PLUMBLINE_CONTRACTS": str(file),
                f"PLUMBLINE_RPC_{CHAIN}": anvil.rpc_url,
                "PLUMBLINE_POLL_S": "0.05",
                "PLUMBLINE_LISTENER_LEASE_S": "1",
                "PLUMBLINE_FEES_31337": "look_s=0",
            }
        )
    )
    bell = Doorbell()
    thread = Thread(target=parts._follow, args=(parts.chain(CHAIN), bell), daemon=True)
    thread.start()
    try:
        yield parts
    finally:
        bell.set()
        thread.join(PATIENCE_S)
        parts.chain(CHAIN).close()
        parts.documents.close()
        parts.bus.close()


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, at most so long."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def rows(parts: Plumbline) -> dict[int, FeeRow]:
    """Return every row that is stored."""
    documents = [document for _, document in parts.documents.query(FEE_HISTORY, Query())]
    return {row.fees.number: row for document in documents for row in chunk_rows(document)}


def true_to(parts: Plumbline, anvil: Anvil) -> bool:
    """Say whether the rows end with the chain's head, and each is of the chain's own block."""
    found, head = rows(parts), chain_control.block_number(anvil.rpc)
    if not found or max(found) != head:
        return False
    blocks = anvil.rpc.batch([("eth_getBlockByNumber", [hex(number), False]) for number in sorted(found)])
    return all(
        (block["hash"], int(block["baseFeePerGas"], 16), int(block["gasUsed"], 16))
        == (row.block_hash, row.fees.base_fee_wei, row.fees.gas_used)
        for block, (_, row) in zip(blocks, sorted(found.items()), strict=True)
    )


def used(parts: Plumbline, escrow: EscrowClient, action: str) -> int:
    """Return how many receipts of an action were learned from."""
    document = parts.documents.get(GAS_SAMPLES, f"{CHAIN}:{escrow.address.lower()}:{action}")
    return 0 if document is None else len(document["samples"].splitlines())


def test_what_is_recorded_is_the_chain_through_reorgs_and_restarts(
    anvil: Anvil, escrow: EscrowClient, tmp_path: Path
) -> None:
    """Rows are those of the chain, live, after a reorg, and after a restart with a reorg meanwhile."""
    with listening(anvil, escrow, tmp_path) as parts:
        for number in range(3):
            escrow.agree_send(f"recorded-{number}", parties(3, 3))
        chain_control.mine(anvil.rpc, 5)
        until(lambda: true_to(parts, anvil))
        with_tips = [row for row in rows(parts).values() if row.fees.tips]
        assert len(with_tips) >= 3
        chain_control.reorg(anvil.rpc, 4)
        until(lambda: true_to(parts, anvil))
    chain_control.reorg(anvil.rpc, 3)
    chain_control.mine(anvil.rpc, 2)
    with listening(anvil, escrow, tmp_path) as parts:
        until(lambda: true_to(parts, anvil))
        assert parts.metrics.exposition().count(b"plumbline_fee_record_failures_total{") == 0


def test_quotes_learn_gas_from_receipts_and_keep_it_over_a_restart(
    anvil: Anvil, escrow: EscrowClient, tmp_path: Path
) -> None:
    """What receipts taught of an action is what quotes know, after a restart too."""
    gas = []
    with listening(anvil, escrow, tmp_path) as parts:
        for number in range(3):
            name, pair = f"learned-{number}", parties(3, 3)
            for data in (
                calldata.agree_send(name, pair),
                calldata.agree_receive(name, pair),
                calldata.provide_financial_details(name),
                calldata.execute_transfer(name),
            ):
                receipt = escrow.wait(escrow.send(data))
            gas.append(int(receipt["gasUsed"], 16))
        until(lambda: used(parts, escrow, "execute_transfer") == 3)
        assert used(parts, escrow, "agree_send") == used(parts, escrow, "agree_receive") == 3
        assert used(parts, escrow, "mint_tokens") == 0
    with listening(anvil, escrow, tmp_path) as parts:
        chain_control.mine(anvil.rpc)
        until(lambda: true_to(parts, anvil))
        use = parts.quote_gas._records.gas(f"{CHAIN}:{escrow.address.lower()}", "execute_transfer")
        assert use is not None
        assert (use.count, use.least, use.most, use.p95) == (3, min(gas), max(gas), max(gas))
        quote = json.loads(parts.quote_gas.answer("action=execute_transfer").body)
        assert quote["records"] == "good"
