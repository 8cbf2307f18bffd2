"""Pub/Sub → events and states: a message of raw logs becomes events, each exactly once, and is projected."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import functions_framework

from shared.adapters.cloud_events import pubsub_data, text_of
from shared.app.deadletters import RAW
from shared.bootstrap import plumbline
from shared.errors import InvalidInput

if TYPE_CHECKING:
    from cloudevents.http import CloudEvent

_LOG = logging.getLogger("plumbline.handle_chain_event")


@functions_framework.cloud_event
def handle_chain_event(event: CloudEvent) -> None:
    """Handle one message.

    Returning acknowledges it. A retryable error is raised, so that the platform delivers it again; what
    can never be handled is in the dead letters by then.
    """
    parts = plumbline()
    with parts.invocation():
        try:
            data = pubsub_data(event)
        except InvalidInput as error:
            parts.bury({RAW: text_of(event)}, error)
            _LOG.error("message not understood: %s", error)
            return
        handled = parts.handle_chain_event.handle(data)
        level = logging.ERROR if handled.dead else logging.INFO
        _LOG.log(level, "logs handled", extra={"fields": handled.told()})
