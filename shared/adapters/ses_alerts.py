"""Alerts by e-mail through Amazon SES, with the credentials that boto3 finds in its environment."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from shared.adapters.alert_text import body, subject
from shared.errors import SinkUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.ports import Notice

_CHARSET: Final = "UTF-8"
_WITHIN_S: Final = 20.0
"""Seconds for all of it, less than a notice is one instance's (``shared/app/alerts.py``)."""


class SesAlerts:
    """Sends each notice as a plain text message from ``sender``, which SES must have verified."""

    name: Final = "ses"

    def __init__(
        self, sender: str, recipients: Sequence[str], region: str, *, within_s: float = _WITHIN_S
    ) -> None:
        self._within_s = within_s
        self._sender = sender
        self._recipients = list(recipients)
        self._region = region
        self._made: Any = None

    def send(self, notice: Notice) -> None:
        """Send the notice; SinkUnavailable with SES' error code, without an address."""
        # In a thread that is left behind: what boto3 is told bounds each read, and an answer may trickle.
        failed: list[Exception] = []
        sending = threading.Thread(target=self._try, args=(notice, failed), name="ses", daemon=True)
        sending.start()
        sending.join(self._within_s)
        if sending.is_alive():
            raise SinkUnavailable(f"SES did not answer within {self._within_s:g} s")
        if failed:
            raise failed[0]

    def _try(self, notice: Notice, failed: list[Exception]) -> None:
        try:
            self._send(notice)
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            failed.append(error)

    def _send(self, notice: Notice) -> None:
        # Only now: it takes 0.1 s, and most processes never have an alert to tell.
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        simple = {
            "Subject": {"Data": subject(notice), "Charset": _CHARSET},
            "Body": {"Text": {"Data": body(notice), "Charset": _CHARSET}},
        }
        try:
            self._client.send_email(
                FromEmailAddress=self._sender,
                Destination={"ToAddresses": self._recipients},
                Content={"Simple": simple},
            )
        except ClientError as error:
            # Its message may name a person's address.
            raise SinkUnavailable(f"SES refused: {error.response.get('Error', {}).get('Code')}") from None
        except BotoCoreError as error:
            raise SinkUnavailable(f"SES cannot be reached: {type(error).__name__}") from None

    @property
    def _client(self) -> Any:
        if self._made is None:
            import boto3  # noqa: PLC0415 - as above
            from botocore.config import Config  # noqa: PLC0415

            patience = Config(connect_timeout=3, read_timeout=7, retries={"total_max_attempts": 2})
            self._made = boto3.client("sesv2", region_name=self._region, config=patience)
        return self._made
