"""``plumbline bundle``: an archive per function as Google builds it, and the manifest that Terraform reads.

An archive holds at its root ``main.py``, the modules of ``shared`` that it can reach, ``requirements.txt``
with their pins alone, and the registry of contracts. Files are stored, not packed, with one date and mode,
in order: the same sources give the same bytes on every machine.
"""

from __future__ import annotations

import hashlib
import io
import tomllib
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import orjson

from shared.adapters.topology import TOPOLOGY
from shared.config import known_settings
from shared.config_numbers import NUMBERS
from shared.contracts.registry import checksummed, load_registry
from shared.domain.fee_settings import KEYS
from shared.domain.metrics import LABELS, METRICS
from shared.domain.schedules import SCHEDULES
from shared.errors import ConfigError, InvalidInput
from shared.local.bundle_imports import imports_of, signature_of
from shared.local.bundle_requirements import Pins, distributions_of

ROOT: Final = Path(__file__).resolve().parents[2]
CONTRACTS: Final = "contracts"
"""The folder of the registry in an archive; PLUMBLINE_CONTRACTS is its name there."""
MANIFEST: Final = "manifest.json"
_DATE: Final = (1980, 1, 1, 0, 0, 0)
_MODE: Final = 0o100644 << 16
_PYTHON: Final = "3.11"
"""The version that the tests run on; Terraform's runtime of the functions is the same."""
_PROCESS_FILES: Final = {"Procfile": b"web: python main.py\n", ".python-version": f"{_PYTHON}\n".encode()}
"""What tells Google's buildpacks how a container is run that is no function."""


def write_bundle(contracts: Path, out: Path) -> dict[str, Any]:
    """Write the archive of every function and the manifest into ``out``; return the manifest.

    ConfigError for a registry that cannot be used, InvalidInput for a place that cannot be written. The
    manifest comes last: what was not finished has the one of before, whose digests Terraform finds wrong.
    """
    registry = load_registry(contracts)
    shipped = _contract_files(contracts)
    functions = sorted(main.parent for main in ROOT.glob("functions/*/main.py"))
    described = {}
    for function in functions:
        kind = signature_of(function / "main.py", function.name)
        content = archive({**function_files(function), **shipped})
        _write(out / f"{function.name}.zip", content)
        described[function.name] = {
            "archive": f"{function.name}.zip",
            "sha256": hashlib.sha256(content).hexdigest(),
            "signature": kind,
        }
    manifest = {
        "contracts": [
            {
                "name": spec.name,
                "version": spec.version,
                "chainId": spec.chain_id,
                "address": checksummed(spec.address),
            }
            for spec in registry.contracts
        ],
        "fee_keys": KEYS,
        "functions": described,
        "labels": LABELS,
        "metrics": {name: asdict(metric) for name, metric in METRICS.items()},
        "numbers": {
            number.variable: {"least": number.least, "whole": isinstance(number.default, int)}
            for number in NUMBERS.values()
        },
        "schedules": {name: asdict(schedule) for name, schedule in SCHEDULES.items()},
        "settings": sorted(known_settings()),
        "subscriptions": {each.name: asdict(each) for each in TOPOLOGY},
    }
    options = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS
    _write(out / MANIFEST, orjson.dumps(manifest, option=options) + b"\n")
    return manifest


def function_files(function: Path) -> dict[str, bytes]:
    """Return what belongs to a function (its folder below ``functions``), by path in its archive."""
    main = function / "main.py"
    needed = imports_of(ROOT, main)
    pins = Pins((ROOT / "requirements.txt").read_text("utf-8"))
    files = {path: (ROOT / path).read_bytes() for path in needed.files}
    files["main.py"] = main.read_bytes()
    files["requirements.txt"] = pins.closure(distributions_of(needed.foreign, pins)).encode()
    return files | (_PROCESS_FILES if signature_of(main, function.name) == "process" else {})


def archive(files: dict[str, bytes]) -> bytes:
    """Return a zip of these files; the same files give the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as made:
        for path, content in sorted(files.items()):
            entry = zipfile.ZipInfo(path, _DATE)
            entry.external_attr = _MODE
            entry.create_system = 3  # Unix, whose modes these are
            made.writestr(entry, content)
    return buffer.getvalue()


def _write(file: Path, content: bytes) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    except OSError as error:
        raise InvalidInput(f"{file} cannot be written: {error.strerror}") from error


def _contract_files(contracts: Path) -> dict[str, bytes]:
    """Return the registry's files, each ABI beside its contract: nothing else that lies there."""
    shipped = {}
    for file in sorted(contracts.glob("*.toml")) if contracts.is_dir() else [contracts]:
        content = file.read_bytes()
        abi = str(tomllib.loads(content.decode())["abi"])
        if Path(abi).is_absolute() or ".." in Path(abi).parts:
            raise ConfigError(f"{file}: abi: {abi} lies outside of the file's folder; it cannot be shipped")
        shipped[f"{CONTRACTS}/{file.name}"] = content
        shipped[f"{CONTRACTS}/{abi}"] = (file.parent / abi).read_bytes()
    return shipped
