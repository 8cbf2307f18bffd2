"""The names of topics, said once: use cases publish to them, adapters and Terraform lay them out."""

from __future__ import annotations

from typing import Final

CHAIN_LOGS: Final = "chain-logs"
CHAIN_LOGS_DEAD: Final = "chain-logs-dead"
HANDLE_CHAIN_EVENT: Final = "handle-chain-event"
"""The subscription that delivers ``chain-logs`` to the function of the same name."""

DEAD_LETTER_SOURCE: Final = "deadLetterSource"
"""Attribute of a dead letter: the topic that its original was published to."""
DELIVERY_ATTEMPTS: Final = "deliveryAttempts"
"""Attribute of a dead letter that the bus itself gave up on: deliveries made, in decimal."""
