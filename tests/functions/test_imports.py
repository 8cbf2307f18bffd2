"""What a function's process has imported by its first answer: every module is paid for at a cold start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shared.contracts.template import write_contract_file
from shared.domain.contract import Finality
from tests.support.world import ADDRESS

_ROOT = Path(__file__).resolve().parents[2]
_SCRIPT = """
import sys
from functions_framework import create_app
from shared.local.serve import SERVED, FUNCTIONS
name = sys.argv[1]
create_app(name, str(FUNCTIONS / name / "main.py"), SERVED[name])
from shared.bootstrap import plumbline
getattr(plumbline(), name)
print("\\n".join(sys.modules))
"""
WEB3 = ["web3", "eth_abi", "eth_utils", "eth_account"]
LAPTOP = ["typer", "shared.cli", "shared.local.cloud", "shared.local.story"]
GOOGLE = ["google.cloud.firestore", "google.pubsub_v1", "google.events", "google.auth", "grpc"]
OPERATORS = ["google.cloud.monitoring_v3", "boto3", "botocore", "prometheus_client"]
NODE = ["shared.adapters.ethereum", "urllib3"]


@pytest.mark.parametrize(
    ("function", "store", "absent"),
    [
        ("project_events", "sqlite", [*GOOGLE, *NODE, "shared.contracts.registry"]),
        ("handle_chain_event", "sqlite", [*GOOGLE, *NODE]),
        ("reconcile", "sqlite", GOOGLE),
        ("quote_gas", "sqlite", GOOGLE),
        ("quote_gas", "firestore", ["google.pubsub_v1", "google.events"]),
        ("project_events", "firestore", ["google.pubsub_v1", "google.events", *NODE[:1]]),
        ("handle_chain_event", "firestore", ["google.pubsub_v1", "google.events", *NODE[:1]]),
        ("reconcile", "firestore", ["google.pubsub_v1", "google.events"]),
    ],
)
def test_a_function_imports_only_what_it_uses(
    tmp_path: Path, function: str, store: str, absent: list[str]
) -> None:
    """Wired for a store, it has neither another store's client, nor web3, nor the laptop's parts."""
    contracts = write_contract_file(tmp_path / "contracts", 1, ADDRESS, 1, Finality(depth=0))
    places = {
        "sqlite": {"PLUMBLINE_STORE": f"sqlite:///{tmp_path / 'store.sqlite'}"},
        "firestore": {"PLUMBLINE_STORE": "firestore://nowhere", "PLUMBLINE_BUS": "pubsub://nowhere"},
    }
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PLUMBLINE_")}
    environ |= {"PLUMBLINE_CONTRACTS": str(contracts), "PLUMBLINE_RPC_1": "http://127.0.0.1:9"}
    # Figures and alerts go everywhere they can: the clients are loaded when there is something to tell.
    environ |= {
        "PLUMBLINE_METRICS": "monitoring://nowhere",
        "PLUMBLINE_ALERT_SLACK_URL": "https://hooks.slack.example/services/T/B/x",
        "PLUMBLINE_ALERT_EMAIL_FROM": "a@example.com",
        "PLUMBLINE_ALERT_EMAIL_TO": "b@example.com",
        "PLUMBLINE_ALERT_EMAIL_REGION": "eu-west-1",
    }
    ran = subprocess.run(
        [sys.executable, "-c", _SCRIPT, function],
        env={**environ, **places[store]},
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    imported = set(ran.stdout.split())
    assert f"shared.adapters.{store}" in imported
    assert imported.isdisjoint([*absent, *WEB3, *LAPTOP, *OPERATORS])
