"""What the use cases need from the world outside, as Protocols; adapters implement them."""

from shared.ports.bus import Bus, Delivery, Message
from shared.ports.chain import (
    Call,
    CallResult,
    Chain,
    EndpointHealth,
    RawLog,
    Reading,
    Spent,
    TransactionInfo,
)
from shared.ports.documents import DELETE_AFTER, Change, Document, Documents, Query, Transaction
from shared.ports.operators import (
    CLOSED,
    OPENED,
    REPEATED,
    Alert,
    AlertSink,
    Clock,
    Metrics,
    Notice,
    Processes,
)

__all__ = [
    "CLOSED",
    "DELETE_AFTER",
    "OPENED",
    "REPEATED",
    "Alert",
    "AlertSink",
    "Bus",
    "Call",
    "CallResult",
    "Chain",
    "Change",
    "Clock",
    "Delivery",
    "Document",
    "Documents",
    "EndpointHealth",
    "Message",
    "Metrics",
    "Notice",
    "Processes",
    "Query",
    "RawLog",
    "Reading",
    "Spent",
    "Transaction",
    "TransactionInfo",
]
