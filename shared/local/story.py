"""The story that demo and tests tell: transfers live, things go wrong, and what must come out straight.

It plays the application, the wallets and the mishaps; it never plays Plumbline.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from shared.domain.events import EVENTS
from shared.domain.hashing import transfer_hash
from shared.domain.state import STATES
from shared.domain.transfers import MAPPINGS
from shared.local import chain_control
from shared.local.escrow import calldata
from shared.local.story_cast import LEVEL_NAMES, Standing, Transfer, address_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from shared.domain.events import Event
    from shared.local.story_cast import Stage
    from shared.ports import Document

CUSTODIANS: Final = "custodians"
_WITHIN_S: Final = 30.0
_LOOK_S: Final = 0.02


class Story:
    """Tells the story in four parts: ``begin``, ``live``, ``drift`` and ``resume``, in this order."""

    def __init__(self, stage: Stage, prefix: str = "T-") -> None:
        self._stage = stage
        self.transfers: Mapping[str, Transfer] = {
            name: Transfer(prefix + name, level, fate)
            for name, level, fate in (
                ("level-3", 3, "both custodians tokenise: executed and minted in one transaction"),
                ("level-2", 2, "settles off chain: the contract goes to 8 without a mint"),
                ("level-1", 1, "the contract stops at 5"),
                ("dropped", 3, "a reorg takes its financial details back"),
                ("re-mined", 3, "a reorg mines the same transaction in another block"),
                ("missed", 3, "goes on while the listener is stopped"),
                ("deleted", 3, "somebody deletes one of its events"),
                ("premature", 3, "the application says executed, the contract does not"),
                ("outside", 1, "executed from a wallet that the application does not know"),
                ("unmapped", 3, "the application never wrote its mapping"),
            )
        }

    # The parts.

    def begin(self) -> None:
        """Set up the custodians, on chain and in the store, and start every transfer."""
        for level, name in LEVEL_NAMES.items():
            for custodian in (f"{name}-bank", f"{name}-trust"):
                address = address_of(custodian)
                self._stage.escrow.set_custodian_level(address, level)
                self._stage.documents.put(CUSTODIANS, custodian, {"walletAddress": address, "level": level})
        for name, transfer in self.transfers.items():
            self._write(transfer, "rollover.started")
            self._write(transfer, "rollover.acknowledged", user=transfer.destination)
            if name != "unmapped":
                mapping = {"transferId": transfer.transfer_id}
                self._stage.documents.create(MAPPINGS, transfer_hash(transfer.transfer_id), mapping)

    def live(self) -> None:
        """Let every transfer take its first steps while the listener follows, two reorgs among them."""
        tell, escrow = self._stage.tell, self._stage.escrow
        for name, transfer in self.transfers.items():
            self._agree(transfer)
            if name not in ("unmapped", "dropped", "re-mined"):
                escrow.provide_financial_details(transfer.transfer_id)
        tell("Ten transfers are agreed by both custodians; seven have their financial details on chain.")
        for name in ("level-3", "level-2", "level-1", "deleted"):
            escrow.execute_transfer(self.transfers[name].transfer_id)
        escrow.burn_tokens(self.transfers["level-3"].transfer_id)
        tell("A level-3 pair executed, minted and burned; a level-2 and a level-1 pair executed.")
        for kind in ("settlement.funds_sent", "settlement.funds_received"):
            self._write(self.transfers["level-2"], kind)
        self.await_straight(*(name for name in self.transfers if name != "unmapped"))
        self.await_state(lambda: self._bare_state() is not None, "the unmapped transfer's events")
        tell("Every log has become one event, every event has moved one state. Two reorgs now.")
        self._drop()
        self._mine_again()
        chain_control.set_clock(escrow.rpc, int(self._stage.clock.now().timestamp()))
        tell("One transaction is gone, one stands in another block: both states followed.")

    def drift(self) -> None:
        """Stop the listener and let chain and database come apart, each mishap on a transfer of its own."""
        stage, tell = self._stage, self._stage.tell
        stage.hold_listener()
        tell("The listener is stopped.")
        missed, deleted = self.transfers["missed"], self.transfers["deleted"]
        stage.escrow.execute_transfer(missed.transfer_id)
        stage.escrow.burn_tokens(missed.transfer_id)
        tell(f"{missed.transfer_id} is executed, minted and burned meanwhile.")
        executed = self.state_of(deleted)["milestones"]["executed"]
        stage.documents.delete(EVENTS, executed["eventId"])
        tell(f"Somebody deletes the event that proves the execution of {deleted.transfer_id}.")
        premature = self.transfers["premature"]
        self._write(premature, "blockchain.v5.executed", data={"note": "written before the transaction"})
        self.await_state(lambda: self.state_of(premature)["contractState"] == 5, "the premature event")  # noqa: PLR2004
        tell(f"The application records that {premature.transfer_id} is executed. It is not.")
        outside, wallet = self.transfers["outside"], stage.escrow.rpc.call("eth_accounts")[5]
        stage.escrow.transact(calldata.execute_transfer(outside.transfer_id), account=wallet)
        tell(f"A wallet that nobody knows executes {outside.transfer_id}.")

    def resume(self) -> None:
        """Let the listener go on, and wait until it has told of a step taken after it came back."""
        self._stage.release_listener()
        dropped = self.transfers["dropped"]
        self._stage.escrow.provide_financial_details(dropped.transfer_id)
        self.await_straight("dropped")
        self._stage.tell("The listener is back; what it had missed was there already, so nothing came twice.")

    # What is asked of it.

    def standings(self) -> list[Standing]:
        """Return how every transfer stands."""
        return [self._standing(transfer) for transfer in self.transfers.values()]

    def faults(self) -> list[str]:
        """Return what is not as it must be once all is reconciled; nothing, if all is well."""
        found = [
            f"{standing.transfer.transfer_id}: the database is not at {standing.contract_state}"
            for standing in self.standings()
            if not standing.straight
        ]
        steps = {name: self.state_of(transfer)["milestones"] for name, transfer in self.transfers.items()}
        mint, execution = steps["level-3"].get("minted"), steps["level-3"].get("executed")
        if not (mint and execution and mint["transactionHash"] == execution["transactionHash"]):
            found.append("level-3: execution and mint are not proved by one transaction")
        if {"minted", "burned"} & steps["level-2"].keys():
            found.append("level-2: a mint or a burn was invented")
        invented = [
            f"{name}: {step} is proved by {milestone['proof']}"
            for name, milestones in steps.items()
            for step, milestone in milestones.items()
            if milestone["proof"] == "contract_state"
        ]
        statuses = {"level-3": "completed", "level-2": "completed", "level-1": "awaiting_funds"}
        found += [
            f"{name}: status {self.state_of(self.transfers[name])['status']}, not {status}"
            for name, status in statuses.items()
            if self.state_of(self.transfers[name])["status"] != status
        ]
        return found + invented

    def state_of(self, transfer: Transfer) -> Document:
        """Return the transfer's state document, empty milestones if there is none."""
        return self._stage.documents.get(STATES, transfer.transfer_id) or {
            "contractState": None, "milestones": {}, "status": None
        }  # fmt: skip

    def await_straight(self, *names: str) -> None:
        """Wait until the database says what the contract says of these transfers."""
        wanted = [self.transfers[name] for name in names]
        self.await_state(lambda: all(self._standing(each).straight for each in wanted), ", ".join(names))

    def await_state(self, reached: Callable[[], bool], what: str) -> None:
        """Wait for a condition; raises TimeoutError, saying what was waited for."""
        deadline = time.monotonic() + _WITHIN_S
        while not reached():
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {_WITHIN_S:.0f} s: {what}")
            time.sleep(_LOOK_S)

    # Its hands.

    def _standing(self, transfer: Transfer) -> Standing:
        number = self._stage.escrow.get_transfer_state(transfer.transfer_id)
        return Standing(transfer, number, self._stage.documents.get(STATES, transfer.transfer_id))

    def _bare_state(self) -> Document | None:
        bare = transfer_hash(self.transfers["unmapped"].transfer_id)
        state = self._stage.documents.get(STATES, bare)
        return state if state and state["contractState"] == 3 else None  # noqa: PLR2004 - both agreed

    def _agree(self, transfer: Transfer) -> None:
        self._stage.escrow.agree_send(transfer.transfer_id, transfer.parties)
        self._stage.escrow.agree_receive(transfer.transfer_id, transfer.parties)

    def _drop(self) -> None:
        """Take back the block of a transaction whose event is known by then."""
        transfer, escrow = self.transfers["dropped"], self._stage.escrow
        escrow.provide_financial_details(transfer.transfer_id)
        self.await_straight("dropped")
        chain_control.reorg(escrow.rpc, 1)
        self.await_straight("dropped")

    def _mine_again(self) -> None:
        """Mine a transaction whose event is known by then once more, a block later."""
        transfer, escrow = self.transfers["re-mined"], self._stage.escrow
        receipt = escrow.provide_financial_details(transfer.transfer_id)
        again = chain_control.mine(escrow.rpc)
        self.await_straight("re-mined")
        raw = chain_control.raw_transaction(escrow.rpc, receipt["transactionHash"])
        chain_control.reorg(escrow.rpc, 2, [(raw, 1)])

        def moved() -> bool:
            known = self.state_of(transfer)["milestones"].get("financial", {})
            return bool(known.get("blockNumber") == again)

        self.await_state(moved, "the event of the transaction in its new block")

    def _write(
        self, transfer: Transfer, kind: str, *, user: str = "", data: Mapping[str, Any] | None = None
    ) -> None:
        """Append an event as the application does."""
        event: Event = {
            "eventId": f"{transfer.transfer_id}-{kind}",
            "eventType": kind,
            "rolloverId": transfer.transfer_id,
            "timestamp": self._stage.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
            "userId": user or transfer.source,
            "custodianId": user or transfer.source,
            "ipAddress": "127.0.0.1",
            "sessionId": "story",
            "correlationId": transfer.transfer_id,
            "sourceCustodianId": transfer.source,
            "destinationCustodianId": transfer.destination,
            "participants": sorted((transfer.source, transfer.destination)),
            "data": dict(data or {}),
            "metadata": {"source": "application", "version": "1"},
        }
        self._stage.event_log.append(event)
