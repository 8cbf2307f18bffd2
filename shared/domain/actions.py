"""The call of the contract that carries out an action, as its registry file describes it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from shared.domain.lifecycle import STEPS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.domain.abi import FunctionCodec
    from shared.domain.lifecycle import Step

ACTIONS: Final[Mapping[str, Step]] = {step.action: step for step in STEPS.values() if step.action}
"""The step that each action takes, by the action's name."""


class Source(StrEnum):
    """What an argument can be taken from: the transfer, or the wallets of its two custodians."""

    TRANSFER_HASH = "transfer.hash"
    TRANSFER_ID = "transfer.id"
    SENDER = "sender.wallet"
    RECEIVER = "receiver.wallet"


SENDER: Final = "from"
"""What the sender is called among the things made up."""
STAND_INS: Final = {
    Source.TRANSFER_HASH: "0x" + "7f" * 32,
    Source.TRANSFER_ID: "00000000-0000-4000-8000-000000000000",
    Source.SENDER: "0x" + "5e" * 20,
    Source.RECEIVER: "0x" + "4e" * 20,
}
"""Of the same length and as many non-zero bytes as the real thing, so that they cost the same gas."""


@dataclass(frozen=True, slots=True)
class ActionRule:
    """The ``function`` that an action calls; each of its arguments is a ``Source``, or a value for estimates.

    ``sender``: who sends it, a Source or an address; None: whoever the node takes.
    """

    function: FunctionCodec
    arguments: Mapping[str, Any]
    sender: str | None = None

    @property
    def needed(self) -> set[str]:
        """What ``known`` should hold, so that nothing is made up."""
        needed = {value if isinstance(value, Source) else name for name, value in self.arguments.items()}
        return needed | ({self.sender} if isinstance(self.sender, Source) else set())

    def call(self, known: Mapping[str, Any]) -> tuple[bytes, str | None, list[str]]:
        """Return calldata, sender, and the arguments that are made up (``from``: nobody knows who sends it).

        ``known`` holds what is known of sources and, by their names, of arguments; the rest is made up.
        Raises InvalidInput for a value that does not fit the argument's type.
        """
        values, made_up = {}, []
        for name, value in self.arguments.items():
            key = value if isinstance(value, Source) else name
            if key in known:
                values[name] = known[key]
            else:
                values[name] = STAND_INS[value] if isinstance(value, Source) else value
                made_up.append(name)
        sender = known.get(self.sender) if isinstance(self.sender, Source) else self.sender
        if sender is None:
            made_up.append(SENDER)
        return self.function.encode(values), sender, made_up
