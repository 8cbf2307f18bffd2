"""Wires what follows a chain. Part of ``shared.bootstrap``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from shared import logging as log_lines

if TYPE_CHECKING:
    from shared.adapters.websocket_heads import WebsocketHeads
    from shared.app.doorbell import Doorbell
    from shared.app.follow_settings import FollowSettings
    from shared.app.record_fees import RecordFees
    from shared.config import Settings
    from shared.domain.contract import Registry
    from shared.ports import Bus, Chain, Clock, Documents, Metrics, Processes


def follow(
    chain: Chain,
    doorbell: Doorbell,
    settings: Settings,
    documents: Documents,
    bus: Bus,
    registry: Registry,
    clock: Clock,
    metrics: Metrics,
) -> None:
    """Follow one chain until the doorbell says stop; raises what ends it."""
    from shared.app.follow_chain import FollowChain

    with log_lines.about(chainId=chain.chain_id):
        socket = _heads(settings, chain.chain_id, doorbell)
        following = FollowChain(
            chain, documents, bus, registry, clock, _follow_settings(settings),
            metrics=metrics, socket=(lambda: socket.connected) if socket else None,
            fees=_record_fees(chain, settings, documents, registry, clock, metrics),
            processes=_processes(settings),
        )  # fmt: skip
        try:
            following.run(doorbell)
        finally:
            if socket:
                socket.close()


def _processes(settings: Settings) -> Processes | None:
    """Return who tells whether a listener still runs: on one file they are likely to be of one machine."""
    if settings.store.kind != "sqlite":
        return None
    from shared.adapters.processes import LinuxProcesses

    return LinuxProcesses()


def _record_fees(
    chain: Chain, settings: Settings, documents: Documents, registry: Registry, clock: Clock, metrics: Metrics
) -> RecordFees | None:
    kept = settings.whole("fee_blocks")
    if not kept:
        return None
    from shared.adapters.endpoint_rota import in_thread
    from shared.app.fee_store import FeeStore
    from shared.app.receipt_samples import ReceiptSamples
    from shared.app.record_fees import RecordFees

    return RecordFees(
        chain, FeeStore(documents, chain.chain_id, kept),
        ReceiptSamples(documents, registry, chain.chain_id, settings.platform_wallets),
        clock, metrics, kept=kept, background=partial(in_thread, name="fees"),
    )  # fmt: skip


def _heads(settings: Settings, chain_id: int, doorbell: Doorbell) -> WebsocketHeads | None:
    url = settings.ws_urls.get(chain_id)
    if url is None:
        return None
    from shared.adapters.websocket_heads import WebsocketHeads

    silent_s = settings.number("socket_silent_s")
    heads = WebsocketHeads(url, f"socket of chain {chain_id}", doorbell.ring, silent_s=silent_s)
    heads.start()
    return heads


def _follow_settings(settings: Settings) -> FollowSettings:
    from shared.app.follow_settings import FollowSettings

    start = settings.whole("start_block")
    return FollowSettings(
        start_block=start if start >= 0 else None,
        poll_s=settings.number("poll_s"),
        tags_s=settings.number("tags_s"),
        max_range=settings.whole("max_range"),
        max_logs=settings.whole("max_logs"),
        window=settings.whole("window"),
        publish_batch=settings.whole("publish_batch"),
        lease_s=settings.number("listener_lease_s"),
        max_backoff_s=settings.number("max_backoff_s"),
        second_reading_s=settings.number("second_reading_s"),
        violation_s=settings.number("violation_s"),
        prove_blocks=settings.whole("prove_blocks"),
        report_s=settings.number("report_s"),
        with_senders=bool(settings.platform_wallets),
    )
