"""The logs of a block, proved where they can be, from endpoints that are honest, lame, or lying."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.block_logs import BlockLogs
from shared.adapters.ethereum_shapes import read_header
from shared.adapters.json_rpc import JsonRpcEndpoint
from shared.adapters.json_rpc_failures import NotThere, refusal
from shared.errors import ChainUnavailable, DoubtfulAnswer, RateLimited
from shared.local import chain_control
from shared.local.escrow import calldata
from tests.support.blocks import recorded
from tests.support.chain import parties
from tests.support.clock import FakeClock

if TYPE_CHECKING:
    from shared.domain.blocks import Header
    from shared.local.anvil import Anvil
    from shared.local.escrow.client import EscrowClient

RECEIPTS, LOGS = "eth_getBlockReceipts", "eth_getLogs"
BLOCK, RECEIPT = "eth_getBlockByHash", "eth_getTransactionReceipt"
BLOCKS = ("block_1", "block_40", "block_300", "types")
TYPES = recorded("types")
OURS = TYPES["logs"][0]["address"]
STRANGER = "0x" + "5c" * 20
UNKNOWN = [
    (-32601, "the method eth_getBlockReceipts does not exist/is not available"),
    (-32601, "Method not found"),
    (-32600, "Unsupported method: eth_getBlockReceipts on ETH_MAINNET"),
    (-32004, "This request is not supported by your client"),
    (-32602, "invalid argument 0: hex string has length 64, want 16 for a block number"),
    (-32000, "Method eth_getBlockReceipts is not allowed"),
    (-32000, "rpc method is not whitelisted"),
    (-32053, "eth_getBlockReceipts is not available on your plan, please upgrade"),
    (403, "method disabled"),
]


class Endpoint:
    """Answers from one recorded block, or by what a test puts in: a value or an error.

    It gives no receipts singly, unless a test puts them in by the hash of their transaction.
    """

    name = "endpoint 1"

    def __init__(self, block: Any, **instead: Any) -> None:
        self.asked: list[str] = []
        self.singly: dict[str, Any] = {}
        self.answers = {RECEIPTS: block["receipts"], LOGS: block["logs"], BLOCK: block["block"], **instead}

    def call(self, method: str, params: Any) -> Any:
        """Answer as the node would."""
        self.asked.append(method)
        answer = self.answers[method]
        if isinstance(answer, Exception):
            raise answer
        if method == LOGS:
            assert params[0]["blockHash"]
            answer = [log for log in answer if log["address"] in params[0]["address"]]
        return deepcopy(answer)

    def batch(self, calls: Any) -> list[Any]:
        """Answer for receipts of transactions."""
        self.asked += dict.fromkeys(method for method, _ in calls)
        unknown = refusal("endpoint 1 refused it", {"code": -32601, "message": "Method not found"})
        return [self.singly.get(params[0], unknown) for _, params in calls]


def header_of(block: Any) -> Header:
    """Read the header of a recorded block."""
    header = read_header(block["block"])
    assert header is not None
    return header


def refused(number: int, message: str) -> ChainUnavailable:
    """Return what the endpoint raises for this refusal."""
    return refusal(f"endpoint 1 refused {RECEIPTS}", {"code": number, "message": message})


def having_proved(clock: FakeClock | None = None) -> BlockLogs:
    """Return a reader that knows that this chain's blocks can be proved."""
    blocks = BlockLogs((clock or FakeClock()).monotonic_s)
    assert blocks.read(Endpoint(recorded("block_40")), header_of(recorded("block_40")), [OURS]).proved
    return blocks


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that a test moves."""
    return FakeClock()


@pytest.fixture
def blocks(clock: FakeClock) -> BlockLogs:
    """Return a reader that knows nothing yet."""
    return BlockLogs(clock.monotonic_s)


@pytest.mark.parametrize("name", BLOCKS)
def test_receipts_prove_the_logs(blocks: BlockLogs, name: str) -> None:
    """One request gives the very logs of eth_getLogs, proved, with the senders of their transactions."""
    block = recorded(name)
    endpoint = Endpoint(block)
    reading = blocks.read(endpoint, header_of(block), [OURS.upper().replace("X", "x")])
    assert reading.logs == block["logs"]
    assert reading.proved
    assert endpoint.asked == [RECEIPTS]
    sent = {receipt["transactionHash"]: receipt["from"] for receipt in block["receipts"] if receipt["logs"]}
    assert reading.senders == sent


def test_an_excluding_bloom_proves_that_there_is_nothing(blocks: BlockLogs) -> None:
    """Where a genuine bloom has none of our addresses, nothing is asked."""
    for name, addresses in (("types", [STRANGER]), ("block_0", [OURS]), ("types", [])):
        endpoint = Endpoint(recorded(name))
        reading = blocks.read(endpoint, header_of(recorded(name)), addresses)
        assert (reading.logs, reading.proved, endpoint.asked) == ([], True, [])


def test_a_bloom_that_is_not_genuine_excludes_nothing(blocks: BlockLogs) -> None:
    """The bloom of a header that could not be recomputed is not believed."""
    header = replace(header_of(TYPES), recomputed=False, logs_bloom=bytes(256))
    reading = blocks.read(Endpoint(TYPES), header, [OURS])
    assert reading.logs == TYPES["logs"]
    assert not reading.proved


LIES = {
    "a receipt is null": lambda receipts, i, _: receipts.__setitem__(i, None),
    "a receipt is missing": lambda receipts, i, _: receipts.pop(i),
    "receipts change places": lambda receipts, i, other: receipts.insert(other, receipts.pop(i)),
    "a receipt comes twice": lambda receipts, i, _: receipts.append(receipts[i]),
    "two receipts are of one transaction": lambda receipts, i, other: (
        receipts[i].update(transactionHash=receipts[other]["transactionHash"]),
        lie(receipts, i, transactionHash=receipts[other]["transactionHash"]),
    ),
    "a receipt is of another block": lambda receipts, i, _: receipts[i].update(blockNumber="0x1"),
    "a receipt has no logs": lambda receipts, i, _: receipts[i].update(logs=[]),
    "a log is of another block": lambda receipts, i, _: lie(receipts, i, blockHash="0x" + "ab" * 32),
    "a log is of another transaction": lambda receipts, i, other: lie(
        receipts, i, transactionHash=receipts[other]["transactionHash"]
    ),
    "a log has another number": lambda receipts, i, _: lie(receipts, i, logIndex="0x63"),
    "a log has another topic": lambda receipts, i, _: lie(receipts, i, topics=["0x" + "ab" * 32]),
    "a log has other data": lambda receipts, i, _: lie(receipts, i, data="0x"),
    "a log was removed": lambda receipts, i, _: lie(receipts, i, removed=True),
    "a log is moved": lambda receipts, i, other: receipts[other]["logs"].append(receipts[i]["logs"].pop()),
    "a log is added": lambda receipts, i, _: receipts[i]["logs"].append(receipts[i]["logs"][0]),
}


def lie(receipts: Any, i: int, **fields: Any) -> None:
    """Put other fields into the only log of a receipt."""
    receipts[i]["logs"][0].update(fields)


@given(st.sampled_from(sorted(LIES)), st.integers(0, 4), st.integers(1, 4))
def test_no_lie_is_proved(what: str, i: int, by: int) -> None:
    """Receipts that were dropped, altered, added to or moved are refused; never are they taken as proved."""
    receipts = deepcopy(TYPES["receipts"])
    LIES[what](receipts, i, (i + by) % 5)
    lying = Endpoint(TYPES, **{RECEIPTS: receipts})
    with pytest.raises(DoubtfulAnswer):
        having_proved().read(lying, header_of(TYPES), [OURS])
    with pytest.raises(DoubtfulAnswer):
        BlockLogs(FakeClock().monotonic_s).read(lying, header_of(TYPES), [OURS])


def test_a_consistent_liar(blocks: BlockLogs) -> None:
    """Logs that are missing in receipts and in eth_getLogs alike are missed by the genuine header's bloom."""
    fewer = deepcopy(TYPES["receipts"])
    fewer[2]["logs"] = []
    logs = [log for receipt in fewer for log in receipt["logs"]]
    with pytest.raises(DoubtfulAnswer, match="bloom"):
        blocks.read(Endpoint(TYPES, **{RECEIPTS: fewer, LOGS: logs}), header_of(TYPES), [OURS])


def test_a_bloom_that_agrees_is_no_proof() -> None:
    """Of logs that set the same bits one can be missing: root or witness tell, the bloom does not."""
    block = recorded("block_40")
    receipts = deepcopy(block["receipts"])
    spare = deepcopy(receipts[3]["logs"][0])
    twice = replace(header_of(block), receipts_root="0x" + "77" * 32)
    lying = Endpoint(block, **{RECEIPTS: receipts, LOGS: [*block["logs"], {**spare, "logIndex": "0x28"}]})
    fresh = BlockLogs(FakeClock().monotonic_s)
    with pytest.raises(DoubtfulAnswer, match="differ"):
        fresh.read(lying, twice, [OURS])
    with pytest.raises(DoubtfulAnswer, match="root"):
        having_proved().read(lying, twice, [OURS])


@pytest.mark.parametrize("bloom", [None, bytes(256), b"\xff" * 256])
def test_a_chain_whose_blocks_cannot_be_proved(blocks: BlockLogs, bloom: bytes | None) -> None:
    """Its logs are read by hash and compared with the receipts; the grade is lower, and nobody is doubted."""
    header = replace(header_of(TYPES), recomputed=False, logs_bloom=bloom)
    endpoint = Endpoint(TYPES)
    reading = blocks.read(endpoint, header, [OURS])
    assert (reading.logs, reading.proved, endpoint.asked) == (TYPES["logs"], False, [RECEIPTS, LOGS])
    assert len(reading.senders) == 5
    with pytest.raises(DoubtfulAnswer, match="differ"):
        blocks.read(Endpoint(TYPES, **{LOGS: TYPES["logs"][1:]}), header, [OURS])


def test_blooms_count_on_a_chain_that_keeps_them(blocks: BlockLogs) -> None:
    """Without a proof, too, logs are missing where the block's bloom is not theirs, once it ever was."""
    header = replace(header_of(TYPES), recomputed=False)
    assert not blocks.read(Endpoint(TYPES), header, [OURS]).proved
    fewer = deepcopy(TYPES["receipts"])
    fewer[2]["logs"] = []
    logs = [log for receipt in fewer for log in receipt["logs"]]
    with pytest.raises(DoubtfulAnswer, match="bloom"):
        blocks.read(Endpoint(TYPES, **{RECEIPTS: fewer, LOGS: logs}), header, [OURS])


def test_a_header_that_is_not_genuine_on_a_chain_of_proofs() -> None:
    """Once a block was proved, a header without the hash of its fields is refused and nothing asked."""
    blocks, endpoint = having_proved(), Endpoint(TYPES)
    header = replace(header_of(TYPES), recomputed=False)
    for refuse in (lambda: blocks.check(header), lambda: blocks.read(endpoint, header, [OURS])):
        with pytest.raises(DoubtfulAnswer, match="hash of its fields"):
            refuse()
    assert endpoint.asked == []
    blocks.check(header_of(TYPES))


def test_a_chain_that_changes_its_headers(clock: FakeClock) -> None:
    """Where nothing can be proved for five minutes the grade is lower, until a block is proved again."""
    blocks = having_proved(clock)
    header = replace(header_of(TYPES), recomputed=False)
    for _ in range(3):
        with pytest.raises(DoubtfulAnswer):
            blocks.read(Endpoint(TYPES), header, [OURS])
        clock.advance(100)
    assert not blocks.read(Endpoint(TYPES), header, [OURS]).proved
    assert not blocks.read(Endpoint(TYPES), header, [OURS]).proved
    assert blocks.read(Endpoint(TYPES), header_of(TYPES), [OURS]).proved
    with pytest.raises(DoubtfulAnswer):
        blocks.read(Endpoint(TYPES), header, [OURS])


def test_a_proof_in_between(clock: FakeClock) -> None:
    """Each proof starts the five minutes anew: what fails now and then is the endpoint, not the chain."""
    blocks = having_proved(clock)
    header = replace(header_of(TYPES), recomputed=False)
    for _ in range(4):
        with pytest.raises(DoubtfulAnswer):
            blocks.check(header)
        clock.advance(200)
        assert blocks.read(Endpoint(TYPES), header_of(TYPES), [OURS]).proved


@pytest.mark.parametrize(("number", "message"), UNKNOWN)
def test_an_endpoint_without_receipts(blocks: BlockLogs, clock: FakeClock, number: int, message: str) -> None:
    """Refused as unknown, the method is let be for ten seconds; the logs are asked for by hash."""
    lame = Endpoint(TYPES, **{RECEIPTS: refused(number, message)})
    for asked in ([RECEIPTS, BLOCK, RECEIPT, LOGS], [LOGS], [LOGS], [RECEIPTS, LOGS]):
        reading = blocks.read(lame, header_of(TYPES), [OURS])
        assert (reading.logs, reading.proved, reading.senders) == (TYPES["logs"], False, {})
        assert lame.asked == asked
        lame.asked.clear()
        clock.advance(4)
    clock.advance(8)
    lame.answers[RECEIPTS] = TYPES["receipts"]
    assert blocks.read(lame, header_of(TYPES), [OURS]).proved


def singly(block: Any) -> dict[str, Any]:
    """Return a block's receipts by the hashes of their transactions."""
    return {receipt["transactionHash"]: receipt for receipt in deepcopy(block["receipts"])}


def without_receipts(block: Any, **instead: Any) -> Endpoint:
    """Return an endpoint that gives receipts of transactions, and none of blocks; its log index is empty."""
    endpoint = Endpoint(block, **{RECEIPTS: refused(-32601, "Method not found"), LOGS: [], **instead})
    endpoint.singly = singly(block)
    return endpoint


@pytest.mark.parametrize("name", ["block_1", "block_40", "types"])
def test_receipts_prove_one_by_one(blocks: BlockLogs, name: str) -> None:
    """Where there are none by block each transaction's is asked for: together they prove as much."""
    block = recorded(name)
    endpoint = without_receipts(block)
    whole = blocks.read(Endpoint(block), header_of(block), [OURS])
    reading = blocks.read(endpoint, header_of(block), [OURS])
    assert reading.proved
    assert reading == whole
    assert endpoint.asked == [RECEIPTS, BLOCK, RECEIPT]


def test_a_large_block_is_not_read_one_by_one(blocks: BlockLogs, clock: FakeClock) -> None:
    """Three hundred requests for one block are too many: its logs are asked for, and read again later."""
    block = recorded("block_300")
    endpoint = without_receipts(block, **{LOGS: block["logs"]})
    reading = blocks.read(endpoint, header_of(block), [OURS])
    assert (reading.logs, reading.proved) == (block["logs"], False)
    assert endpoint.asked == [RECEIPTS, BLOCK, LOGS]
    endpoint.asked.clear()
    blocks.read(endpoint, header_of(block), [OURS])
    assert endpoint.asked == [LOGS]
    clock.advance(60)
    blocks.read(endpoint, header_of(block), [OURS])
    assert endpoint.asked == [LOGS, RECEIPTS, BLOCK, LOGS]


@pytest.mark.parametrize("what", ["one is null", "the block is null", "no list", "limited", "nonsense"])
def test_what_is_not_given_one_by_one_makes_nothing_fail(blocks: BlockLogs, what: str) -> None:
    """Whoever gives single receipts in part, or fails with them, is asked for its logs, as without them."""
    endpoint = without_receipts(TYPES, **{LOGS: TYPES["logs"]})
    first = TYPES["receipts"][0]["transactionHash"]
    if what == "one is null":
        endpoint.singly[first] = None
    elif what == "nonsense":
        endpoint.singly[first] = {"transactionHash": first}
    else:
        told = {"the block is null": None, "no list": {}, "limited": RateLimited("endpoint 1: HTTP 429", 7.0)}
        endpoint.answers[BLOCK] = told[what]
    reading = blocks.read(endpoint, header_of(TYPES), [OURS])
    assert (reading.logs, reading.proved) == (TYPES["logs"], False)


def test_a_lie_told_one_by_one_is_found_out() -> None:
    """Receipts that do not add up are doubted, and single ones not asked for again for a while."""
    endpoint = without_receipts(TYPES, **{LOGS: TYPES["logs"]})
    endpoint.singly[TYPES["receipts"][0]["transactionHash"]]["logs"] = []
    blocks = having_proved()
    with pytest.raises(DoubtfulAnswer):
        blocks.read(endpoint, header_of(TYPES), [OURS])
    assert not blocks.read(endpoint, header_of(TYPES), [OURS]).proved
    assert endpoint.asked[-1:] == [LOGS]
    assert endpoint.asked.count(BLOCK) == 1


@pytest.mark.parametrize(
    ("number", "message"),
    [(-32000, "header not found"), (-32000, "unknown block"), (-32603, "internal error"), (0, "timeout")],
)
def test_other_refusals_are_failures(blocks: BlockLogs, number: int, message: str) -> None:
    """What does not say that the method is missing is no answer, and is not remembered."""
    endpoint = Endpoint(TYPES, **{RECEIPTS: refused(number, message)})
    with pytest.raises(ChainUnavailable):
        blocks.read(endpoint, header_of(TYPES), [OURS])
    endpoint.answers[RECEIPTS] = TYPES["receipts"]
    assert blocks.read(endpoint, header_of(TYPES), [OURS]).proved


def test_an_endpoint_that_never_says_why(blocks: BlockLogs, clock: FakeClock) -> None:
    """Where receipts fail for a while and logs do not, it does without receipts for a minute."""
    endpoint = Endpoint(TYPES, **{RECEIPTS: ChainUnavailable("endpoint 1: HTTP 403")})
    for _ in range(5):
        with pytest.raises(ChainUnavailable):
            blocks.read(endpoint, header_of(TYPES), [OURS])
        clock.advance(0.3)
    for asked in ([RECEIPTS, BLOCK, RECEIPT, LOGS], [LOGS]):
        endpoint.asked.clear()
        assert not blocks.read(endpoint, header_of(TYPES), [OURS]).proved
        assert endpoint.asked == asked
    clock.advance(61)
    endpoint.answers[RECEIPTS] = TYPES["receipts"]
    assert blocks.read(endpoint, header_of(TYPES), [OURS]).proved


def test_an_endpoint_that_is_down(blocks: BlockLogs, clock: FakeClock) -> None:
    """Where everything fails nothing is learned of receipts: the first answer is proved again."""
    gone = ChainUnavailable("endpoint 1 cannot be reached")
    endpoint = Endpoint(TYPES, **{RECEIPTS: gone, LOGS: gone})
    for _ in range(5):
        with pytest.raises(ChainUnavailable):
            blocks.read(endpoint, header_of(TYPES), [OURS])
        clock.advance(1)
    assert blocks.read(Endpoint(TYPES), header_of(TYPES), [OURS]).proved


def test_a_rate_limit_is_told_as_one(blocks: BlockLogs) -> None:
    """The pause that an endpoint asks for reaches the caller, and is no failure of the method."""
    endpoint = Endpoint(TYPES, **{RECEIPTS: RateLimited("endpoint 1: HTTP 429", 7.0)})
    for _ in range(4):
        with pytest.raises(RateLimited) as raised:
            blocks.read(endpoint, header_of(TYPES), [OURS])
        assert raised.value.retry_after_s == 7.0


@pytest.mark.parametrize(
    "answer", [None, {}, "0x", [None], [[]], [{}], [{**TYPES["receipts"][0], "from": None}]]
)
def test_answers_that_are_no_receipts(blocks: BlockLogs, answer: Any) -> None:
    """An unknown block and nonsense make the endpoint unavailable; only nonsense makes it doubtful."""
    with pytest.raises(ChainUnavailable) as raised:
        blocks.read(Endpoint(TYPES, **{RECEIPTS: answer}), header_of(TYPES), [OURS])
    assert isinstance(raised.value, NotThere if answer is None else DoubtfulAnswer)


def test_logs_numbered_in_each_transaction(blocks: BlockLogs) -> None:
    """The numbering of a chain is taken as its log index has it, too, but not one that was another before."""
    each, logs = numbered_in_each()
    endpoint = Endpoint(TYPES, **{RECEIPTS: each, LOGS: logs})
    reading = blocks.read(endpoint, header_of(TYPES), [OURS])
    assert reading.proved
    assert reading.logs == logs
    with pytest.raises(DoubtfulAnswer, match="numbered"):
        having_proved().read(endpoint, header_of(TYPES), [OURS])


def test_receipts_alone_numbered_in_each_transaction(blocks: BlockLogs) -> None:
    """The log index, from which a range is read, has the block's numbers: so has what is proved."""
    each, _ = numbered_in_each()
    reading = blocks.read(Endpoint(TYPES, **{RECEIPTS: each}), header_of(TYPES), [OURS])
    assert reading.proved
    assert reading.logs == [log for receipt in TYPES["receipts"] for log in receipt["logs"]]
    for lies in ([], TYPES["logs"][1:]):
        with pytest.raises(DoubtfulAnswer, match="differ"):
            blocks.read(Endpoint(TYPES, **{RECEIPTS: each, LOGS: lies}), header_of(TYPES), [OURS])


def numbered_in_each() -> tuple[list[Any], list[Any]]:
    """Return receipts, and their logs, numbered from 0 in each transaction."""
    receipts = deepcopy(TYPES["receipts"])
    for receipt in receipts:
        receipt["logs"][0]["logIndex"] = "0x0"
    return receipts, [log for receipt in receipts for log in receipt["logs"]]


def oddly_numbered() -> tuple[list[Any], list[Any]]:
    """Return receipts, and their logs, numbered as high as 32 bits go."""
    receipts = deepcopy(TYPES["receipts"])
    logs = [log for receipt in receipts for log in receipt["logs"]]
    for at, log in enumerate(logs):
        log["logIndex"] = hex(0xFFFFFFE2 + at)
    return receipts, logs


def test_numbers_that_a_chain_did_not_have_before(clock: FakeClock) -> None:
    """What receipts and log index tell alike, and go on to tell, is the chain's own numbering."""
    receipts, logs = oddly_numbered()
    endpoint, blocks = Endpoint(TYPES, **{RECEIPTS: receipts, LOGS: logs}), having_proved(clock)
    for _ in range(10):
        with pytest.raises(DoubtfulAnswer, match="numbered"):
            blocks.read(endpoint, header_of(TYPES), [OURS])
        assert blocks.read(Endpoint(recorded("block_40")), header_of(recorded("block_40")), [OURS]).proved
        clock.advance(0.5)
    for _ in range(2):
        reading = blocks.read(endpoint, header_of(TYPES), [OURS])
        assert reading.logs == logs
        assert not reading.proved
    blocks.read(Endpoint(recorded("block_40")), header_of(recorded("block_40")), [OURS])
    assert blocks.read(endpoint, header_of(TYPES), [OURS]).logs == logs


def test_numbers_that_two_answers_tell_differently(clock: FakeClock) -> None:
    """Numbers of receipts that are not those of the log index are a lie, however long it lasts."""
    receipts, _ = oddly_numbered()
    endpoint, blocks = Endpoint(TYPES, **{RECEIPTS: receipts}), having_proved(clock)
    for _ in range(100):
        with pytest.raises(DoubtfulAnswer):
            blocks.read(endpoint, header_of(TYPES), [OURS])
        clock.advance(1)


def test_logs_of_another_block(blocks: BlockLogs) -> None:
    """Logs by hash are of that block, or the endpoint is doubted."""
    other = Endpoint(recorded("block_1"), **{RECEIPTS: refused(-32601, "Method not found")})
    with pytest.raises(DoubtfulAnswer, match="another block"):
        blocks.read(other, header_of(TYPES), [OURS])


def test_an_endpoint_that_takes_no_hashes(blocks: BlockLogs) -> None:
    """Logs are asked for by height where a hash is not taken, and count if the block is the same after it."""

    class ByHeight(Endpoint):
        def call(self, method: str, params: Any) -> Any:
            if method == LOGS and "blockHash" in params[0]:
                raise refusal("endpoint 1 refused it", {"code": -32602, "message": "unknown field blockHash"})
            if method == LOGS:
                params = [{**params[0], "blockHash": "any"}]
            return super().call(method, params)

    no_receipts = refused(-32601, "Method not found")
    endpoint = ByHeight(TYPES, **{RECEIPTS: no_receipts, "eth_getBlockByNumber": TYPES["block"]})
    assert blocks.read(endpoint, header_of(TYPES), [OURS]).logs == TYPES["logs"]
    endpoint.answers["eth_getBlockByNumber"] = recorded("block_40")["block"]
    with pytest.raises(NotThere, match="another block"):
        blocks.read(endpoint, header_of(TYPES), [OURS])
    endpoint.answers["eth_getBlockByNumber"] = None
    with pytest.raises(NotThere):
        blocks.read(endpoint, header_of(TYPES), [OURS])


def test_a_real_node(shared_anvil: Anvil, shared_escrow: EscrowClient) -> None:
    """Block by block a real node's chain is proved, and the logs are those that it gives by range."""
    with chain_control.one_block(shared_anvil.rpc):
        for i in range(5):
            data = "0x" + calldata.agree_send(f"PROOF-{i}", parties(1, 1)).hex()
            sent = {
                "from": shared_escrow.account,
                "to": shared_escrow.address,
                "data": data,
                "gas": "0x493e0",
            }
            shared_anvil.rpc.call("eth_sendTransaction", sent)
    chain_control.mine(shared_anvil.rpc, 2)
    endpoint = JsonRpcEndpoint(shared_anvil.rpc_url, timeout_s=10)
    blocks, read = BlockLogs(FakeClock().monotonic_s), []
    for number in range(chain_control.block_number(shared_anvil.rpc) + 1):
        header = read_header(endpoint.call("eth_getBlockByNumber", [hex(number), False]))
        assert header is not None
        reading = blocks.read(endpoint, header, [shared_escrow.address])
        assert reading.proved
        assert set(reading.senders.values()) <= {shared_escrow.account.lower()}
        read += reading.logs
    whole = {"fromBlock": "0x0", "toBlock": "latest", "address": shared_escrow.address}
    assert read == endpoint.call(LOGS, [whole])
    assert len(read) >= 5
    with pytest.raises(ChainUnavailable):
        blocks.read(endpoint, replace(header_of(TYPES), hash="0x" + "ab" * 32), [OURS])
    endpoint.close()
