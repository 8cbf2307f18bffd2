"""The Documents of the contract suite: in memory, in the embedded file, and on Google's emulator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.documents import MemoryDocuments

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from shared.ports import Documents


@pytest.fixture(params=["memory", "sqlite", "firestore"])
def documents(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Documents]:
    """Lend one empty store of each kind."""
    store: Documents
    if request.param == "memory":
        store = MemoryDocuments()
    elif request.param == "sqlite":
        from shared.adapters.sqlite import SqliteDocuments  # noqa: PLC0415 - as bootstrap does it

        store = SqliteDocuments(tmp_path / "store.db")
    else:
        emulator = request.getfixturevalue("firestore_emulator")
        project = request.getfixturevalue("firestore_project")
        from shared.adapters.firestore import FirestoreDocuments  # noqa: PLC0415 - heavy, where it is used

        store = FirestoreDocuments(project, client=emulator.client(project))
    yield store
    store.close()
