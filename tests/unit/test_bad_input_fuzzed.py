"""Whatever stands in a message or in a log, the handler goes on."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.app.log_batch import LOGS, REMOVED, LogBatch
from tests.support.world import World


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Return one world for all examples, in which one log is good."""
    made = World(tmp_path_factory.mktemp("fuzzed"))
    made.start("a")
    made.act("a", "agree_send", sees=False)
    return made


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=70),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_hex = st.one_of(
    st.integers(0, 2**300).map(hex), st.binary(max_size=70).map(lambda data: "0x" + data.hex()), st.just("0x")
)
_fields = st.sampled_from(
    ["address", "topics", "data", "blockNumber", "blockHash", "blockTimestamp", "transactionHash", "logIndex"]
)
_topics = st.lists(_hex | _json, max_size=5)


@settings(max_examples=500)
@given(changes=st.lists(st.dictionaries(_fields, _json | _hex | _topics, max_size=3), max_size=3))
def test_whatever_a_log_holds_the_rest_of_its_batch_is_done(
    fuzzed: World, changes: list[dict[str, Any]]
) -> None:
    """No content of any field stops a batch: each log is an event, a dead letter, or passed over."""
    world, good = fuzzed, dict(fuzzed.chain.blocks[-1].logs[0])
    logs = [good, *({**good, "logIndex": hex(at), **change} for at, change in enumerate(changes, 1))]
    handled = world.handler.handle(LogBatch(LOGS, 1, 0, logs).encode())
    done = handled.appended.stored + handled.appended.already_there + handled.appended.conflicting
    assert len(done) + handled.ignored + sum(handled.dead.values()) >= len(
        {orjson.dumps(log) for log in logs if log != good}
    )
    assert world.log.events_of("a")


@settings(max_examples=500)
@given(
    st.one_of(
        st.binary(max_size=40),
        _json.map(orjson.dumps),
        st.fixed_dictionaries(
            {"kind": st.sampled_from([LOGS, REMOVED]), "chainId": st.just(1), "logs": st.just([])},
            optional={"reorgCounter": _json, "timestamps": _json, "returned": _json},
        ).map(orjson.dumps),
    )
)
def test_no_message_stops_the_handler(fuzzed: World, message: bytes) -> None:
    """Whatever the bytes, they are handled or buried."""
    handled = fuzzed.handler.handle(message)
    assert handled.appended.stored == []
