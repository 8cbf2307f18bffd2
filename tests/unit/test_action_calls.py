"""The real call of an action: from what is stored of a transfer, and from what its earlier calls said."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from shared.app.action_calls import ActionCalls
from shared.app.event_log import MAPPINGS
from shared.app.quote_request import QuoteRequest
from shared.contracts.registry import load_registry
from shared.domain.hashing import transfer_hash
from shared.domain.state import STATES
from shared.errors import ChainUnavailable, ConfigError
from shared.local.escrow import calldata
from shared.ports import TransactionInfo
from tests.support.quotes import QuoteWorld
from tests.support.world import ADDRESS, RECEIVER, SENDER, registry

if TYPE_CHECKING:
    from pathlib import Path

    from shared.app.action_calls import ActionCall

OTHER_SENDER, OTHER_RECEIVER = "0x" + "cc" * 20, "0x" + "dd" * 20
SENT = "0x" + "0f" * 32


class Calls(QuoteWorld):
    """Makes calls on one escrow."""

    def call(self, action: str, transfer: str | None = "t-1", **fields: Any) -> ActionCall:
        """Make the call of an action."""
        request = QuoteRequest(self.spec, action, transfer, **fields)
        return ActionCalls(self.documents).call(request, self.chain, l1=False)

    def decoded(self, action: str, call: ActionCall) -> dict[str, Any]:
        """Return the arguments that a call carries."""
        assert call.question is not None
        arguments = self.spec.actions[action].function.decode_call(call.question.data)
        assert arguments is not None
        return arguments

    def with_custodians(self, transfer: str = "t-1", **more: Any) -> None:
        """Store a transfer between two custodians, whose wallets are known."""
        state = {"sourceCustodianId": "alpha", "destinationCustodianId": "beta", **more}
        self.documents.put(STATES, transfer, state)
        self.documents.put("custodians", "alpha", {"walletAddress": SENDER.upper().replace("0X", "0x")})
        self.documents.put("custodians", "beta", {"walletAddress": RECEIVER})

    def with_agreement(self, data: bytes, to: str = ADDRESS, *, ok: bool = True) -> None:
        """Let the receiver have agreed by a transaction with this calldata."""
        sent = TransactionInfo(SENT, OTHER_RECEIVER, to, data, None, None, ok=ok)
        header = self.chain.mine(transactions=[sent])
        assert header.number
        milestones = {"agree_receive": {"transactionHash": SENT}}
        self.with_custodians(contractKey=self.spec.key, milestones=milestones)


@pytest.fixture
def world(tmp_path: Path) -> Calls:
    """Give an escrow of which nothing is stored."""
    return Calls(tmp_path)


def agreed(transfer: str = "t-1") -> bytes:
    """Return the calldata of a receiver's agreement with other accounts and custodians than are stored."""
    parties = calldata.Parties(OTHER_SENDER, OTHER_RECEIVER, 7, 8)
    return calldata.agree_receive(transfer, parties, "reference")


def test_a_call_that_takes_the_transfer_alone_is_real(world: Calls) -> None:
    """ExecuteTransfer carries the hash of the id, or the hash as it was given; only the sender is unknown."""
    call = world.call("execute_transfer")
    assert call.question is not None
    assert call.question.data == calldata.execute_transfer("t-1")
    assert call.question.to == ADDRESS
    assert call.made_up == ("from",)
    assert world.call("execute_transfer", transfer_hash("t-1")) == call
    sent = world.call("execute_transfer", sender=SENDER)
    assert sent.made_up == ()
    assert sent.question is not None
    assert sent.question.sender == SENDER


def test_custodians_wallets_are_those_stored(world: Calls) -> None:
    """Sender and arguments come from the custodians of the transfer; what stands in is named."""
    world.with_custodians()
    call = world.call("agree_send")
    assert world.decoded("agree_send", call) == {
        "transferId": transfer_hash("t-1"), "custodianSender": SENDER, "custodianReceiver": RECEIVER,
        "fromAccount": 1, "toAccount": 2, "senderRefId": "t-1",
    }  # fmt: skip
    assert call.made_up == ("fromAccount", "toAccount")
    assert call.question is not None
    assert call.question.sender == SENDER
    received = world.call("agree_receive").question
    assert received is not None
    assert received.sender == RECEIVER


def test_an_earlier_agreement_says_what_the_other_must_repeat(world: Calls) -> None:
    """Accounts and custodians come from the other side's transaction; the reference is the transfer's own."""
    world.with_agreement(agreed())
    call = world.call("agree_send")
    assert world.decoded("agree_send", call) == {
        "transferId": transfer_hash("t-1"), "custodianSender": OTHER_SENDER,
        "custodianReceiver": OTHER_RECEIVER, "fromAccount": 7, "toAccount": 8, "senderRefId": "t-1",
    }  # fmt: skip
    assert call.made_up == ()


@pytest.mark.parametrize(
    ("data", "to", "ok"),
    [
        (agreed("t-2"), ADDRESS, True),
        (agreed(), OTHER_SENDER, True),
        (agreed(), ADDRESS, False),
        (b"\x01\x02\x03\x04", ADDRESS, True),
        (agreed()[:100], ADDRESS, True),
        (b"", ADDRESS, True),
    ],
)
def test_a_transaction_that_is_no_call_of_this_transfer_says_nothing(
    world: Calls,
    data: bytes,
    to: str,
    ok: bool,  # noqa: FBT001 - pytest hands it over by name
) -> None:
    """Another transfer's, another contract's, a failed or a garbled call is not repeated."""
    world.with_agreement(data, to, ok=ok)
    call = world.call("agree_send")
    assert call.made_up == ("fromAccount", "toAccount")
    assert world.decoded("agree_send", call)["custodianSender"] == SENDER


def test_an_earlier_transaction_that_was_taken_back_is_looked_for_again(world: Calls) -> None:
    """What a reorg took back says nothing now, and is read when it stands again."""
    world.with_agreement(agreed())
    kept = world.chain.blocks.pop()
    calls = ActionCalls(world.documents)
    request = QuoteRequest(world.spec, "agree_send", "t-1")
    assert calls.call(request, world.chain, l1=False).made_up == ("fromAccount", "toAccount")
    world.chain.blocks.append(kept)
    assert calls.call(request, world.chain, l1=False).made_up == ()
    world.chain.reachable = False
    assert calls.call(request, world.chain, l1=False).made_up == ()  # read once
    with pytest.raises(ChainUnavailable):
        world.call("agree_send")


def test_an_unmapped_hash_has_a_reference_that_stands_in(world: Calls) -> None:
    """Of a hash without a mapping the id is unknown; with one it is the id that is sent."""
    call = world.call("agree_send", transfer_hash("t-1"))
    assert "senderRefId" in call.made_up
    assert world.decoded("agree_send", call)["transferId"] == transfer_hash("t-1")
    world.documents.put(MAPPINGS, transfer_hash("t-1"), {"transferId": "t-1"})
    call = world.call("agree_send", transfer_hash("t-1"))
    assert "senderRefId" not in call.made_up
    assert world.decoded("agree_send", call)["senderRefId"] == "t-1"


def test_the_callers_own_calldata_is_taken_as_it_is(world: Calls) -> None:
    """Whoever knows the very call may say it, with the sender or without."""
    call = world.call("agree_send", None, data=b"\x01\x02\x03\x04", sender=SENDER)
    assert call.question is not None
    assert (call.question.data, call.question.sender, call.made_up) == (b"\x01\x02\x03\x04", SENDER, ())
    assert world.call("agree_send", None, data=b"\x01\x02\x03\x04").made_up == ("from",)


def test_wallets_that_are_no_addresses_are_not_sent(world: Calls) -> None:
    """What the application keeps there may be anything."""
    for wallet in ("not an address", 7, None, "0x12"):
        world.with_custodians()
        world.documents.put("custodians", "alpha", {"walletAddress": wallet})
        assert "custodianSender" in world.call("agree_send").made_up


@pytest.mark.parametrize("milestones", [None, 5, "x", [1], {"agree_receive": None}, {"agree_receive": [1]}])
def test_a_state_edited_by_hand_stops_no_quote(world: Calls, milestones: object) -> None:
    """Milestones that are none say nothing of an earlier call: what it would have said is made up."""
    world.with_custodians(contractKey=world.spec.key, milestones=milestones)
    assert "fromAccount" in world.call("agree_send").made_up


def test_without_a_transfer_or_a_rule_there_is_no_call(world: Calls) -> None:
    """The reason is told."""
    assert world.call("mint_tokens", None).because == "no transfer is named"
    bare = QuoteRequest(replace(world.spec, actions={}), "mint_tokens", "t-1")
    because = ActionCalls(world.documents).call(bare, world.chain, l1=False).because
    assert because == "the contract file has no [[actions]] entry for mint_tokens"


def test_every_action_of_the_template_makes_a_call(world: Calls) -> None:
    """The registry that ships with Plumbline knows the call of each of the six actions."""
    assert len(world.spec.actions) == 6
    for action, rule in world.spec.actions.items():
        call = world.call(action)
        assert call.question is not None
        assert call.question.data[:4].hex() == rule.function.selector[2:]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('action = "mint_tokens"', 'action = "mint"', "actions.5.: action: 'mint' is no action; known are"),
        ('action = "mint_tokens"', 'action = "burn_tokens"', "described twice"),
        ('function = "mintTokens"', 'function = "mintToken"', "function: .* did you mean 'mintTokens'"),
        ("federalTax = 10000000", "federalTaxes = 10000000", "arguments: federalTaxes: .* no such argument"),
        ("federalTax = 10000000\n", "", "federalTax: is missing"),
        ("federalTax = 10000000", 'federalTax = "much"', "argument federalTax: 'much' is no integer"),
        ("fromAccount = 1", "fromAccount = 256", "argument fromAccount: 256 does not fit"),
        ("fundSources = [70000000, ", "fundSources = [", "argument fundSources: needs 6 values"),
        ('"transfer.id"', '"transfer.name"', "'transfer.name' is no source; did you mean"),
        ('sender = "sender.wallet"', 'sender = "sender"', "sender: 'sender' is no address; did you mean"),
        ('sender = "sender.wallet"', 'form = "sender.wallet"', "form: is not a known key"),
    ],
)
def test_mistakes_in_actions_are_named(tmp_path: Path, old: str, new: str, told: str) -> None:
    """A wrong [[actions]] entry stops the start, with the entry and the key."""
    registry(tmp_path)
    [file] = tmp_path.glob("*.toml")
    text = file.read_text()
    assert old in text
    at = text.index(old)
    file.write_text(text[:at] + new + text[at + len(old) :])
    with pytest.raises(ConfigError, match=told):
        load_registry(file)
