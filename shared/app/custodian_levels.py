"""Comparing the custodians' levels in the database with the contract's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.ports import Call, Query

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.domain.blocks import Header
    from shared.domain.contract import ContractSpec
    from shared.ports import Chain, Document, Documents

_PAGE = 500


def differing_levels(
    documents: Documents, chain: Chain, spec: ContractSpec, pin: Header
) -> Iterator[Document]:
    """Yield each custodian whose stored level is not what the contract says at the pinned block.

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
        calls = [Call(spec.address, spec.level_call(address) or b"") for _, address, _ in known]
        answers = chain.call_many(calls, pin.hash)
        for (key, address, stored), answer in zip(known, answers, strict=True):
            actual = spec.read_level(answer.data) if answer.ok else None
            if actual is not None and not levels.same(stored, actual):
                yield {"custodianId": key, "address": address, "database": stored, "contract": actual}
        if len(page) < _PAGE:
            return
        after = (page[-1][0],)
