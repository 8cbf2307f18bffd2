"""The table of rights in docs/security.md, from the plan.

python -m tests.deploy.rights        # writes it anew
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.deploy.examples import bundled
from tests.deploy.offline.terraform import initialised
from tests.deploy.offline.wheel_schema import ROOT
from tests.deploy.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Iterable

PAGE: Final = ROOT / "docs" / "security.md"
EXAMPLE: Final = "arbitrum"
_BLOCK: Final = re.compile(r"(?<=<!-- rights -->\n).*?(?=<!-- /rights -->)", re.DOTALL)


def table(plan: Plan) -> str:
    """Return the rights of a plan as Markdown, by who has them."""
    functions = {member: name for name, member in plan.accounts.items()}
    rows = sorted(
        {
            (
                _short(grant.member),
                functions.get(grant.member, ""),
                grant.role.removeprefix("roles/"),
                grant.on,
            )
            for grant in plan.grants
        }
    )
    lines = ["| who | function | may | on |", "|---|---|---|---|"]
    lines += [
        f"| `{who}` | {_code(function)} | `{role}` | {_thing(on)} |" for who, function, role, on in rows
    ]
    return "\n".join(lines) + "\n"


def written() -> str:
    """Return the table that the page has."""
    found = _BLOCK.search(PAGE.read_text("utf-8"))
    assert found, f"{PAGE} has lost its marks"
    return found[0]


def _short(member: str) -> str:
    name = member.partition(":")[2].partition("@")[0]
    return "Pub/Sub's agent" if "@gcp-sa-pubsub." in member else name


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _thing(on: str) -> str:
    kind, _, name = on.partition(" ")
    return f"{kind} `{name}`" if name else f"the {kind}"


def main(_arguments: Iterable[str]) -> int:
    """Write the page."""
    terraform = shutil.which("terraform")
    if terraform is None:
        sys.exit("terraform is not on the PATH")
    with tempfile.TemporaryDirectory() as folder:
        example = bundled(EXAMPLE, Path(folder))
        made = initialised(terraform, Path(folder), registry=False)
        text = table(Plan(made.plan(*example.arguments)))
    PAGE.write_text(_BLOCK.sub(lambda _: text, PAGE.read_text("utf-8")), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
