"""What belongs into an archive, read from source; and what `plumbline bundle` refuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from shared.cli import app
from shared.contracts.template import write_contract_file
from shared.domain.contract import Finality
from shared.errors import ConfigError, InvalidInput
from shared.local.bundle import ROOT, archive, function_files, write_bundle
from shared.local.bundle_imports import imports_of, signature_of
from shared.local.bundle_requirements import Pins, distributions_of
from tests.support.world import ADDRESS

if TYPE_CHECKING:
    from pathlib import Path

_BOOTSTRAP = """
import shared.clock
class Plumbline:
    def __init__(self): self.clock = shared.clock
    def quotes(self):
        from shared.quotes import Quotes
        return Quotes(self.store)
    @property
    def store(self):
        from shared.store import Store
    def alerts(self):
        from shared.bootstrap_more import alerts_by
    def mail(self):
        from shared.mail import Mail
"""
_SOURCES = {
    "shared/__init__.py": "",
    "shared/bootstrap.py": _BOOTSTRAP,
    "shared/bootstrap_more.py": "def alerts_by():\n    import slack_sdk\ndef mail_by():\n    import boto3\n",
    "shared/clock.py": "import time",
    "shared/quotes.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import web3\nimport math",
    "shared/store.py": "def connect():\n    from google.cloud import firestore",
    "shared/mail.py": "import boto3",
}
_LOCK = """# by uv
framework==1 \\
    --hash=sha256:aa
    # via -r requirements.in
leaf==2 \\
    --hash=sha256:bb
    # via
    #   other
    #   twig
Twig.Two==4 \\
    --hash=sha256:dd
    # via framework
twig==3 \\
    --hash=sha256:cc
    # via framework
"""


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """Write a small checkout."""
    for path, text in _SOURCES.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text, "utf-8")
    return tmp_path


def _main(sources: Path, text: str) -> Path:
    (sources / "main.py").write_text(text, "utf-8")
    return sources / "main.py"


def test_only_what_is_reached_is_followed(sources: Path) -> None:
    """Of the wiring what the function names, and what that names; imports for types do not count."""
    main = _main(sources, "from shared.bootstrap import plumbline\nplumbline().quotes()")
    found = imports_of(sources, main)
    assert found.files == {
        f"shared/{name}.py" for name in ("__init__", "bootstrap", "clock", "quotes", "store")
    }
    assert found.foreign == {"time", "math", "typing.TYPE_CHECKING", "google.cloud.firestore"}


def test_of_a_part_of_the_wiring_only_what_is_taken(sources: Path) -> None:
    """A function of such a part brings its own imports, not its neighbours'."""
    main = _main(sources, "from shared.bootstrap import plumbline\nplumbline().alerts()")
    assert imports_of(sources, main).foreign == {"time", "slack_sdk"}


def test_a_module_that_is_not_there_is_an_error(sources: Path) -> None:
    """A misspelt module would be missed in the cloud alone."""
    with pytest.raises(FileNotFoundError, match=r"shared\.qoutes"):
        imports_of(sources, _main(sources, "from shared.qoutes import Quotes"))


def test_what_nobody_pins_is_an_error() -> None:
    """An import of something that requirements.txt does not hold would not be there in the cloud."""
    pins = Pins((ROOT / "requirements.txt").read_text("utf-8"))
    assert distributions_of(["json", "orjson.dumps", "google.cloud.firestore"], pins) == {
        "orjson", "google-cloud-firestore",
    }  # fmt: skip
    with pytest.raises(LookupError, match=r"hypothesis\.strategies is imported, and nothing pinned"):
        distributions_of(["hypothesis.strategies"], pins)


def test_pins_come_with_what_they_require() -> None:
    """A pin, its hashes and all that is there on its behalf; names are compared as PEP 503 does."""
    pins = Pins(_LOCK)
    assert pins.closure(["twig"]).count("==") == 2
    assert pins.closure(["Framework"]) == _LOCK.partition("\n")[2]
    assert "twig_two" in pins
    assert "other" not in pins


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("import functions_framework\n@functions_framework.http\ndef go(request): ...", "http"),
        ("import functions_framework\n@functions_framework.cloud_event\ndef go(event): ...", "cloudevent"),
        ("def main(): ...", "process"),
    ],
)
def test_how_a_function_is_called_is_read_from_its_mark(sources: Path, text: str, kind: str) -> None:
    """The decorator says it; without one there is a program."""
    assert signature_of(_main(sources, text), "go") == kind
    with pytest.raises(LookupError, match="neither a function"):
        signature_of(_main(sources, "def go(request): ..."), "go")


def test_archives_do_not_depend_on_order() -> None:
    """The same files in another order are the same bytes."""
    files = {"main.py": b"1", "shared/a.py": b"2", "contracts/b.toml": b"3"}
    assert archive(files) == archive(dict(reversed(files.items())))


def test_every_function_has_its_wiring() -> None:
    """Nothing of the laptop is in any function's files, and each has its entry and its pins."""
    for main in ROOT.glob("functions/*/main.py"):
        files = function_files(main.parent)
        assert {"main.py", "requirements.txt", "shared/bootstrap.py", "shared/errors.py"} <= set(files)
        assert not [path for path in files if path.startswith(("shared/local", "shared/cli"))]


def test_the_command_tells_what_it_made(tmp_path: Path) -> None:
    """As JSON it is the manifest; without a registry it says so and writes nothing."""
    registry = write_contract_file(tmp_path / "contracts", 1, ADDRESS, 1, Finality(depth=0)).parent
    done = CliRunner().invoke(app, ["bundle", str(registry), "--out", str(tmp_path / "out"), "--json"])
    assert done.exit_code == 0, done.output
    # A checksummed address: what Terraform's variable is compared with.
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text("utf-8"))
    assert [contract["address"].lower() for contract in manifest["contracts"]] == [ADDRESS]
    refused = CliRunner().invoke(app, ["bundle", str(tmp_path / "nowhere"), "--out", str(tmp_path / "none")])
    assert isinstance(refused.exception, ConfigError)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("taken", ["out", "out/manifest.json", "out/reconcile.zip"])
def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, taken: str) -> None:
    """A file where a folder must be, or a folder where a file must be: one line says which, and why."""
    registry = write_contract_file(tmp_path / "contracts", 1, ADDRESS, 1, Finality(depth=0)).parent
    in_the_way = tmp_path / taken
    if taken == "out":
        in_the_way.write_text("a file", "utf-8")
    else:
        in_the_way.mkdir(parents=True)
    with pytest.raises(InvalidInput, match=rf"{taken}\S* cannot be written: \w+"):
        write_bundle(registry, tmp_path / "out")


def test_the_manifest_says_what_settings_may_be(tmp_path: Path) -> None:
    """Terraform holds its variable against each number's least, and whether it counts something."""
    registry = write_contract_file(tmp_path / "contracts", 1, ADDRESS, 1, Finality(depth=0)).parent
    manifest = write_bundle(registry, tmp_path / "out")
    assert manifest["numbers"]["PLUMBLINE_WINDOW"] == {"least": 1, "whole": True}
    assert manifest["numbers"]["PLUMBLINE_LAG_S"] == {"least": 1, "whole": False}
    assert set(manifest["numbers"]) < set(manifest["settings"])
    assert "stale_s" in manifest["fee_keys"]
