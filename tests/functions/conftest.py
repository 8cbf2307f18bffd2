"""A function's process as the platform sets it up, for every test of a function."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import functions_framework
import pytest

from shared.bootstrap import Plumbline, plumbline
from shared.contracts.template import write_contract_file
from shared.domain.contract import Finality
from shared.local.serve import FUNCTIONS, SERVED
from tests.support.triggers import PROVIDER_KEY
from tests.support.world import ADDRESS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from flask.testing import FlaskClient

    Client = Callable[[str], FlaskClient]


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plumbline]:
    """Configure this process as a function's is, on a store of the test's own and an absent node."""
    contracts = write_contract_file(tmp_path / "contracts", 1, ADDRESS, 1, Finality(depth=0))
    monkeypatch.setenv("PLUMBLINE_STORE", f"sqlite:///{tmp_path / 'store.sqlite'}")
    monkeypatch.setenv("PLUMBLINE_CONTRACTS", str(contracts))
    monkeypatch.setenv("PLUMBLINE_RPC_1", f"http://127.0.0.1:9/v2/{PROVIDER_KEY}")
    monkeypatch.setenv("PLUMBLINE_REQUEST_TIMEOUT_S", "1")
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    plumbline.cache_clear()
    wired = plumbline()
    yield wired
    wired.bus.close()
    wired.documents.close()
    plumbline.cache_clear()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def client(parts: Plumbline) -> Client:
    """Serve one function, and give what calls it."""
    assert parts is plumbline()

    def serve(name: str) -> FlaskClient:
        app = functions_framework.create_app(name, str(FUNCTIONS / name / "main.py"), SERVED[name])  # type: ignore[no-untyped-call]
        made: FlaskClient = app.test_client()
        return made

    return serve
