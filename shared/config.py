"""Settings from the environment, all of them here; what is wrong is named with its variable."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from shared import config_operators as operators
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


@dataclass(frozen=True, slots=True)
class Number:
    """A numeric setting: its variable, default and least value, and what it is for."""

    variable: str
    default: float
    least: float
    meaning: str


NUMBERS: Final = {
    "start_block": Number(
        "PLUMBLINE_START_BLOCK", -1, -1, "first block to read; -1: the contracts' deployment block"
    ),
    "poll_s": Number("PLUMBLINE_POLL_S", 0.5, 0.05, "seconds between two looks at an unchanged head"),
    "tags_s": Number("PLUMBLINE_TAGS_S", 5.0, 0.1, "seconds between two looks at safe and finalized"),
    "max_range": Number("PLUMBLINE_MAX_RANGE", 2000, 1, "most blocks in one log query"),
    "max_logs": Number("PLUMBLINE_MAX_LOGS", 10_000, 1, "logs in a window past which the next is narrower"),
    "window": Number("PLUMBLINE_WINDOW", 128, 1, "blocks below the head that a reorg may take back"),
    "publish_batch": Number("PLUMBLINE_PUBLISH_BATCH", 1000, 1, "most logs in one message"),
    "listener_lease_s": Number(
        "PLUMBLINE_LISTENER_LEASE_S", 10.0, 1, "seconds a dead listener keeps another waiting"
    ),
    "max_backoff_s": Number(
        "PLUMBLINE_MAX_BACKOFF_S", 3.0, 0.1, "longest pause of the listener after failures"
    ),
    "second_reading_s": Number(
        "PLUMBLINE_SECOND_READING_S", 5.0, 0, "age at which blocks read once are read again"
    ),
    "violation_s": Number(
        "PLUMBLINE_VIOLATION_S",
        10.0,
        0,
        "seconds a certified block must have another hash until the listener stops for good",
    ),
    "prove_blocks": Number(
        "PLUMBLINE_PROVE_BLOCKS",
        10_000,
        0,
        "blocks this near to the head are then proved, older ones witnessed",
    ),
    "report_s": Number("PLUMBLINE_REPORT_S", 2.0, 0.1, "seconds between two reports of the listener"),
    "socket_silent_s": Number(
        "PLUMBLINE_SOCKET_SILENT_S", 60.0, 1, "silence after which a websocket is opened anew"
    ),
    "probe_s": Number(
        "PLUMBLINE_PROBE_S", 15.0, 1, "seconds between two looks at the other endpoints' heads"
    ),
    "max_lag": Number("PLUMBLINE_MAX_LAG", 5, 1, "blocks that an endpoint's head may be behind another's"),
    "fee_blocks": Number(
        "PLUMBLINE_FEE_BLOCKS", 1000, 0, "blocks whose fees the listener keeps, in hundreds; 0: none"
    ),
    "health_port": Number(
        "PLUMBLINE_HEALTH_PORT",
        8080,
        0,
        "port of the listener's health and metrics, unless PORT is set; 0: any",
    ),
    "request_timeout_s": Number(
        "PLUMBLINE_REQUEST_TIMEOUT_S", 30.0, 0.1, "longest time-out of one RPC request"
    ),
    "page_size": Number("PLUMBLINE_RECONCILE_PAGE", 1000, 1, "transfers in one multicall"),
    "budget_s": Number(
        "PLUMBLINE_RECONCILE_BUDGET_S", 240.0, 1, "seconds after which a run stops and the next goes on"
    ),
    "every_run_limit": Number(
        "PLUMBLINE_RECONCILE_EVERY_RUN",
        20_000,
        0,
        "open transfers of a contract, or mapped ones, up to which all are looked at",
    ),
    "rotation_runs": Number(
        "PLUMBLINE_RECONCILE_ROTATION", 72, 1, "beyond that, runs within which each is checked once"
    ),
    "grace_s": Number("PLUMBLINE_RECONCILE_GRACE_S", 60.0, 0, "seconds a step is late, not missing"),
    "late_s": Number(
        "PLUMBLINE_RECONCILE_LATE_S",
        3600.0,
        0,
        "seconds after which what the listener left unread is missing",
    ),
    "reconcile_lease_s": Number(
        "PLUMBLINE_RECONCILE_LEASE_S", 60.0, 1, "seconds a killed run keeps the next one waiting"
    ),
    "alert_mismatches": Number(
        "PLUMBLINE_ALERT_MISMATCHES", 5, 0, "mismatches beyond which a run raises the alert"
    ),
    "lag_s": Number(
        "PLUMBLINE_LAG_S", 60.0, 1, "age of an unread block past which the listener is not ready"
    ),
    "head_within_s": Number(
        "PLUMBLINE_HEAD_WITHIN_S", 30.0, 1, "seconds without a head past which the listener is not ready"
    ),
    "report_within_s": Number(
        "PLUMBLINE_REPORT_WITHIN_S", 30.0, 1, "seconds without a report past which the listener is not ready"
    ),
    "alert_repeat_s": Number(
        "PLUMBLINE_ALERT_REPEAT_S",
        3600.0,
        60,
        "seconds until an alert that stands is said again; then doubled",
    ),
    "alert_longest_s": Number(
        "PLUMBLINE_ALERT_LONGEST_S", 86_400.0, 60, "longest pause between two repetitions of an alert"
    ),
    "alert_quiet_s": Number(
        "PLUMBLINE_ALERT_QUIET_S", 3600.0, 60, "seconds without news after which a passing alert closes"
    ),
    "alert_settle_s": Number(
        "PLUMBLINE_ALERT_SETTLE_S",
        540.0,
        0,
        "seconds for which trouble must stay away before its alert closes",
    ),
    "blocks_behind": Number("PLUMBLINE_BLOCKS_BEHIND", 50, 0, "unread blocks past which status is bad"),
    "quote_history": Number(
        "PLUMBLINE_QUOTE_HISTORY", 300, 20, "blocks of fee history that quotes ask for at a cold start"
    ),
    "quote_records_s": Number(
        "PLUMBLINE_QUOTE_RECORDS_S", 30.0, 0, "seconds for which what receipts taught is not read again"
    ),
    "reconciled_within_s": Number(
        "PLUMBLINE_RECONCILED_WITHIN_S", 900.0, 1, "age of the last run past which status is bad"
    ),
}
"""Every numeric setting by its name in ``Settings.numbers``."""


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
        numbers = {name: _number(environ, number) for name, number in NUMBERS.items()}
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


def _number(environ: Mapping[str, str], number: Number) -> float:
    text = environ.get(number.variable, "").strip()
    if not text:
        return number.default
    try:
        value = float(text)
    except ValueError:
        # Neither the value nor Python's word on it: what was pasted here may be a URL with a key.
        raise ConfigError(f"{number.variable} must be a number of at least {number.least:g}") from None
    # Written so that NaN, which compares with nothing, is refused as well.
    if not number.least <= value < float("inf"):
        raise ConfigError(f"{number.variable} must be at least {number.least:g}, not {text}")
    if isinstance(number.default, int) and value != int(value):
        raise ConfigError(f"{number.variable} must be a whole number, not {text}")
    return value


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
