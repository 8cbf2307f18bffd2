"""``plumbline local`` on Firestore: the embedded bus, and triggers by watching the collection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.adapters.firestore import FirestoreDocuments
from shared.domain.hashing import transfer_hash
from shared.domain.state import STATES
from shared.local.escrow.calldata import set_custodian_level, whole_life
from shared.local.running import RunningLocal
from tests.support.chain import CUSTODIANS, OTHER_CUSTODIANS, parties
from tests.support.firestore_emulator import HOST_VARIABLE
from tests.support.served import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.firestore_emulator import FirestoreEmulator


def test_a_life_becomes_a_state_in_firestore(
    tmp_path: Path, firestore_emulator: FirestoreEmulator, firestore_project: str
) -> None:
    """A whole life on a chain of its own ends as state 8 in Firestore, and the process ends with 0."""
    options = ("--store", f"firestore://{firestore_project}/(default)", "--reconcile-every", "0")
    documents = FirestoreDocuments(firestore_project, client=firestore_emulator.client(firestore_project))
    bare = transfer_hash("on-firestore")
    with RunningLocal(tmp_path / "home", options, {HOST_VARIABLE: firestore_emulator.host}) as local:
        with local.escrow() as escrow:
            levels = [set_custodian_level(who, 3) for who in (CUSTODIANS[3], OTHER_CUSTODIANS[3])]
            escrow.run([*levels, *whole_life("on-firestore", parties(3, 3))])
        wait_until(lambda: (documents.get(STATES, bare) or {}).get("contractState") == 8, "state 8")
        assert local.stop() == 0
    documents.close()
