"""Alerts to a Slack channel by an incoming webhook.

Source: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from shared.adapters.alert_text import body, subject
from shared.errors import ChainUnavailable, SinkUnavailable

if TYPE_CHECKING:
    from shared.adapters.http_post import HttpPost
    from shared.ports import Notice

_WITHIN_S: Final = 10.0
_OK: Final = 200
_TOLD: Final = 200


class SlackAlerts:
    """Posts each notice to a webhook, whose URL is a secret: in no message, log or repr."""

    name: Final = "slack"

    def __init__(self, webhook_url: str) -> None:
        self._url = webhook_url
        self._made: HttpPost | None = None

    def __repr__(self) -> str:
        return "SlackAlerts()"

    def send(self, notice: Notice) -> None:
        """Post the notice; SinkUnavailable for any answer but 200, with the reason that Slack gives."""
        # The text is no markup: what a log or an error says must not mention a channel or hide a link.
        post = self._post()
        text = f"*{_plain(subject(notice))}*\n{_plain(body(notice))}"
        message = orjson.dumps({"text": text, "unfurl_links": False, "link_names": False})
        try:
            status, _, answer = post.send(message, "an alert", lambda: None, again=False)
        except ChainUnavailable as error:
            raise SinkUnavailable(str(error)) from None
        if status != _OK:
            reason = post.redacted(answer[:_TOLD].decode("utf-8", "replace"))
            raise SinkUnavailable(f"the Slack webhook answered {status}: {reason}")

    def _post(self) -> HttpPost:
        if self._made is None:
            # Only now: most processes never have an alert to tell.
            from shared.adapters.http_post import HttpPost  # noqa: PLC0415

            self._made = HttpPost(self._url, "the Slack webhook", _WITHIN_S)
        return self._made


def _plain(text: str) -> str:
    """Return the text with the three characters escaped that are Slack's markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
