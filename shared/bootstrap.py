"""The one place that wires adapters to use cases, from Settings; each thing is made when first needed."""

from __future__ import annotations

import atexit
import gc
import os
from contextlib import contextmanager
from functools import cache, cached_property, partial
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from shared import logging as log_lines
from shared.adapters.request_trace import current_trace
from shared.adapters.system_clock import SystemClock
from shared.config import Settings
from shared.config_operators import PROMETHEUS
from shared.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shared.adapters.health_server import HealthServer
    from shared.app.alerts import Alerts
    from shared.app.deadletters import DeadLetters
    from shared.app.event_log import EventLog
    from shared.app.gas_report import GasReport
    from shared.app.handle_chain_event import HandleChainEvent
    from shared.app.listener_health import ListenerHealth
    from shared.app.listeners import Listeners
    from shared.app.observe import Observe
    from shared.app.project_events import ProjectEvents
    from shared.app.quote_gas import QuoteGas
    from shared.app.reconcile import Reconcile
    from shared.domain.contract import Registry
    from shared.domain.fee_chains import ChainFees
    from shared.errors import PlumblineError
    from shared.ports import Bus, Chain, Clock, Documents, Metrics

T = TypeVar("T")

OBJECTS_BETWEEN_COLLECTIONS: Final = 50_000
_FLUSH_S: Final = 1.0
"""An invocation waits no longer than this for its figures to be written, and seldom: see the Metrics port."""


class Plumbline:
    """Everything, wired. Adapters are imported where they are made: an import is paid at a cold start."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.clock: Clock = SystemClock()
        self._chains: dict[int, Chain] = {}
        self._served = False

    @cached_property
    def documents(self) -> Documents:
        """The document store."""
        store = self.settings.store
        if store.kind == "sqlite":
            from shared.adapters.sqlite import SqliteDocuments

            return SqliteDocuments(store.path)
        from shared.adapters.firestore import FirestoreDocuments

        return FirestoreDocuments(store.project, store.database)

    @cached_property
    def bus(self) -> Bus:
        """The bus."""
        bus = self.settings.bus
        if bus.kind == "sqlite":
            from shared.adapters.local_bus import LocalBus

            return LocalBus(bus.path)
        from shared.adapters.pubsub import PubSubBus

        return PubSubBus(bus.project)

    @cached_property
    def registry(self) -> Registry:
        """The contracts."""
        from shared.contracts.registry import load_registry

        return load_registry(self.settings.contracts)

    def chain(self, chain_id: int) -> Chain:
        """Return the chain; ConfigError where no endpoint is configured for it."""
        if chain_id not in self._chains:
            self._chains[chain_id] = self._chain(chain_id)
        return self._chains[chain_id]

    def _chain(self, chain_id: int) -> Chain:
        from shared.adapters.ethereum import EthereumChain
        from shared.adapters.json_rpc import JsonRpcEndpoint

        urls = self.settings.rpc_urls.get(chain_id)
        if not urls:
            raise ConfigError(f"PLUMBLINE_RPC_{chain_id} is not set: no endpoint for chain {chain_id}")
        settings = self.settings
        timeout_s, pause_s = settings.number("request_timeout_s"), settings.number("max_retry_after_s")
        endpoints = [
            JsonRpcEndpoint(url, f"endpoint {at}", timeout_s=timeout_s, longest_pause_s=pause_s)
            for at, url in enumerate(urls, start=1)
        ]
        return EthereumChain(
            chain_id, endpoints, probe_s=settings.number("probe_s"), max_lag=settings.whole("max_lag")
        )

    @contextmanager
    def invocation(self, *, flush_s: float = _FLUSH_S, flush_now: bool = False) -> Iterator[None]:
        """Surround what a function does for one request: its figures are on their way when it ends.

        ``flush_now``: written with this very invocation, though that costs the first one the client's import.
        """
        first, self._served = not self._served, True
        if first:
            # What it makes is imports and clients, all of it kept.
            gc.set_threshold(10 * OBJECTS_BETWEEN_COLLECTIONS)
        try:
            yield
        finally:
            self.metrics.flush(flush_s, now=flush_now)
            if first:
                gc.freeze()
                gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)

    @cached_property
    def metrics(self) -> Metrics:
        """The figures of this process; what is left of them is written when it ends."""
        from shared.bootstrap_operators import metrics_at

        metrics = metrics_at(self.settings.metrics, self.clock)
        atexit.register(metrics.close)
        return metrics

    @property
    def exposition(self) -> Callable[[], bytes] | None:
        """What tells the figures to whoever asks this process for them, where that is how they are had."""
        if self.settings.metrics.kind != PROMETHEUS:
            return None
        from shared.adapters.prometheus import PrometheusMetrics

        return self.metrics.exposition if isinstance(self.metrics, PrometheusMetrics) else None

    @cached_property
    def alerts(self) -> Alerts:
        """The alerts, and where they go."""
        from shared.bootstrap_operators import alerts_by

        return alerts_by(self.settings, self.documents, self.clock, self.metrics)

    @property
    def chains(self) -> dict[int, Chain]:
        """Every chain that a contract of the registry is on."""
        return {chain_id: self.chain(chain_id) for chain_id in self.registry.chains}

    def event_log(self, writer: str) -> EventLog:
        """Return the event log as this writer uses it."""
        from shared.app.event_log import EventLog

        return EventLog(self.documents, self.clock, writer)

    @cached_property
    def handle_chain_event(self) -> HandleChainEvent:
        """The use case behind ``functions/handle_chain_event``."""
        from shared.app.handle_chain_event import HandleChainEvent
        from shared.app.settle_disputes import SettleDisputes

        event_log, alerts = self.event_log("handle_chain_event"), _later(lambda: self.alerts)
        return HandleChainEvent(
            self.registry, event_log, self.project_events, _later(lambda: self.bus), alerts,
            SettleDisputes(self.documents, event_log, alerts, self.metrics),
            self.clock, self.metrics, wallets=self.settings.platform_wallets,
        )  # fmt: skip

    @cached_property
    def project_events(self) -> ProjectEvents:
        """The use case behind ``functions/project_events``."""
        from shared.app.project_events import ProjectEvents

        return ProjectEvents(self.documents, self.clock, self.metrics)

    @cached_property
    def dead_letters(self) -> DeadLetters:
        """The dead letters."""
        from shared.app.deadletters import DeadLetters

        return DeadLetters(self.bus, projection=self.project_events, metrics=self.metrics)

    def bury(self, payload: dict[str, Any], cause: PlumblineError) -> None:
        """Make a dead letter of a message that can never be handled."""
        from shared.domain.topics import CHAIN_LOGS

        self._bury(payload, cause, CHAIN_LOGS)

    def bury_event(self, payload: dict[str, Any], cause: PlumblineError) -> None:
        """Make a dead letter of an event that can never be projected."""
        from shared.app.deadletters import EVENTS_SOURCE

        self._bury(payload, cause, EVENTS_SOURCE)

    def _bury(self, payload: dict[str, Any], cause: PlumblineError, source: str) -> None:
        from shared.app.deadletters import Burial

        burial = Burial(self.bus, self.alerts, self.metrics)
        burial.bury(payload, cause, source=source)
        burial.tell()

    @cached_property
    def reconcile(self) -> Reconcile:
        """The use case behind ``functions/reconcile``."""
        from shared.app.reconcile import Reconcile
        from shared.app.reconcile_settings import ReconcileSettings
        from shared.app.watch import Watch

        settings = self.settings
        watch = Watch(
            self.documents, self.alerts, self.metrics, self.clock, self.listener_health,
            mismatches=settings.whole("alert_mismatches"),
        )  # fmt: skip
        return Reconcile(
            self.documents, self.chains, self.registry, self.event_log("reconcile"), self.project_events,
            self.clock, watch,
            ReconcileSettings(
                page_size=settings.whole("page_size"),
                budget_s=settings.number("budget_s"),
                every_run_limit=settings.whole("every_run_limit"),
                rotation_runs=settings.whole("rotation_runs"),
                grace_s=settings.number("grace_s"),
                late_s=settings.number("late_s"),
                lease_s=settings.number("reconcile_lease_s"),
                platform_wallets=settings.platform_wallets,
                reorg_window=settings.whole("window"),
            ),
        )  # fmt: skip

    @cached_property
    def quote_gas(self) -> QuoteGas:
        """The use case behind ``functions/quote_gas``."""
        from shared.app.quote_gas import QuoteGas

        settings = self.settings
        return QuoteGas(
            self.registry, self.chain, self._chain_fees, self.documents, self.clock, self.metrics,
            history=settings.whole("quote_history"), records_s=settings.number("quote_records_s"),
        )  # fmt: skip

    @cached_property
    def gas_report(self) -> GasReport:
        """The optimisation report of ``functions/quote_gas``."""
        from shared.app.gas_report import GasReport

        wallets = self.settings.platform_wallets
        return GasReport(self.documents, self.registry, self.clock, self._chain_fees, wallets)

    def _chain_fees(self, chain_id: int) -> ChainFees:
        if chain_id in self.settings.fees:
            from shared.domain.fee_settings import chain_fees

            return chain_fees(chain_id, self.settings.fees[chain_id])
        from shared.domain.fee_chains import CHAINS, UNKNOWN

        return CHAINS.get(chain_id, UNKNOWN)

    @cached_property
    def listener_health(self) -> ListenerHealth:
        """Whether the listeners keep up."""
        from shared.app.listener_health import ListenerHealth, ListenerObjectives

        settings = self.settings
        objectives = ListenerObjectives(
            blocks_behind=settings.whole("blocks_behind"),
            lag_s=settings.number("lag_s"),
            head_within_s=settings.number("head_within_s"),
            report_within_s=settings.number("report_within_s"),
        )
        return ListenerHealth(self.documents, self.registry.chains, self.clock, objectives)

    @cached_property
    def observe(self) -> Observe:
        """The reading side."""
        from shared.app.observe import Observe

        return Observe(
            self.documents, self.listener_health, self.dead_letters, self.clock,
            reconciled_within_s=self.settings.number("reconciled_within_s"),
        )  # fmt: skip

    @cached_property
    def listeners(self) -> Listeners:
        """The listeners of ``functions/listen_chain``, one for each chain; ConfigError for a bad setting."""
        from shared.app.listeners import Listeners
        from shared.bootstrap_listener import follow

        chains = self.chains
        wired = (self.settings, self.documents, self.bus, self.registry, self.clock, self.metrics)
        return Listeners(
            list(chains), lambda chain_id, bell: follow(chains[chain_id], bell, *wired), self.metrics
        )

    def health_server(self, listeners: Listeners) -> HealthServer:
        """Return the server of the listeners' health; ConfigError where its port cannot be had."""
        from shared.adapters.health_server import HealthAnswers, HealthServer

        answers = HealthAnswers(listeners.dead, self.listener_health.read, self.exposition)
        # Cloud Run says by PORT where it looks.
        port = int(os.environ.get("PORT") or self.settings.whole("health_port"))
        try:
            return HealthServer(port, answers)
        except OSError as error:
            raise ConfigError(f"PLUMBLINE_HEALTH_PORT {port} cannot be used: {error.strerror}") from error


class _Later:
    """Stands for what is made when it is first used: most requests need neither its import nor it."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    def __getattr__(self, name: str) -> Any:
        return getattr(self._make(), name)


def _later(make: Callable[[], T]) -> T:
    return cast("T", _Later(make))


@cache
def plumbline() -> Plumbline:
    """Return this process's Plumbline, wired from the environment; ConfigError names what is wrong."""
    # Looking for garbage every 700 objects, as Python does by default, takes a tenth of a cold start; what is
    # imported by now is not looked at again.
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
    gc.freeze()
    log_lines.set_up()
    settings = Settings.from_env(os.environ)
    log_lines.trace_by(partial(current_trace, settings.google_project))
    return Plumbline(settings)
