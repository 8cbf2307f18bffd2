"""Pub/Sub → events and states: a message of raw logs becomes events, each exactly once, and is projected."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import functions_framework

from shared.adapters.cloud_events import pubsub_data, text_of
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
    try:
        data = pubsub_data(event)
    except InvalidInput as error:
        parts.bury_message({"raw": text_of(event)}, error)
        _LOG.error("message not understood: %s", error)
        return
    handled = parts.handle_chain_event.handle(data)
    fields = {
        "stored": len(handled.appended.stored),
        "alreadyThere": len(handled.appended.already_there),
        "ignored": handled.ignored,
        "dead": dict(handled.dead),
        "unprojected": handled.unprojected,
    }
    _LOG.log(logging.ERROR if handled.dead else logging.INFO, "logs handled", extra={"fields": fields})
