"""The real call of an action on a transfer, from what is stored of it and what its earlier calls said."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from shared.domain.actions import SENDER, Source
from shared.domain.fee_reading import GasQuestion
from shared.domain.hashing import is_hash, transfer_hash
from shared.domain.transfers import MAPPINGS, STATES, mapped_id
from shared.errors import InvalidInput, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.app.quote_request import QuoteRequest
    from shared.domain.contract import ContractSpec
    from shared.ports import Chain, Document, Documents

_LOG: Final = logging.getLogger("plumbline.quote_gas")
_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}")
_CUSTODIANS: Final = {Source.SENDER: "sourceCustodianId", Source.RECEIVER: "destinationCustodianId"}
_MOST_KEPT: Final = 1000


class ActionCall(NamedTuple):
    """The call whose gas is to be estimated; ``made_up`` names its arguments that are stand-ins.

    ``question`` is None where no call can be made, ``because`` then says why.
    """

    question: GasQuestion | None
    made_up: tuple[str, ...] = ()
    because: str | None = None


class ActionCalls:
    """Makes calls. What an earlier transaction said is read from the chain once, and kept in mind."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._said: dict[str, Mapping[str, Any]] = {}

    def call(self, request: QuoteRequest, chain: Chain, *, l1: bool) -> ActionCall:
        """Return the call; ChainUnavailable where an earlier transaction is needed and cannot be read."""
        spec = request.spec
        if request.data is not None:
            given = GasQuestion(spec.address, request.data, request.sender, l1)
            return ActionCall(given, () if request.sender else (SENDER,))
        rule = spec.actions.get(request.action)
        if rule is None:
            return ActionCall(
                None, because=f"the contract file has no [[actions]] entry for {request.action}"
            )
        if request.transfer is None:
            return ActionCall(None, because="no transfer is named")
        try:
            known = self._known(spec, request.transfer, rule.needed, chain)
        except StoreUnavailable as error:
            _LOG.warning("the call of %s is not known: %s", request.action, error)
            return ActionCall(None, because="the store cannot be read")
        try:
            data, sender, made_up = rule.call(known)
        except InvalidInput as error:
            return ActionCall(None, because=str(error))
        if request.sender is not None and SENDER in made_up:
            made_up.remove(SENDER)
        return ActionCall(GasQuestion(spec.address, data, request.sender or sender, l1), tuple(made_up))

    def _known(self, spec: ContractSpec, transfer: str, needed: set[str], chain: Chain) -> dict[str, Any]:
        key, name = self._names(transfer)
        itself: dict[str, Any] = {Source.TRANSFER_HASH: key}
        if name is not None:
            itself[Source.TRANSFER_ID] = name
        if needed <= set(itself):
            return itself
        known: dict[str, Any] = {}
        found = self._documents.get_many(STATES, [key] if name is None else [name, key])
        state = found.get(name or key) or found.get(key) or {}
        for source, field in _CUSTODIANS.items():
            wallet = self._wallet(spec, state.get(field))
            if wallet is not None:
                known[source] = wallet
        if state.get("contractKey") == spec.key and not needed <= {*known, *itself}:
            milestones = state.get("milestones")
            # A state that somebody edited tells nothing of its milestones, until it is put right.
            for milestone in milestones.values() if isinstance(milestones, dict) else ():
                if isinstance(milestone, dict):
                    known |= self._earlier(spec, milestone.get("transactionHash"), key, chain)
        return {**known, **itself}

    def _names(self, transfer: str) -> tuple[str, str | None]:
        """Return the transfer's hash, and its id where that is known."""
        if not is_hash(transfer):
            return transfer_hash(transfer), transfer
        return transfer, mapped_id(transfer, self._documents.get(MAPPINGS, transfer) or {})

    def _wallet(self, spec: ContractSpec, custodian: object) -> str | None:
        if not isinstance(custodian, str):
            return None
        document: Document = self._documents.get(spec.levels.collection, custodian) or {}
        address = document.get(spec.levels.address_field)
        return address.lower() if isinstance(address, str) and _ADDRESS.fullmatch(address) else None

    def _earlier(
        self, spec: ContractSpec, transaction_hash: object, key: str, chain: Chain
    ) -> Mapping[str, Any]:
        """Return what an earlier call of this transfer said: by source, and by the name of an argument."""
        if not isinstance(transaction_hash, str) or not is_hash(transaction_hash):
            return {}
        said = self._said.get(transaction_hash)
        if said is None:
            sent = chain.transaction(transaction_hash)
            if sent is None or sent.block_hash is None:
                return {}  # taken back by a reorg, perhaps for a moment
            said = _said(spec, sent.data) if sent.ok and sent.to == spec.address else {}
            # Other threads may clear it at any moment: nothing is read back from it.
            if len(self._said) >= _MOST_KEPT:
                self._said.clear()
            self._said[transaction_hash] = said
        # A transaction may do this for several transfers: what it says of another one is not this one's.
        return said if said.get(Source.TRANSFER_HASH) == key else {}


def _said(spec: ContractSpec, calldata: bytes) -> dict[str, Any]:
    for rule in spec.actions.values():
        arguments = rule.function.decode_call(calldata)
        if arguments is not None:
            return {
                value if isinstance(value, Source) else name: arguments[name]
                for name, value in rule.arguments.items()
            }
    return {}
