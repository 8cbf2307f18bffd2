"""Settings: each is read, documented, and refused by name where it is wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.config import Location, Settings
from shared.config_numbers import NUMBERS, Number
from shared.config_operators import VARIABLES
from shared.errors import ConfigError

_DOCUMENT = Path(__file__).parents[2] / "docs" / "configuration.md"
_PLACES = (
    "PLUMBLINE_STORE",
    "PLUMBLINE_BUS",
    "PLUMBLINE_CONTRACTS",
    "PLUMBLINE_RPC_<CHAINID>",
    "PLUMBLINE_WS_<CHAINID>",
    "PLUMBLINE_PLATFORM_WALLETS",
    "PLUMBLINE_FEES_<CHAINID>",
    *VARIABLES,
)
LEAST = {"PLUMBLINE_STORE": "sqlite:///store.sqlite", "PLUMBLINE_CONTRACTS": "contracts"}


def test_the_least_that_must_be_set_is_enough() -> None:
    """With a store and a registry everything else has its default; the bus is in the store's file."""
    settings = Settings.from_env({**LEAST, "HOME": "/somewhere", "PLUMBLINE_POLL_S": ""})
    assert settings.bus == settings.store == Location("sqlite", path="store.sqlite")
    assert settings.rpc_urls == {}
    assert settings.numbers == {name: number.default for name, number in NUMBERS.items()}


@pytest.mark.parametrize(
    ("store", "location"),
    [
        ("sqlite:////abs/file.db", Location("sqlite", path="/abs/file.db")),
        ("sqlite:///a/b.db", Location("sqlite", path="a/b.db")),
        ("firestore://p-1/d", Location("firestore", project="p-1", database="d")),
        ("firestore://p-1", Location("firestore", project="p-1", database="(default)")),
    ],
)
def test_a_store_is_read(store: str, location: Location) -> None:
    """Relative and absolute files, and a project with or without a database."""
    assert (
        Settings.from_env({**LEAST, "PLUMBLINE_STORE": store, "PLUMBLINE_BUS": "pubsub://p"}).store
        == location
    )


@pytest.mark.parametrize("variable", ["PLUMBLINE_STORE", "PLUMBLINE_CONTRACTS"])
@pytest.mark.parametrize("value", [None, "", "  "])
def test_what_must_be_set_is_asked_for(variable: str, value: str | None) -> None:
    """Missing, empty and blank are one and the same."""
    environ = {name: known for name, known in LEAST.items() if name != variable}
    with pytest.raises(ConfigError, match=f"{variable} is not set"):
        Settings.from_env(environ if value is None else {**environ, variable: value})


def test_beside_firestore_the_bus_must_be_named() -> None:
    """Only an SQLite file can hold the bus as well."""
    with pytest.raises(ConfigError, match="PLUMBLINE_BUS"):
        Settings.from_env({**LEAST, "PLUMBLINE_STORE": "firestore://p"})


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PLUMBLINE_STORE", "store.sqlite"),
        ("PLUMBLINE_STORE", "pubsub://p"),
        ("PLUMBLINE_STORE", "sqlite://store.sqlite"),
        ("PLUMBLINE_STORE", "sqlite:///"),
        ("PLUMBLINE_STORE", "firestore://"),
        ("PLUMBLINE_STORE", "firestore:///d"),
        ("PLUMBLINE_BUS", "firestore://p"),
        ("PLUMBLINE_STORE", "firestore://p/d/e"),
        ("PLUMBLINE_BUS", "pubsub://"),
        ("PLUMBLINE_BUS", "pubsub://p/t"),
        ("PLUMBLINE_RPC_01", "https://node.example"),
        ("PLUMBLINE_RPC_1", ""),
        ("PLUMBLINE_RPC_1", " , "),
        ("PLUMBLINE_RPC_1", "node.example"),
        ("PLUMBLINE_RPC_1", "ws://node.example"),
        ("PLUMBLINE_RPC_1", "https://"),
        ("PLUMBLINE_RPC_1", "https://good.example,ftp://bad.example"),
        ("PLUMBLINE_RPC_1", "https://[half"),
        ("PLUMBLINE_RPC_1", "https://node.example:port"),
        ("PLUMBLINE_RPC_", "https://node.example"),
        ("PLUMBLINE_RPC_MAINNET", "https://node.example"),
        ("PLUMBLINE_POL_S", "1"),
    ],
)
def test_a_wrong_value_names_its_variable(variable: str, value: str) -> None:
    """A place that is none, and a variable that nobody knows, stop the start."""
    with pytest.raises(ConfigError, match=re.escape(variable)):
        Settings.from_env({**LEAST, variable: value})


@pytest.mark.parametrize("number", NUMBERS.values(), ids=lambda number: number.variable)
def test_a_number_that_cannot_be_names_its_variable(number: Number) -> None:
    """No number, not a number, without end, too small, and a fraction where something is counted."""
    wrong = ["much", "nan", "inf", "1e999", str(number.least - 1)]
    wrong += [f"{number.least + 1.5}"] if isinstance(number.default, int) else []
    for value in wrong:
        with pytest.raises(ConfigError, match=number.variable):
            Settings.from_env({**LEAST, number.variable: value})


def test_a_url_pasted_into_a_number_is_not_shown() -> None:
    """The error names the variable and what is wanted, and keeps what may be a key to itself."""
    with pytest.raises(ConfigError, match=r"PLUMBLINE_POLL_S must be a number of at least 0\.05$") as raised:
        Settings.from_env({**LEAST, "PLUMBLINE_POLL_S": "https://n.example/key"})
    assert raised.value.__cause__ is None


@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_is_read(name: str) -> None:
    """Its least value is allowed, and its variable reaches the setting of its name."""
    number = NUMBERS[name]
    settings = Settings.from_env({**LEAST, number.variable: f" {number.least + 1:g} "})
    assert settings.number(name) == number.least + 1
    assert settings.whole(name) == int(number.least + 1)
    assert Settings.from_env({**LEAST, number.variable: str(number.least)}).number(name) == number.least


def test_urls_are_read_in_order() -> None:
    """Several endpoints of several chains, blanks around them ignored."""
    environ = {
        **LEAST,
        "PLUMBLINE_RPC_1": "https://a.example/k , http://b.example",
        "PLUMBLINE_RPC_5": "http://c.example",
    }
    settings = Settings.from_env(environ)
    assert settings.rpc_urls == {1: ("https://a.example/k", "http://b.example"), 5: ("http://c.example",)}


def test_the_platforms_wallets_are_read() -> None:
    """Comma-separated and of any case; none set, none there; what is no address is refused by its place."""
    one, other = "0x" + "aB" * 20, "0x" + "01" * 20
    told = Settings.from_env({**LEAST, "PLUMBLINE_PLATFORM_WALLETS": f" {one},{other}, "})
    assert told.platform_wallets == {one.lower(), other}
    assert Settings.from_env(LEAST).platform_wallets == frozenset()
    with pytest.raises(ConfigError, match="PLUMBLINE_PLATFORM_WALLETS: entry 2 is no address"):
        Settings.from_env({**LEAST, "PLUMBLINE_PLATFORM_WALLETS": f"{one},0x12"})


_KEYS = st.from_regex(r"key[A-Za-z0-9]{8,40}", fullmatch=True)


@given(
    _KEYS,
    st.sampled_from(
        ["https://{}@n.example", "https://n.example/v2/{}", "https://n.example?k={}", "wss://n/{}", "{}"]
    ),
)
def test_no_url_is_ever_shown(key: str, url: str) -> None:
    """Neither the settings' repr nor the error of a wrong one holds a provider's key."""
    try:
        shown = repr(Settings.from_env({**LEAST, "PLUMBLINE_RPC_1": url.format(key)}))
    except ConfigError as error:
        shown = f"{error!r} {error.__cause__!r}"
    assert key not in shown


def test_fees_of_a_chain_are_checked_at_the_start() -> None:
    """A chain's fee settings are kept as they are; a wrong one names its variable and its key."""
    settings = Settings.from_env({**LEAST, "PLUMBLINE_FEES_42161": "tip_wei=7"})
    assert settings.fees == {42161: "tip_wei=7"}
    with pytest.raises(ConfigError, match="PLUMBLINE_FEES_1: tipps"):
        Settings.from_env({**LEAST, "PLUMBLINE_FEES_1": "tipps=no"})


def test_the_document_lists_exactly_the_settings() -> None:
    """docs/configuration.md has every setting with its default, least value and meaning, and no other."""
    rows = [line for line in _DOCUMENT.read_text("utf-8").splitlines() if line.startswith("| `PLUMBLINE_")]
    places, numbers = rows[: len(_PLACES)], rows[len(_PLACES) :]
    assert tuple(row.split("`")[1] for row in places) == _PLACES
    assert numbers == [
        f"| `{each.variable}` | {each.default:g} | {each.least:g} | {each.meaning} |"
        for each in NUMBERS.values()
    ]
