"""Each archive in an environment that holds its requirements alone, as Google builds it.

    python -m tests.deploy.fresh [FUNCTION ...]        # a minute each; exit 1 where one does not answer

The listener needs a chain to be ready: here only its imports are tried, the rest is test_archives.py's.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from shared.local.bundle import write_bundle
from tests.deploy.archives import Unpacked, registry_of_the_recordings, unpack
from tests.deploy.judge_archives import JUDGES

_INSTALL: Final = (
    "-m",
    "pip",
    "--disable-pip-version-check",
    "--no-input",
    "install",
    "--quiet",
    "--require-hashes",
)


def main(names: list[str]) -> int:
    """Build and judge these functions, or all; return the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        manifest = write_bundle(registry_of_the_recordings(home), home / "bundle")
        for name in names or manifest["functions"]:
            started = time.monotonic()
            archive = _installed(home / "bundle", name, home / name)
            if name in JUDGES:
                JUDGES[name](archive, home / name)
            else:
                _imports(archive, home / name)
            print(f"{name}: answers with its own requirements alone ({time.monotonic() - started:.0f} s)")  # noqa: T201
    return 0


def _installed(bundle: Path, name: str, home: Path) -> Unpacked:
    environment = home / "environment"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    python = environment / "bin" / "python"
    [libraries] = environment.glob("lib/python*/site-packages")
    archive = unpack(bundle, name, home / "unpacked", str(python), str(libraries))
    subprocess.run([str(python), *_INSTALL, "-r", str(archive.folder / "requirements.txt")], check=True)
    subprocess.run([str(python), "-m", "pip", "check"], check=True, stdout=subprocess.DEVNULL)
    return archive


def _imports(archive: Unpacked, home: Path) -> None:
    """Import every module in the archive: whatever it needs late is there as well."""
    files = sorted(path.relative_to(archive.folder) for path in archive.folder.glob("shared/**/*.py"))
    modules = [".".join(file.with_suffix("").parts).removesuffix(".__init__") for file in files]
    with archive.started(["-c", f"import main, {', '.join(modules)}"], archive.environ(home)) as process:
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
