"""Parts that a machine may lack: looked for once, skipped or demanded, and listed at the end of a run."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

_CHECKOV = Path(__file__).resolve().parents[2] / ".venv-checkov" / "bin" / "checkov"


@dataclass(frozen=True)
class Part:
    """Something the tests can use if it is there: where it is, or how to get it."""

    name: str
    group: str
    found: str | None
    how_to_get: str


def _gcloud_platform(pattern: str) -> str | None:
    gcloud = shutil.which("gcloud")
    roots = [Path("/usr/lib/google-cloud-sdk"), Path.home() / "google-cloud-sdk"]
    if gcloud:
        roots.insert(0, Path(gcloud).resolve().parent.parent)
    for root in roots:
        for jar in sorted((root / "platform").glob(pattern)):
            return str(jar)
    return None


def _emulator(name: str, variable: str, pattern: str, component: str) -> Part:
    jar = _gcloud_platform(pattern)
    found = os.environ.get(variable) or (jar if shutil.which("java") else None)
    return Part(
        name, "emulators", found, f"`gcloud components install {component}` and Java, or set {variable}"
    )


def _program(name: str, how_to_get: str, *elsewhere: Path) -> Part:
    """Look for a program on the PATH, then at the places named."""
    found = shutil.which(name) or next((str(path) for path in elsewhere if path.exists()), None)
    return Part(name, name, found, how_to_get)


PARTS = {
    part.name: part
    for part in (
        _emulator(
            "firestore_emulator",
            "FIRESTORE_EMULATOR_HOST",
            "cloud-firestore-emulator/cloud-firestore-emulator.jar",
            "cloud-firestore-emulator",
        ),
        _emulator(
            "pubsub_emulator",
            "PUBSUB_EMULATOR_HOST",
            "pubsub-emulator/lib/cloud-pubsub-emulator-*-all.jar",
            "pubsub-emulator",
        ),
        _program(
            "terraform",
            "Terraform 1.9 or newer on the PATH: https://developer.hashicorp.com/terraform/install",
        ),
        _program("checkov", "`make checkov`", _CHECKOV),
    )
}
used: set[str] = set()
skipped: set[str] = set()


def require(name: str) -> Part:
    """Return the part, or skip the test; fail it where REQUIRE_PARTS names the part or its group."""
    part = PARTS[name]
    if part.found:
        used.add(name)
        return part
    demanded = {p.strip() for p in os.environ.get("REQUIRE_PARTS", "").split(",")}
    if demanded & {part.name, part.group}:
        pytest.fail(f"REQUIRE_PARTS demands {name}, which this machine lacks: {part.how_to_get}")
    skipped.add(name)
    pytest.skip(f"{name} is missing: {part.how_to_get}")


def table() -> list[str]:
    """Return the closing table: each part, whether it was used, and how to get it."""
    rows = []
    for part in PARTS.values():
        state = "used" if part.name in used else "skipped" if part.name in skipped else "not needed"
        rows.append(f"{part.name:<20} {state:<11} {part.found or part.how_to_get}")
    return rows
