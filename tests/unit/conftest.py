"""What the tests of use cases share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.world import World

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Return an empty world."""
    return World(tmp_path)
