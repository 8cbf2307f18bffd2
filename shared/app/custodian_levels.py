"""Comparing the custodians' levels in the database with the contract's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.errors import UndecodableLog
from shared.ports import Call, Query

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.domain.blocks import Header
    from shared.domain.contract import ContractSpec
    from shared.ports import CallResult, Chain, Document, Documents

_PAGE = 500


def differing_levels(
    documents: Documents, chain: Chain, spec: ContractSpec, pin: Header
) -> Iterator[Document]:
    """Yield each custodian whose stored level is not what the contract says at the pinned block.

    ``contract`` is None where it cannot be asked (what is stored is no address) or does not answer.
    Where custodians are kept, and what the numbers are called, the registry file says; a custodian
    without an address or a level is not on chain and is passed over.
    """
    levels = spec.levels
    if spec.reads.level is None:
        return
    after: tuple[str, ...] | None = None
    while True:
        page = documents.query(levels.collection, Query(limit=_PAGE, after=after))
        known = [
            (key, str(custodian[levels.address_field]), custodian[levels.level_field])
            for key, custodian in page
            if custodian.get(levels.address_field) and custodian.get(levels.level_field) is not None
        ]
        asked = [(entry, call) for entry in known if (call := spec.level_call(entry[1])) is not None]
        answers = chain.call_many([Call(spec.address, call) for _, call in asked], pin.hash)
        told = {entry[0]: _read(spec, answer) for (entry, _), answer in zip(asked, answers, strict=True)}
        for key, address, stored in known:
            actual = told.get(key)
            if actual is None or not levels.same(stored, actual):
                yield {"custodianId": key, "address": address, "database": stored, "contract": actual}
        if len(page) < _PAGE:
            return
        after = (page[-1][0],)


def _read(spec: ContractSpec, answer: CallResult) -> int | None:
    try:
        return spec.read_level(answer.data) if answer.ok else None
    except UndecodableLog:
        return None  # a fallback function answered
