from __future__ import annotations

from typing import Any

import pytest
from eth_abi.abi import decode as oracle_decode
from eth_abi.abi import encode as oracle_encode
from eth_abi.exceptions import DecodingError
from eth_utils.abi import event_abi_to_log_topic, function_abi_to_4byte_selector
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.domain.abi import compile_event, compile_function, signature
from shared.errors import InvalidInput, UndecodableLog
from tests.support.abi_values import ARGUMENTS, calls


def _event(arguments: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "event", "name": "Happened", "inputs": arguments}


def _spellings(arguments: list[dict[str, Any]]) -> list[str]:
    return [signature({"name": "", "inputs": [argument]})[1:-1] for argument in arguments]


def _decode(arguments: list[dict[str, Any]], data: bytes) -> list[Any]:
    decoder = compile_event(_event(arguments))
    return list(decoder.decode([decoder.topic0], data).values())


@settings(max_examples=500)
@given(calls())
@example(([{"name": "a", "type": "uint256"}], [2**256 - 1], [str(2**256 - 1)]))
@example(([{"name": "a", "type": "uint64"}], [2**64 - 1], [str(2**64 - 1)]))
@example(([{"name": "a", "type": "string"}], ["\0𝄞\0"], ["\0𝄞\0"]))
@example(([{"name": "a", "type": "string[][2]"}], [[["\0"], []]], [[["\0"], []]]))
def test_it_agrees_with_eth_abi_both_ways(call: tuple[list[Any], list[Any], list[Any]]) -> None:
    """What eth_abi encodes is decoded to the document's values, and those are encoded to the same bytes."""
    arguments, raw, documents = call
    data = oracle_encode(_spellings(arguments), raw)
    assert _decode(arguments, data) == documents
    function = compile_function({"name": "f", "inputs": arguments, "outputs": arguments})
    assert function.encode(documents) == bytes.fromhex(function.selector[2:]) + data
    assert function.decode_result(data) == documents
    named = {argument["name"]: value for argument, value in zip(arguments, documents, strict=True)}
    assert function.decode_call(function.encode(named)) == named


@settings(max_examples=500)
@given(calls(), st.data())
def test_damaged_data_never_gives_what_eth_abi_would_not(
    call: tuple[list[Any], list[Any], list[Any]], random: st.DataObject
) -> None:
    """Data with bytes changed or cut off is refused where eth_abi refuses it, else read as it reads it."""
    arguments, raw, _ = call
    spellings = [name.replace("string", "bytes") for name in _spellings(arguments)]
    as_bytes = _without_strings(arguments)
    data = bytearray(oracle_encode(_spellings(arguments), raw))
    for _ in range(random.draw(st.integers(1, 2))):
        at = random.draw(st.integers(0, len(data) - 1))
        data[at] = random.draw(st.sampled_from([0, 1, 2, 31, 32, 33, 64, 255]))
    damaged = bytes(data[: random.draw(st.integers(0, len(data)) | st.just(len(data)))])
    try:
        mine = _decode(as_bytes, damaged)
    except UndecodableLog:
        return
    theirs = oracle_decode(spellings, damaged)
    assert [_plain(value) for value in mine] == [_plain(value) for value in theirs]


@settings(max_examples=500)
@given(calls(), st.data())
def test_damaged_data_is_refused_only_where_it_must_be(
    call: tuple[list[Any], list[Any], list[Any]], random: st.DataObject
) -> None:
    """Data cut short or with a value's byte changed is refused only where eth_abi refuses it, too."""
    arguments, raw, _ = call
    static = [
        a for a in arguments if "string" not in str(a) and "bytes'" not in str(a) and "[]" not in str(a)
    ]
    kept = [i for i, argument in enumerate(arguments) if argument in static]
    if not kept:
        return
    data = bytearray(oracle_encode(_spellings(static), [raw[i] for i in kept]))
    data[random.draw(st.integers(0, len(data) - 1))] ^= random.draw(st.integers(1, 255))
    damaged = bytes(data[: random.draw(st.integers(0, len(data)) | st.just(len(data)))])
    try:
        theirs = oracle_decode(_spellings(static), damaged)
    except (DecodingError, OverflowError):  # the latter where a length is read as an index
        with pytest.raises(UndecodableLog):
            _decode(static, damaged)
    else:
        assert [_plain(v) for v in _decode(static, damaged)] == [_plain(v) for v in theirs]


def _without_strings(arguments: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            **argument,
            "type": argument["type"].replace("string", "bytes"),
            "components": _without_strings(argument.get("components", [])),
        }
        for argument in arguments
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return [_plain(item) for item in value.values()]
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        return "0x" + value.hex()
    return value if isinstance(value, bool) else str(value)


@settings(max_examples=100)
@given(ARGUMENTS)
def test_topics_and_selectors_are_those_of_ethereum(arguments: list[dict[str, Any]]) -> None:
    """The first topic of an event and the selector of a function are what eth_utils computes."""
    event, function = _event(arguments), {"type": "function", "name": "run", "inputs": arguments}
    assert compile_event(event).topic0 == "0x" + event_abi_to_log_topic(event).hex()  # type: ignore[arg-type]
    expected = function_abi_to_4byte_selector(function)  # type: ignore[arg-type]
    assert compile_function(function).selector == "0x" + expected.hex()


WORDS = {"one": f"{1:064x}", "two": f"{2:064x}", "full": "f" * 64, "at32": f"{32:064x}", "none": "0" * 64}
MALFORMED = [
    ("bool", ["two"], "argument it: 2 is neither"),
    ("uint8", ["full"], "argument it: .* does not fit 8 bits"),
    ("int8", [f"{128:064x}"], "argument it: 128 does not fit 8 bits"),
    ("address", ["full"], "argument it: .* longer than an address"),
    ("bytes4", ["one"], "argument it: .* longer than 4 bytes"),
    ("uint256", [], "argument it: the data ends"),
    ("string", ["at32"], "argument it: its offset 32 lies outside"),
    ("string", ["none", "none"], "argument it: its offset 0 lies outside"),
    ("string", ["full", "none"], "argument it: its offset .* lies outside"),
    ("string", ["at32", "one"], "argument it: 1 bytes are announced and 0 are there"),
    ("bytes", ["at32", "one", "full"], "argument it: the padding is not zero"),
    ("bytes", ["at32", "full", "none"], "argument it: .* bytes are announced and 32 are there"),
    ("uint256[]", ["at32", "full", "one"], "argument it: .* items are announced"),
    ("bool[2]", ["one", "two"], r"argument it\[1\]: 2 is neither"),
]


@pytest.mark.parametrize(("kind", "words", "message"), MALFORMED)
def test_malformed_data_is_refused_by_name(kind: str, words: list[str], message: str) -> None:
    """What breaks the encoding is an UndecodableLog that names event and argument."""
    data = "".join(WORDS.get(word, word) for word in words)
    decoder = compile_event(_event([{"name": "it", "type": kind}]))
    with pytest.raises(UndecodableLog, match=f"Happened: {message}"):
        decoder.decode([decoder.topic0], "0x" + data)


def test_the_path_into_structs_and_arrays_is_named() -> None:
    """An error deep inside says which part of which item of which argument it is."""
    parts = [{"name": "ok", "type": "bool"}, {"name": "year", "type": "uint16"}]
    decoder = compile_event(_event([{"name": "sources", "type": "tuple[2]", "components": parts}]))
    words = [WORDS["one"], WORDS["one"], WORDS["one"], WORDS["full"]]
    with pytest.raises(UndecodableLog, match=r"Happened: argument sources\[1\]\.year: "):
        decoder.decode([decoder.topic0], "0x" + "".join(words))


INDEXED = compile_event(
    _event(
        [
            {"name": "who", "type": "address", "indexed": True},
            {"name": "what", "type": "string", "indexed": True},
            {"name": "list", "type": "uint8[2]", "indexed": True},
            {"name": "", "type": "bool"},
        ]
    )
)
TOPICS = [INDEXED.topic0, "0x" + "0" * 24 + "Ab" * 20, "0x" + "12" * 32, "0x" + "34" * 32]


def test_indexed_arguments_come_from_the_topics() -> None:
    """A value comes from its topic, an indexed string or array is its hash, a nameless one has its place."""
    assert INDEXED.decode(TOPICS, "0x" + WORDS["one"]) == {
        "who": "0x" + "ab" * 20,
        "what": "0x" + "12" * 32,
        "list": "0x" + "34" * 32,
        "3": True,
    }


@pytest.mark.parametrize(
    ("topics", "data", "message"),
    [
        (TOPICS[:3], "0x" + WORDS["one"], "the log has 3 topics, not 4"),
        ([*TOPICS, TOPICS[1]], "0x" + WORDS["one"], "the log has 5 topics, not 4"),
        ([TOPICS[0], "0x" + "ff" * 32, *TOPICS[2:]], "0x" + WORDS["one"], "argument who: "),
        ([TOPICS[0], "0x12", *TOPICS[2:]], "0x" + WORDS["one"], "argument who: '0x12' is not 32 bytes"),
        ([TOPICS[1], *TOPICS[1:]], "0x" + WORDS["one"], "the topic of another event"),
        (TOPICS, "0x" + WORDS["one"][:-1], "argument data: .* is not 0x hex"),
        (TOPICS, "0x" + "0 " * 32, "argument data: .* is not 0x hex"),
        (TOPICS, WORDS["one"], "argument data: .* is not 0x hex"),
        (TOPICS, None, "argument data: None is not 0x hex"),
    ],
)
def test_a_malformed_log_is_refused(topics: list[str], data: str, message: str) -> None:
    """A wrong number of topics, and topics or data that are no hex, are named."""
    with pytest.raises(UndecodableLog, match=message):
        INDEXED.decode(topics, data)


def test_text_that_is_not_utf8_stays_readable() -> None:
    """A string that is not UTF-8 is given as hex, so that nothing is lost."""
    data = oracle_encode(["bytes"], [b"a\xff\0"])
    assert _decode([{"name": "it", "type": "string"}], data) == ["0x61ff00"]


def test_bytes_after_the_last_argument_are_passed_over() -> None:
    """Trailing bytes are no error, as for Solidity."""
    assert _decode([{"name": "it", "type": "uint8"}], bytes.fromhex(WORDS["two"] + "ff")) == [2]


@pytest.mark.parametrize(
    "kind", ["uint", "uint7", "uint264", "bytes33", "bytes0", "fixed128x18", "tuple", "x[", "uint8[0]"]
)
def test_an_unknown_type_is_refused(kind: str) -> None:
    """A type that the specification does not know is refused when it is compiled."""
    with pytest.raises(InvalidInput, match=r"unknown type|no components"):
        compile_event(_event([{"name": "it", "type": kind}]))


def test_events_that_cannot_be_told_apart_are_refused() -> None:
    """Anonymous events, and two arguments of one name, are refused when compiled."""
    with pytest.raises(InvalidInput, match="anonymous"):
        compile_event({**_event([]), "anonymous": True})
    with pytest.raises(InvalidInput, match="two arguments 'a'"):
        compile_event(_event([{"name": "a", "type": "bool"}, {"name": "a", "type": "bool"}]))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("uint8", 256), ("uint8", -1), ("uint8", True), ("uint8", "1.0"), ("int8", "-129"), ("bool", 1),
        ("address", "0x12"), ("bytes4", "0x123456789a"), ("bytes", "12"), ("bytes", "0x1 2 "),
        ("string", 5), ("string", "\ud800"), ("uint8[2]", [1]), ("uint8[]", "12"), ("uint8[]", [256]),
    ],
)  # fmt: skip
def test_what_is_not_of_the_type_is_not_encoded(kind: str, value: Any) -> None:
    """A value that is not of its argument's type is an InvalidInput that names the argument."""
    function = compile_function({"name": "f", "inputs": [{"name": "it", "type": kind}]})
    with pytest.raises(InvalidInput, match=r"f: argument it(\[0\])?: "):
        function.encode([value])


def test_calldata_of_something_else_is_no_call() -> None:
    """Another selector, or arguments that are cut short, give None: anybody may send anything."""
    function = compile_function({"name": "f", "inputs": [{"name": "it", "type": "string"}]})
    call = function.encode(["\0𝄞"])
    assert function.decode_call(call) == {"it": "\0𝄞"}
    assert function.decode_call(b"\0" + call[1:]) is None
    assert function.decode_call(call[:-1]) is None
    assert function.decode_call(b"") is None
