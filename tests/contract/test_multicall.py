# ruff: noqa: F811 - fixtures are imported by name and then asked for
"""The three ways to read many contracts at once give the same results."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from eth_abi.abi import encode
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.aggregate3_code import AGGREGATE3_CODE
from shared.adapters.json_rpc import JsonRpcEndpoint
from shared.adapters.json_rpc_failures import CallRefused
from shared.adapters.multicall import MULTICALL3, Multicall, decode_aggregate3, encode_aggregate3
from shared.errors import ChainUnavailable
from shared.ports import Call, CallResult
from tests.support.chain import anvil, escrow, parties  # noqa: F401 - fixtures
from tests.support.chain_worlds import INVALID_STATE, NOBODY, UNKNOWN_HASH, reverting_call, state_call
from tests.support.rpc_server import Answer, RpcServer, error, result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shared.local.anvil import Anvil
    from shared.local.escrow.client import EscrowClient

LOCAL = Path(__file__).parents[2] / "shared" / "local"
# Stops on INVALID, which takes all the gas of its call and gives no reason.
LATEST = ("eth_getBlockByNumber", "latest", False)
GAS_EATER, GAS_EATER_CODE = "0x" + "ee" * 20, "0xfe"

addresses = st.binary(min_size=20, max_size=20).map(lambda raw: "0x" + raw.hex())


@given(st.lists(st.builds(Call, addresses, st.binary(max_size=70)), max_size=6))
def test_calls_are_encoded_as_the_abi_says(calls: list[Call]) -> None:
    """The calldata equals what a general ABI encoder makes of the same calls."""
    words = encode(["(address,bool,bytes)[]"], [[(call.to, True, call.data) for call in calls]])
    assert encode_aggregate3(calls) == "0x82ad56cb" + words.hex()


@given(st.lists(st.builds(CallResult, st.booleans(), st.binary(max_size=70)), max_size=6), st.data())
def test_results_are_decoded_as_the_abi_says(results: list[CallResult], data: st.DataObject) -> None:
    """What a general ABI encoder writes is read back, and a cut answer is never taken for a whole one."""
    words = encode(["(bool,bytes)[]"], [[(r.ok, r.data) for r in results]])
    assert decode_aggregate3("0x" + words.hex(), len(results)) == results
    with pytest.raises(ValueError, match="not a list"):
        decode_aggregate3("0x" + words.hex(), len(results) + 1)
    if results and results[-1].data:
        cut = data.draw(st.integers(0, len(words) - 33))
        with pytest.raises(ValueError, match=r"cut off|not a list|no answer"):
            decode_aggregate3("0x" + words[:cut].hex(), len(results))


def test_the_lent_code_is_its_source_compiled(tmp_path: Path) -> None:
    """Compiling Aggregate3.sol with the pinned solc gives the constant, byte for byte."""
    node, solc = shutil.which("node"), LOCAL / "node_modules" / "solc" / "solc.js"
    assert node, "node is missing: `make setup` installs it"
    assert solc.is_file(), "solc is missing: `make setup` installs it"
    settings = {
        "evmVersion": "paris",
        "optimizer": {"enabled": True, "runs": 1_000_000},
        "viaIR": True,
        "metadata": {"appendCBOR": False, "bytecodeHash": "none"},
        "outputSelection": {"*": {"*": ["evm.deployedBytecode.object"]}},
    }
    source = (LOCAL / "aggregate3" / "Aggregate3.sol").read_text()
    job = {"language": "Solidity", "sources": {"a.sol": {"content": source}}, "settings": settings}
    compiled = subprocess.run(
        [node, str(solc), "--standard-json"],
        input=orjson.dumps(job),
        capture_output=True,
        check=True,
        cwd=tmp_path,
    )
    output = orjson.loads(compiled.stdout[compiled.stdout.index(b"{") :])
    assert not output.get("errors")
    code = output["contracts"]["a.sol"]["Aggregate3"]["evm"]["deployedBytecode"]["object"]
    assert "0x" + code == AGGREGATE3_CODE


@pytest.fixture
def relay(anvil: Anvil) -> Iterator[RpcServer]:
    """Stand before the node, to see and refuse what a test likes; passes everything on at first."""
    with RpcServer(passing(anvil)) as server:
        yield server


def passing(anvil: Anvil, refuse: Callable[[Any], bool] = lambda _: False) -> Callable[[Any], Any]:
    """Pass requests on to the node, save those that ``refuse`` says."""
    endpoint = JsonRpcEndpoint(anvil.rpc_url)

    def one(request: Any) -> Any:
        if refuse(request):
            return error(request, -32602, "too many arguments, want at most 2")
        try:
            return result(request, endpoint.call(request["method"], request["params"]))
        except CallRefused as refused:
            return error(request, refused.number, str(refused), refused.data)

    return lambda request: [one(r) for r in request] if isinstance(request, list) else one(request)


def install(anvil: Anvil, address: str, code: str) -> str:
    """Put code at an address and return the hash of the block that has it."""
    anvil.rpc.call("anvil_setCode", address, code)
    anvil.rpc.call("anvil_mine", "0x1")
    return str(anvil.rpc.call(*LATEST)["hash"])


def has_override(request: Any) -> bool:
    """Say whether a request brings a state override."""
    return len(request["params"]) > 2


def to_multicall(request: Any) -> bool:
    """Say whether a request goes to Multicall3's address."""
    return str(request["params"][0].get("to")) == MULTICALL3


def test_three_ways_one_result(anvil: Anvil, escrow: EscrowClient, relay: RpcServer) -> None:
    """Deployed, lent and one by one agree on values, reverts, missing code and calls that eat their gas."""
    escrow.agree_send("t", parties(1, 1))
    pinned = install(anvil, GAS_EATER, GAS_EATER_CODE)
    state = state_call(escrow.address, "t")
    calls = [
        state,
        reverting_call(escrow.address, "u"),
        state_call(NOBODY, "t"),
        Call(GAS_EATER, b""),
        state,
    ] * 20
    two, nothing = CallResult(ok=True, data=(2).to_bytes(32)), CallResult(ok=True, data=b"")
    expected = [
        two,
        CallResult(ok=False, data=INVALID_STATE),
        nothing,
        CallResult(ok=False, data=b""),
        two,
    ] * 20

    lent = Multicall(JsonRpcEndpoint(relay.url))
    assert lent.read(calls, pinned) == expected
    assert any(has_override(request) for request in relay.seen if isinstance(request, dict))

    relay.seen.clear()
    relay.answer = passing(anvil, has_override)
    assert Multicall(JsonRpcEndpoint(relay.url)).read(calls, pinned) == expected
    assert [len(request) for request in relay.seen if isinstance(request, list)] == [100]

    relay.seen.clear()
    pinned = install(anvil, MULTICALL3, AGGREGATE3_CODE)
    assert Multicall(JsonRpcEndpoint(relay.url)).read(calls, pinned) == expected
    assert not any(has_override(request) for request in relay.seen if isinstance(request, dict))


def test_failures_without_reason_are_asked_again() -> None:
    """A call that failed in company and gave no reason, as for lack of gas, counts as answered alone."""
    two, revert = (2).to_bytes(32), bytes.fromhex("08c379a0")
    together = (
        "0x" + encode(["(bool,bytes)[]"], [[(True, two), (False, b""), (False, revert), (False, b"")]]).hex()
    )

    def answer(request: Any) -> Any:
        if isinstance(request, list):
            return [result(request[0], "0x" + two.hex()), error(request[1], -32000, "out of gas")]
        return result(request, together)

    with RpcServer(answer) as server:
        results = Multicall(JsonRpcEndpoint(server.url)).read([state_call(NOBODY, "t")] * 4, UNKNOWN_HASH)
        assert [(r.ok, r.data) for r in results] == [(True, two), (True, two), (False, revert), (False, b"")]
        assert len(server.seen) == 2


def test_the_way_that_works_is_kept(anvil: Anvil, escrow: EscrowClient, relay: RpcServer) -> None:
    """Once found, the way is used at once: a page of 1,000 reads is one request."""
    pinned = install(anvil, GAS_EATER, GAS_EATER_CODE)
    multicall = Multicall(JsonRpcEndpoint(relay.url))
    multicall.read([state_call(escrow.address, "t")], pinned)
    relay.seen.clear()
    assert len(multicall.read([state_call(escrow.address, str(i)) for i in range(1000)], pinned)) == 1000
    assert len(relay.seen) == 1


def test_too_much_at_once_is_halved(anvil: Anvil, escrow: EscrowClient, relay: RpcServer) -> None:
    """Where the endpoint takes 60 reads at most, all are read in parts that fit, and the size is kept."""
    pinned = install(anvil, MULTICALL3, AGGREGATE3_CODE)

    def too_long(request: Any) -> bool:
        return to_multicall(request) and len(request["params"][0]["data"]) > 60 * 448 + 200

    relay.answer = passing(anvil, too_long)
    multicall = Multicall(JsonRpcEndpoint(relay.url))
    calls = [state_call(escrow.address, str(i)) for i in range(200)]
    assert all(r.ok and len(r.data) == 32 for r in multicall.read(calls, pinned))
    relay.seen.clear()
    assert len(multicall.read(calls, pinned)) == 200
    assert len(relay.seen) == 4
    assert all(to_multicall(request) for request in relay.seen)


def test_batches_are_made_as_small_as_the_endpoint_wants(anvil: Anvil, escrow: EscrowClient) -> None:
    """An endpoint that takes neither override nor batches is read one call at a time."""
    escrow.agree_send("t", parties(1, 1))
    pinned = install(anvil, GAS_EATER, GAS_EATER_CODE)
    alone = passing(anvil, has_override)

    def no_batches(request: Any) -> Any:
        if isinstance(request, list):
            return Answer(
                {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "no batches"}}, 400
            )
        return alone(request)

    with RpcServer(no_batches) as server:
        results = Multicall(JsonRpcEndpoint(server.url)).read([state_call(escrow.address, "t")] * 9, pinned)
    assert results == [CallResult(ok=True, data=(2).to_bytes(32))] * 9


def test_unknown_block_leaves_the_ways_as_they_were(
    anvil: Anvil, escrow: EscrowClient, relay: RpcServer
) -> None:
    """A block that the node does not know is refused on every way, and the next page is read as before."""
    pinned = install(anvil, GAS_EATER, GAS_EATER_CODE)
    multicall = Multicall(JsonRpcEndpoint(relay.url))
    calls = [state_call(escrow.address, str(i)) for i in range(50)]
    with pytest.raises(ChainUnavailable):
        multicall.read(calls, UNKNOWN_HASH)
    assert len(multicall.read(calls, pinned)) == 50
    assert has_override(relay.seen[-1])
