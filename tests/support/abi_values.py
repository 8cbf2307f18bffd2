"""Random ABI types, and values of them with what a document holds of each, for property tests."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

BITS = st.integers(1, 32).map(lambda size: size * 8)
ELEMENTARY = st.one_of(
    BITS.map(lambda bits: f"uint{bits}"),
    BITS.map(lambda bits: f"int{bits}"),
    st.integers(1, 32).map(lambda size: f"bytes{size}"),
    st.sampled_from(["bool", "address", "bytes", "string", "uint256"]),
).map(lambda name: {"type": name})
TEXT = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\0ä€𝄞"), max_size=70)


def _named(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**part, "name": f"part{i}"} for i, part in enumerate(parts)]


def _compound(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    arrays = st.tuples(inner, st.sampled_from(["[]", "[1]", "[3]"])).map(
        lambda pair: {**pair[0], "type": pair[0]["type"] + pair[1]}
    )
    tuples = st.lists(inner, min_size=1, max_size=3).map(
        lambda parts: {"type": "tuple", "components": _named(parts)}
    )
    return arrays | tuples


TYPES = st.recursive(ELEMENTARY, _compound, max_leaves=5)
ARGUMENTS = st.lists(TYPES, min_size=1, max_size=4).map(_named)


def _split(kind: str) -> tuple[str, str] | None:
    if not kind.endswith("]"):
        return None
    start = kind.rindex("[")
    return kind[:start], kind[start + 1 : -1]


def values(argument: dict[str, Any]) -> st.SearchStrategy[tuple[Any, Any]]:  # noqa: PLR0911
    """Return pairs of a value for eth_abi and the same as it stands in a document."""
    kind = argument["type"]
    if array := _split(kind):
        inner = values({**argument, "type": array[0]})
        size = int(array[1]) if array[1] else None
        items = st.lists(inner, min_size=size or 0, max_size=size if size is not None else 3)
        return items.map(lambda pairs: ([p[0] for p in pairs], [p[1] for p in pairs]))
    if kind == "tuple":
        names = [part["name"] for part in argument["components"]]
        return st.tuples(*map(values, argument["components"])).map(
            lambda pairs: (
                tuple(p[0] for p in pairs),
                {name: p[1] for name, p in zip(names, pairs, strict=True)},
            )
        )
    if kind.startswith(("uint", "int")):
        bits = int(kind.lstrip("uint"))
        low, high = (0, 2**bits - 1) if kind[0] == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        numbers = st.integers(low, high) | st.sampled_from([low, high])
        return numbers.map(lambda n: (n, n if low >= -(2**63) and high < 2**63 else str(n)))
    if kind == "bool":
        return st.booleans().map(lambda value: (value, value))
    if kind == "string":
        return TEXT.map(lambda text: (text, text))
    if kind == "address":
        return st.binary(min_size=20, max_size=20).map(lambda b: ("0x" + b.hex(), "0x" + b.hex()))
    size = int(kind.removeprefix("bytes")) if kind != "bytes" else None
    return st.binary(min_size=size or 0, max_size=size or 70).map(lambda b: (b, "0x" + b.hex()))


@st.composite
def calls(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[Any], list[Any]]:
    """Draw arguments, their values for eth_abi and their document values."""
    arguments = draw(ARGUMENTS)
    pairs = [draw(values(argument)) for argument in arguments]
    return arguments, [p[0] for p in pairs], [p[1] for p in pairs]
