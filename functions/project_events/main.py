"""Firestore trigger → states: each event created is joined into the state of its transfer."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import functions_framework

from shared.adapters.cloud_events import created_document, document_key
from shared.bootstrap import plumbline
from shared.domain.events import as_stored
from shared.errors import CorruptEvent, InvalidInput, PlumblineError
from shared.logging import event_fields

if TYPE_CHECKING:
    from cloudevents.http import CloudEvent

_LOG = logging.getLogger("plumbline.project_events")


@functions_framework.cloud_event
def project_events(event: CloudEvent) -> None:
    """Project one event.

    Returning acknowledges it. A retryable error is raised and the trigger comes again; an event that can
    never count goes to the dead letters with its cause.
    """
    parts = plumbline()
    with parts.invocation():
        created = None
        try:
            created = as_stored(document_key(event), created_document(event))
            if parts.project_events.catch_up([created]):
                _LOG.info("event projected", extra={"fields": event_fields(created)})
        except (InvalidInput, CorruptEvent) as error:
            # The event itself stays where it is, in the store; a replay projects it from there.
            payload = {"subject": str(event.get("subject")), "eventId": document_key(event)}
            parts.bury_event(payload, error)
            _LOG.error("event not projected: %s", error, extra={"fields": payload})
        except PlumblineError as error:
            _LOG.warning("event not projected yet: %s", error, extra={"fields": event_fields(created or {})})
            raise
