"""What the tests of use cases share: an empty world, for modules marked ``every_store`` on Firestore, too."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from tests.support.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from shared.adapters.firestore import FirestoreDocuments


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what is marked ``every_store`` on Google's emulator as well, but for what draws many examples."""
    marks = {mark.name for mark in metafunc.definition.iter_markers()}
    if "every_store" in marks and "memory_only" not in marks:
        drawn = hasattr(metafunc.function, "is_hypothesis_test")
        metafunc.parametrize("store", ["memory"] if drawn else ["memory", "firestore"], indirect=True)


@pytest.fixture(autouse=True)
def store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let every world of a test have a store of the kind asked for: in memory, or on the emulator."""
    if getattr(request, "param", "memory") == "memory":
        yield
        return
    emulator = request.getfixturevalue("firestore_emulator")
    from shared.adapters.firestore import FirestoreDocuments  # noqa: PLC0415 - heavy, where it is used

    made: list[FirestoreDocuments] = []

    def new() -> FirestoreDocuments:
        project = f"test-{uuid4().hex[:12]}"
        made.append(FirestoreDocuments(project, client=emulator.client(project)))
        return made[-1]

    monkeypatch.setattr(World, "store", staticmethod(new))
    yield
    for documents in made:
        documents.close()


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Return an empty world."""
    return World(tmp_path)
