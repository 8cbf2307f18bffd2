"""Archives: the same bytes from the same sources, what is needed alone, and each answers by itself."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
import sysconfig
import time
import zipfile
from typing import TYPE_CHECKING

import pytest

from shared.contracts.template import write_contract_file
from shared.domain.contract import Finality
from shared.errors import ConfigError
from shared.local.bundle import function_files, write_bundle
from shared.local.bundle_requirements import Pins
from tests.deploy.archives import free_port, registry_of_the_recordings, unpack, wait_until_it_listens
from tests.deploy.judge_archives import JUDGES
from tests.deploy.offline.wheel_schema import ROOT
from tests.support.world import ADDRESS

if TYPE_CHECKING:
    from pathlib import Path

    from shared.local.anvil import Anvil
    from tests.deploy.archives import Unpacked

_LIBRARIES = sysconfig.get_path("purelib")
FUNCTIONS = sorted(main.parent.name for main in ROOT.glob("functions/*/main.py"))
_NEVER = ("shared/local/", "shared/cli", "shared/__main__", "tests/", "functions/", "requirements-dev")
_SECRETS = ("PLUMBLINE_RPC_", "BEGIN PRIVATE KEY", "BEGIN RSA")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bundle the contract of the recordings."""
    home = tmp_path_factory.mktemp("bundle")
    write_bundle(registry_of_the_recordings(home), home / "bundle")
    return home / "bundle"


def _unpacked(bundle: Path, name: str, home: Path) -> Unpacked:
    return unpack(bundle, name, home / name, sys.executable, _LIBRARIES)


def test_the_same_sources_give_the_same_bytes(bundle: Path, tmp_path: Path) -> None:
    """Bundled again at another time and place, every archive and the manifest are identical."""
    write_bundle(registry_of_the_recordings(tmp_path), tmp_path / "again")
    files = sorted(path.name for path in bundle.iterdir())
    assert files == sorted(path.name for path in (tmp_path / "again").iterdir())
    assert files == sorted([*(f"{name}.zip" for name in FUNCTIONS), "manifest.json"])
    for name in files:
        assert (bundle / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_archive_holds_what_is_needed_and_nothing_else(bundle: Path, name: str) -> None:
    """At its root are main.py, requirements.txt, shared and contracts; no test, no laptop, no secret."""
    with zipfile.ZipFile(bundle / f"{name}.zip") as opened:
        files = {path: opened.read(path) for path in opened.namelist()}
    assert {path.partition("/")[0] for path in files} - {"Procfile", ".python-version"} == {
        "main.py", "requirements.txt", "shared", "contracts",
    }  # fmt: skip
    assert [path for path in files if path.startswith(_NEVER) or path.endswith((".pyc", ".env"))] == []
    for path, content in files.items():
        if path.startswith("contracts/"):
            assert not [secret for secret in _SECRETS if secret.encode() in content]
        elif path.startswith("shared/"):
            assert content == (ROOT / path).read_bytes()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_requirements_are_a_part_of_the_lock_file(name: str) -> None:
    """Every pin, hashes and all, stands in requirements.txt; what no import needs is left out."""
    text = function_files(ROOT / "functions" / name)["requirements.txt"].decode()
    locked = (ROOT / "requirements.txt").read_text("utf-8")
    blocks = re.split(r"^(?=\w)", text, flags=re.MULTILINE)[1:]
    assert blocks
    assert [block.partition(" ")[0] for block in blocks if block not in locked] == []
    pins = Pins(text)
    assert "google-cloud-firestore" in pins
    assert [left for left in ("typer", "rich", "google-cloud-scheduler", "pytest") if left in pins] == []
    if name != "listen_chain":
        assert "web3" not in pins


@pytest.mark.parametrize("name", sorted(JUDGES))
def test_a_recorded_event_is_handled_by_the_archive_alone(bundle: Path, tmp_path: Path, name: str) -> None:
    """Unpacked in an empty folder and served as it is deployed, it does its work on what was recorded."""
    archive = _unpacked(bundle, name, tmp_path)
    elsewhere = subprocess.run(
        [archive.python, "-S", "-c", "import shared"],
        cwd=tmp_path, env=archive.environ(tmp_path), capture_output=True, check=False,
    )  # fmt: skip
    assert elsewhere.returncode != 0, "the checkout can be imported: this test would prove nothing"
    JUDGES[name](archive, tmp_path)


def test_the_listener_runs_from_its_archive(tmp_path: Path, anvil: Anvil) -> None:
    """Started by its Procfile's command it is alive at the port of the probes, and ends well at SIGTERM."""
    registry = write_contract_file(tmp_path / "contracts", 31337, ADDRESS, 1, Finality(depth=0)).parent
    write_bundle(registry, tmp_path / "bundle")
    archive = _unpacked(tmp_path / "bundle", "listen_chain", tmp_path)
    kind, _, command = (archive.folder / "Procfile").read_text("utf-8").strip().partition(": python ")
    assert kind == "web"
    anvil.rpc.call("anvil_setCode", ADDRESS, "0x00")
    port = free_port()
    nodes = {"PLUMBLINE_RPC_31337": anvil.rpc_url, "PLUMBLINE_WS_31337": anvil.ws_url}
    environ = archive.environ(
        tmp_path, PLUMBLINE_HEALTH_PORT=str(port), CLOUD_RUN_WORKER_POOL="plumbline-listen-chain", **nodes
    )
    with archive.started([command], environ) as process:
        wait_until_it_listens(port, process)
        deadline = time.monotonic() + 30
        while (status := _status(port, "/readyz")) != 200:
            assert time.monotonic() < deadline, status
            time.sleep(0.1)
        assert _status(port, "/healthz") == 200
        process.terminate()
        _, said = process.communicate(timeout=10)
    assert process.returncode == 0, said
    # As a worker pool it speaks to Cloud Logging: every line is one of JSON.
    assert [line for line in said.splitlines() if "severity" not in json.loads(line)] == []


@pytest.mark.parametrize("abi", ["../RolloverEscrow.abi.json", "/tmp/RolloverEscrow.abi.json"])  # noqa: S108
def test_an_abi_outside_of_the_registry_is_refused(tmp_path: Path, abi: str) -> None:
    """It could not be shipped; the error names the file and the key."""
    file = write_contract_file(tmp_path / "contracts", 1, ADDRESS, 1, Finality(depth=0))
    place = (tmp_path / "contracts" / abi).resolve()
    place.write_bytes((tmp_path / "contracts" / "RolloverEscrow.abi.json").read_bytes())
    file.write_text(file.read_text("utf-8").replace('"RolloverEscrow.abi.json"', f'"{abi}"'), "utf-8")
    with pytest.raises(ConfigError, match=r"contracts/.*\.toml: abi: .* lies outside"):
        write_bundle(tmp_path / "contracts", tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def _status(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()
