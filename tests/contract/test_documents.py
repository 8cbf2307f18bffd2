"""What every Documents store does with single documents and with queries."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.adapters.firestore import FirestoreDocuments
from shared.errors import InvalidInput
from shared.ports import DELETE_AFTER, Query

if TYPE_CHECKING:
    from shared.ports import Documents

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_NAMES = _TEXT.filter(lambda name: name and not (name.startswith("__") and name.endswith("__")))
_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    _TEXT,
)
# Firestore takes no list inside a list; everything else of JSON it does.
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: (
        st.dictionaries(_NAMES, inner, max_size=4)
        | st.lists(st.one_of(_SCALARS, st.dictionaries(_NAMES, inner, max_size=3)), max_size=4)
    ),
    max_leaves=12,
)
# Hypothesis draws words of our own code, too; this one is no field like others.
_DOCUMENTS = st.dictionaries(_NAMES.filter(lambda name: name != DELETE_AFTER), _VALUES, max_size=6)
_WHOLE_DOCUMENTS = settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def _typed(value: Any) -> Any:
    """Return the value so that true, 1 and 1.0 differ."""
    if isinstance(value, dict):
        return {name: _typed(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_typed(each) for each in value]
    return (type(value).__name__, value)


def _pages(
    documents: Documents, collection: str, query: Query, field: str | None = None
) -> list[tuple[str, Any]]:
    """Read a query to its end, page after page."""
    found: list[tuple[str, Any]] = []
    after: tuple[Any, ...] | None = None
    while True:
        page = documents.query(
            collection,
            Query(query.where, query.order_by, query.descending, query.limit, after, query.fields),
        )
        found += page
        if len(page) < (query.limit or 0) or not page:
            return found
        key, last = page[-1]
        after = (last[field], key) if field else (key,)


@_WHOLE_DOCUMENTS
@given(document=_DOCUMENTS)
def test_gives_back_what_was_put(documents: Documents, document: dict[str, Any]) -> None:
    """Any JSON document comes back as it went in, types of scalars included."""
    documents.put("any", "key", document)
    assert _typed(documents.get("any", "key")) == _typed(document)
    assert documents.get_many("any", ["key"]) == {"key": document}
    assert documents.query("any", Query()) == [("key", document)]


def test_reads_what_is_not_there(documents: Documents) -> None:
    """Absence is None, an empty dict, an empty list, 0; deleting what is absent is no error."""
    documents.delete("things", "a")
    assert documents.get("things", "a") is None
    assert documents.get_many("things", ["a", "b/c", ""]) == {}
    assert documents.get_many("things", []) == {}
    assert documents.create_many("things", {}) == set()
    assert documents.query("things", Query()) == []
    assert documents.count("things") == 0
    assert documents.watch("things", None, 10) == []


def test_creates_once(documents: Documents) -> None:
    """A second create says False and changes nothing; put replaces the whole; delete makes room again."""
    assert documents.create("things", "a", {"n": 1, "m": 1}) is True
    assert documents.create("things", "a", {"n": 2}) is False
    assert documents.get("things", "a") == {"n": 1, "m": 1}
    assert documents.get("other", "a") is None
    documents.put("things", "a", {"n": 3})
    assert documents.get("things", "a") == {"n": 3}
    documents.delete("things", "a")
    assert documents.create("things", "a", {"n": 4}) is True


def test_creates_many_one_by_one(documents: Documents) -> None:
    """create_many stores what is new among what is old, more than one batch long, and names the old."""
    old = {f"k{n:04}": {"n": n} for n in range(0, 1200, 3)}
    new = {f"k{n:04}": {"n": -n} for n in range(1200)}
    assert documents.create_many("things", old) == set()
    assert documents.create_many("things", new) == set(old)
    assert documents.create_many("things", new) == set(new)
    assert documents.get_many("things", new) == {**new, **old}
    assert documents.count("things") == 1200


def test_reads_only_the_fields_asked_for(documents: Documents) -> None:
    """Fields narrow documents to top-level names; none at all tells existence."""
    documents.put("things", "a", {"n": 1, "deep": {"x": 2}, "odd name": 3})
    for fields, expected in (
        ((), {}),
        (("n", "nothing"), {"n": 1}),
        (("deep", "odd name"), {"deep": {"x": 2}, "odd name": 3}),
    ):
        assert documents.get_many("things", ["a", "b"], fields=fields) == {"a": expected}
        assert documents.query("things", Query(fields=fields)) == [("a", expected)]


@pytest.mark.parametrize("collection", ["events", "unindexed"])
def test_equality_knows_types(documents: Documents, collection: str) -> None:
    """True is not 1, "1" is not 1, null is not absent, and 1 is 1.0; indexed or not."""
    values = [
        True, False, 1, 0, 2, 2**63 - 1, 2**63 - 2, "1", "true", "", "null", None, 2.5, -1,
        "a\0b", "a", "a\0", "𝄞", 'quo"te', [1, "x"], {"a": 1},
    ]  # fmt: skip
    documents.create_many(
        collection, {f"k{place:02}": {"rolloverId": value} for place, value in enumerate(values)}
    )
    documents.put(collection, "absent", {"other": 1})
    for place, value in enumerate(values):
        where = (("rolloverId", value),)
        assert [key for key, _ in documents.query(collection, Query(where=where))] == [f"k{place:02}"]
        assert documents.count(collection, where) == 1
    assert documents.count(collection, (("rolloverId", 1.0),)) == 1
    assert documents.count(collection, (("rolloverId", "nobody"),)) == 0


@pytest.mark.parametrize("collection", ["rollover_states", "unindexed"])
def test_equality_on_several_fields(documents: Documents, collection: str) -> None:
    """All pairs must be equal, dotted fields reach inside, and replacing a document moves it."""
    for key, contract, is_open, deep in (
        ("a", "1:0x1", True, 1),
        ("b", "1:0x1", False, 1),
        ("c", None, True, 1),
        ("d", "1:0x1", True, 2),
    ):
        documents.put(collection, key, {"contractKey": contract, "open": is_open, "x": {"y": {"z": deep}}})
    where = (("contractKey", "1:0x1"), ("open", True))
    assert [key for key, _ in documents.query(collection, Query(where=where))] == ["a", "d"]
    assert documents.count(collection, (*where, ("x.y.z", 1))) == 1
    assert documents.count(collection, (("contractKey", None), ("open", True))) == 1
    assert documents.count(collection, (("x.y", {"z": 2}),)) == 1
    documents.put(collection, "a", {"contractKey": "1:0x1", "open": False})
    documents.delete(collection, "d")
    assert documents.count(collection, where) == 0


@pytest.mark.parametrize("descending", [False, True])
def test_pages_by_key(documents: Documents, descending: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Pages by key give every document once, in the order of the key's UTF-8 bytes."""
    keys = ["B", "a", "aa", "a b", "b", "é", "\uff5e", "𝄞", *(f"n{n:02}" for n in range(20))]
    documents.create_many("rollover_states", {key: {"open": True, "contractKey": "c"} for key in keys})
    documents.put("rollover_states", "closed", {"open": False, "contractKey": "c"})
    where = (("contractKey", "c"), ("open", True))
    for query in (
        Query(where, limit=7, descending=descending),
        Query(where, limit=7, descending=descending, fields=()),
    ):
        found = _pages(documents, "rollover_states", query)
        assert [key for key, _ in found] == sorted(keys, key=str.encode, reverse=descending)


@pytest.mark.parametrize("collection", ["rollover_states", "unindexed"])
@pytest.mark.parametrize("descending", [False, True])
def test_pages_by_field_with_ties(documents: Documents, collection: str, descending: bool) -> None:  # noqa: FBT001
    """Pages by a field give every document that has it once; ties go by key; absent ones are left out."""
    expected = []
    for number in range(30):
        document = {"contractKey": "c", "open": False, "lastBlock": number % 4}
        documents.put(collection, f"k{number:02}", document)
        expected.append((number % 4, f"k{number:02}"))
    documents.put(collection, "without", {"contractKey": "c", "open": False})
    documents.put(collection, "null", {"contractKey": "c", "open": False, "lastBlock": None})
    documents.put(collection, "other", {"contractKey": "d", "open": False, "lastBlock": 1})
    query = Query((("contractKey", "c"), ("open", False)), "lastBlock", descending, limit=7)
    found = [key for key, _ in _pages(documents, collection, query, "lastBlock")]
    in_order = ["null", *(key for _, key in sorted(expected))]
    assert found == (in_order[::-1] if descending else in_order)


@pytest.mark.parametrize("descending", [False, True])
def test_pages_of_a_transfers_events(documents: Documents, descending: bool) -> None:  # noqa: FBT001
    """Pages of one transfer's events, and of all events by transfer, go by key where the transfer is one."""
    places = [(f"r{number % 3}", f"k{(number * 7) % 30:02}") for number in range(30)]
    documents.create_many("events", {key: {"rolloverId": transfer} for transfer, key in places})
    in_order = sorted(places, reverse=descending)
    by_transfer = Query(order_by="rolloverId", descending=descending, limit=4)
    found = _pages(documents, "events", by_transfer, "rolloverId")
    assert [(event["rolloverId"], key) for key, event in found] == in_order
    of_one = Query((("rolloverId", "r1"),), descending=descending, limit=4)
    found = _pages(documents, "events", of_one)
    assert [key for key, _ in found] == [key for transfer, key in in_order if transfer == "r1"]


def test_reads_on_from_before_every_key(documents: Documents) -> None:
    """The empty key stands before every other: what comes after it starts with the value itself."""
    for place, value in enumerate(["", "", "a", "b"]):
        documents.put("events", f"k{place}", {"rolloverId": value})
        documents.put("rollover_states", f"k{place}", {"contractKey": "c", "open": True})
    for after, up, down in (
        (("", ""), ["k0", "k1", "k2", "k3"], []),
        (("a", ""), ["k2", "k3"], ["k1", "k0"]),
        (("z", ""), [], ["k3", "k2", "k1", "k0"]),
    ):
        for descending, expected in ((False, up), (True, down)):
            query = Query(order_by="rolloverId", descending=descending, after=after)
            assert [key for key, _ in documents.query("events", query)] == expected
    for descending, expected in ((False, ["k0", "k1", "k2", "k3"]), (True, [])):
        query = Query((("contractKey", "c"), ("open", True)), descending=descending, after=("",))
        assert [key for key, _ in documents.query("rollover_states", query)] == expected


@pytest.mark.parametrize("collection", ["events", "unindexed"])
def test_orders_values_of_all_kinds(documents: Documents, collection: str) -> None:
    """Null comes first, then booleans, numbers by size, strings by their bytes."""
    in_order = [
        None, False, True, -(2**63), -1.5, -1, 0, 0.5, 1, 2**53, 2**53 + 1, 2**63 - 1,
        "", "A", "a", "a\0", "a\0b", "a b", "aa", "é", "\uff5e", "𝄞",
    ]  # fmt: skip
    for place, value in enumerate(in_order):
        documents.put(collection, f"k{(place * 7) % 29:02}", {"rolloverId": value})
    query = Query(order_by="rolloverId", limit=5)
    found = _pages(documents, collection, query, "rolloverId")
    assert [_typed(document["rolloverId"]) for _, document in found] == [_typed(v) for v in in_order]


def test_watches_from_the_start_and_from_a_position(documents: Documents) -> None:
    """Every created document is told of, in order; a position read from again gives the same again."""
    start = datetime(2026, 11, 23, tzinfo=UTC)
    keys = [f"k{number:02}" for number in range(25)]

    def event(number: int) -> dict[str, Any]:
        return {"audit": {"storedAt": (start + timedelta(seconds=number)).isoformat()}, "n": number}

    documents.create_many("events", {key: event(number) for number, key in enumerate(keys[:20])})
    documents.put("elsewhere", "x", event(0))
    seen: list[str] = []
    position = None
    while changes := documents.watch("events", position, 6):
        again = documents.watch("events", position, 6)
        assert [(each.key, each.document) for each in again] == [(c.key, c.document) for c in changes]
        keys_alone = documents.watch("events", position, 6, bodies=False)
        assert [(each.key, each.document) for each in keys_alone] == [(c.key, {}) for c in changes]
        seen += [change.key for change in changes]
        position = changes[-1].position
    assert seen == keys[:20]
    documents.put("events", "k03", {**event(3), "n": "replaced"})
    for number in range(20, 25):
        documents.create("events", keys[number], event(number))
    changes = documents.watch("events", position, 100)
    assert [change.key for change in changes] == keys[20:]
    assert changes[0].document == event(20)
    half = documents.watch("events", changes[1].position, 100)
    assert [change.key for change in half] == keys[22:]


@pytest.mark.parametrize("key", ["", "a/b", ".", "..", "__x__", "k" * 1501])
def test_refuses_impossible_keys(documents: Documents, key: str) -> None:
    """A key that Firestore cannot have is refused by every store, and absent when read."""
    for write in (documents.create, documents.put):
        with pytest.raises(InvalidInput):
            write("things", key, {"n": 1})
    with pytest.raises(InvalidInput):
        documents.create_many("things", {"fine": {"n": 1}, key: {"n": 1}})
    with pytest.raises(InvalidInput):
        documents.transaction(lambda t: t.put("things", key, {"n": 1}))
    assert documents.get("things", key) is None
    documents.delete("things", key)
    assert documents.count("things") == 0


@pytest.mark.parametrize("value", [b"x", {1}, object(), datetime(2026, 1, 1, tzinfo=UTC), {1: 2}, 2**64])
def test_refuses_what_is_not_json(documents: Documents, value: Any) -> None:
    """A value that JSON does not have is refused before anything is written."""
    with pytest.raises(InvalidInput):
        documents.put("things", "a", {"fine": 1, "deep": [{"x": value}]})
    assert documents.count("things") == 0


def test_a_time_to_live_comes_back_as_it_was_written(documents: Documents) -> None:
    """``deleteAfter`` is a time for the store, which Firestore deletes by, and the same text for us."""
    dying = {"deleteAfter": "2126-01-02T03:04:05.000006Z"}
    documents.put("things", "put", dying)
    documents.create("things", "created", dying)
    documents.create_many("things", {"many": dying})
    documents.transaction(lambda t: t.put("things", "in", dying))
    assert documents.get_many("things", ["put", "created", "many", "in"]) == dict.fromkeys(
        ("put", "created", "many", "in"), dying
    )
    if isinstance(documents, FirestoreDocuments):
        [first, *_] = documents._client.collection("things").stream()
        assert isinstance(first.to_dict()["deleteAfter"], datetime)


@pytest.mark.parametrize(
    "said", [None, 5, "", "tomorrow", "2126-01-02", "2126-01-02T03:04:05", "2126-13-02T03:04:05Z"]
)
def test_a_time_to_live_that_is_no_time_is_refused(documents: Documents, said: Any) -> None:
    """It would never be deleted, and nobody would know."""
    with pytest.raises(InvalidInput, match="deleteAfter"):
        documents.put("things", "a", {"deleteAfter": said})
    with pytest.raises(InvalidInput, match="deleteAfter"):
        documents.create_many("things", {"a": {"deleteAfter": said}})
    assert documents.count("things") == 0
