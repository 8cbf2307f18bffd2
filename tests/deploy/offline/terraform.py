"""Runs Terraform on a copy of ``terraform/``, with the registry's provider or, without one, with ours.

Always on a copy: neither lock files nor state of a test ever lie in the checkout.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.deploy.offline.wheel_schema import SCHEMA, TERRAFORM

_HERE: Final = Path(__file__).parent
_REGISTRY: Final = "https://registry.terraform.io/.well-known/terraform.json"
_PROVIDER: Final = "registry.terraform.io/hashicorp/google"
_CONFIGURATION: Final = "cli.tfrc"
_LEFT_BEHIND: Final = shutil.ignore_patterns(".terraform*", "*.tfstate*", "*.tfplan")


@dataclass(frozen=True)
class Terraform:
    """A copy of ``terraform/`` that is initialised."""

    binary: str
    folder: Path
    environ: dict[str, str]

    def run(self, *arguments: str, check: bool = True, asking: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command, ``asking`` on its standard input; AssertionError where it fails and ``check``."""
        done = subprocess.run(
            [self.binary, *arguments],
            cwd=self.folder,
            env=self.environ,
            input=asking,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def plan(self, *arguments: str) -> dict[str, Any]:
        """Return a plan, as ``terraform show -json`` says it."""
        self.run("plan", "-input=false", "-no-color", "-out=made.tfplan", *arguments)
        shown: dict[str, Any] = json.loads(self.run("show", "-json", "made.tfplan").stdout)
        return shown


def initialised(binary: str, folder: Path, *, registry: bool) -> Terraform:
    """Copy ``terraform/`` into ``folder`` and initialise it there, with a backend in the folder itself."""
    copy = folder / "terraform"
    shutil.copytree(TERRAFORM, copy, ignore=_LEFT_BEHIND)
    (copy / "backend_override.tf").write_text('terraform {\n  backend "local" {}\n}\n', "utf-8")
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    environ |= {
        "CHECKPOINT_DISABLE": "1",
        "TF_IN_AUTOMATION": "1",
        "TF_CLI_CONFIG_FILE": str(folder / _CONFIGURATION),
    }
    if registry:
        (folder / _CONFIGURATION).write_text("", "utf-8")
    else:
        offline_configuration(binary, folder)
    made = Terraform(binary, copy, environ)
    made.run("init", "-input=false", "-no-color")
    return made


def registry_is_reachable() -> bool:
    """Say whether Terraform's registry answers."""
    try:
        with urllib.request.urlopen(_REGISTRY, timeout=5) as answer:
            return bool(json.load(answer).get("providers.v1"))
    except (OSError, ValueError):
        return False


def offline_configuration(binary: str, folder: Path) -> Path:
    """Lay our provider out as a mirror of the registry, and return the file of settings that names it."""
    told = subprocess.run([binary, "version", "-json"], capture_output=True, text=True, check=True)
    platform = json.loads(told.stdout)["platform"]
    version = json.loads(SCHEMA.read_text("utf-8"))["version"]
    place = folder / "mirror" / _PROVIDER / version / platform
    place.mkdir(parents=True)
    program = place / f"terraform-provider-google_v{version}"
    command = shlex.join([sys.executable, str(_HERE / "provider.py")])
    program.write_text(f"#!/bin/sh\nexec {command}\n", "utf-8")
    program.chmod(0o755)
    made = folder / _CONFIGURATION
    mirror = f'provider_installation {{\n  filesystem_mirror {{\n    path = "{folder / "mirror"}"\n  }}\n}}\n'
    made.write_text(mirror, "utf-8")
    return made
