"""Settings from the environment, read nowhere else; what is wrong is named with its variable."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from shared import config_operators as operators
from shared.config_numbers import NUMBERS, read_number
from shared.config_operators import AlertPlaces, MetricsPlace
from shared.errors import ConfigError, InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX: Final = "PLUMBLINE_"
_RPC: Final = re.compile(r"PLUMBLINE_RPC_([1-9][0-9]*)")
_WS: Final = re.compile(r"PLUMBLINE_WS_([1-9][0-9]*)")
_FEES: Final = re.compile(r"PLUMBLINE_FEES_([1-9][0-9]*)")
_WALLETS: Final = "PLUMBLINE_PLATFORM_WALLETS"
_ADDRESS: Final = re.compile(r"0x[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Location:
    """Where a store or a bus is: ``sqlite`` with a path, or a Google ``project`` (and database)."""

    kind: str
    path: str = ""
    project: str = ""
    database: str = ""


@dataclass(frozen=True)
class Settings:
    """All settings; RPC URLs, which hold providers' keys, are never part of a repr.

    ``platform_wallets``: lower-case addresses; with none, external transactions are not looked for.
    """

    store: Location
    bus: Location
    contracts: str
    rpc_urls: Mapping[int, tuple[str, ...]] = field(repr=False)
    numbers: Mapping[str, float] = field(default_factory=dict)
    platform_wallets: frozenset[str] = frozenset()
    ws_urls: Mapping[int, str] = field(default_factory=dict, repr=False)
    metrics: MetricsPlace = field(default_factory=MetricsPlace)
    alerts: AlertPlaces = field(default_factory=AlertPlaces)
    fees: Mapping[int, str] = field(default_factory=dict)

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Read every ``PLUMBLINE_*`` variable; ConfigError names the one that is wrong or unknown."""
        store = _location(environ, "PLUMBLINE_STORE", ("sqlite", "firestore"))
        bus = (
            _location(environ, "PLUMBLINE_BUS", ("sqlite", "pubsub"))
            if environ.get("PLUMBLINE_BUS") or store.kind != "sqlite"
            else store
        )
        numbers = {name: read_number(environ, number) for name, number in NUMBERS.items()}
        known = known_settings()
        for variable in environ:
            numbered = any(kind.fullmatch(variable) for kind in (_RPC, _WS, _FEES))
            if variable.startswith(PREFIX) and variable not in known and not numbered:
                raise ConfigError(f"{variable} is not a setting; known are {', '.join(sorted(known))}")
        return cls(
            store, bus, _required(environ, "PLUMBLINE_CONTRACTS"), _rpc_urls(environ), numbers,
            platform_wallets=_wallets(environ), ws_urls=_ws_urls(environ), fees=_fees(environ),
            metrics=operators.metrics_place(environ), alerts=operators.alert_places(environ),
        )  # fmt: skip

    @property
    def google_project(self) -> str:
        """The Google project that this process works for; empty where it works for none."""
        return self.store.project or self.bus.project or self.metrics.project

    def number(self, name: str) -> float:
        """Return a numeric setting."""
        return self.numbers[name]

    def whole(self, name: str) -> int:
        """Return a numeric setting that counts something."""
        return int(self.numbers[name])


def known_settings() -> set[str]:
    """Return the name of every setting, but for those that end in a chain's id (RPC, WS, FEES)."""
    named = {"PLUMBLINE_STORE", "PLUMBLINE_BUS", "PLUMBLINE_CONTRACTS", _WALLETS, *operators.VARIABLES}
    return named | {number.variable for number in NUMBERS.values()}


def _required(environ: Mapping[str, str], variable: str) -> str:
    value = environ.get(variable, "").strip()
    if not value:
        raise ConfigError(f"{variable} is not set")
    return value


def _location(environ: Mapping[str, str], variable: str, kinds: tuple[str, ...]) -> Location:
    value = _required(environ, variable)
    kind, separator, rest = value.partition("://")
    if not separator or kind not in kinds:
        raise ConfigError(f"{variable} must begin with {' or '.join(f'{kind}://' for kind in kinds)}")
    if kind == "sqlite":
        # As in SQLAlchemy: sqlite:///relative.db, sqlite:////absolute.db.
        if not rest.startswith("/") or len(rest) == 1:
            raise ConfigError(f"{variable} must name a file: sqlite:///FILE, or sqlite:////ABSOLUTE/FILE")
        return Location(kind, path=rest[1:])
    project, _, database = rest.partition("/")
    if not project or "/" in database or (database and kind == "pubsub"):
        wanted = "PROJECT" if kind == "pubsub" else "PROJECT/DATABASE"
        raise ConfigError(f"{variable} must name a project: {kind}://{wanted}")
    return Location(kind, project=project, database=database or "(default)")


def _wallets(environ: Mapping[str, str]) -> frozenset[str]:
    listed = [entry.strip().lower() for entry in environ.get(_WALLETS, "").split(",")]
    for at, address in enumerate(listed, start=1):
        if address and not _ADDRESS.fullmatch(address):
            raise ConfigError(f"{_WALLETS}: entry {at} is no address (0x and 40 hex digits)")
    return frozenset(filter(None, listed))


def _rpc_urls(environ: Mapping[str, str]) -> dict[int, tuple[str, ...]]:
    urls = {}
    for variable, value in environ.items():
        if not (match := _RPC.fullmatch(variable)):
            continue
        listed = tuple(url.strip() for url in value.split(",") if url.strip())
        for at, url in enumerate(listed, start=1):
            if not _is_url(url, ("http", "https")):
                # The URL itself may hold a key and stays out of the message.
                raise ConfigError(f"{variable}: entry {at} is no http or https URL")
        if not listed:
            raise ConfigError(f"{variable} is empty")
        urls[int(match[1])] = listed
    return urls


def _ws_urls(environ: Mapping[str, str]) -> dict[int, str]:
    urls = {}
    for variable, value in environ.items():
        if (match := _WS.fullmatch(variable)) and value.strip():
            if not _is_url(value.strip(), ("ws", "wss")):
                raise ConfigError(f"{variable} is no ws or wss URL")
            urls[int(match[1])] = value.strip()
    return urls


def _fees(environ: Mapping[str, str]) -> dict[int, str]:
    found = {int(match[1]): text for name, text in environ.items() if (match := _FEES.fullmatch(name))}
    if found:
        # Only where they are set: most functions never look at a fee.
        from shared.domain.fee_settings import chain_fees  # noqa: PLC0415

        for chain_id, text in found.items():
            try:
                chain_fees(chain_id, text)
            except InvalidInput as error:
                raise ConfigError(f"PLUMBLINE_FEES_{chain_id}: {error}") from error
    return found


def _is_url(url: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(url)
        # Looking at the port is what checks it.
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
