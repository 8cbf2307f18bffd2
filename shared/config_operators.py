"""Where figures and alerts go, read from the environment; what is wrong is named with its variable."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from shared.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

METRICS: Final = "PLUMBLINE_METRICS"
SLACK_URL: Final = "PLUMBLINE_ALERT_SLACK_URL"
EMAIL_FROM: Final = "PLUMBLINE_ALERT_EMAIL_FROM"
EMAIL_TO: Final = "PLUMBLINE_ALERT_EMAIL_TO"
EMAIL_REGION: Final = "PLUMBLINE_ALERT_EMAIL_REGION"
VARIABLES: Final = (METRICS, SLACK_URL, EMAIL_FROM, EMAIL_TO, EMAIL_REGION)
"""Every variable that is read here."""

NO_METRICS: Final = "none"
PROMETHEUS: Final = "prometheus"
MONITORING: Final = "monitoring"
# Compiled where something is set: no cold start pays for what is not.
_MONITORING: Final = r"monitoring://([a-z](?:[a-z0-9:.-]*[a-z0-9])?)(?:/([a-z][a-z0-9-]*))?"
_ADDRESS: Final = r"[^\s@,;<>\"]+@[^\s@,;<>\"]+"
_REGION: Final = r"[a-z]{2}(?:-[a-z]+)+-[0-9]+"
_RECIPIENTS: Final = 50
"""SES takes no more in one message (https://docs.aws.amazon.com/ses/latest/dg/quotas.html)."""


@dataclass(frozen=True)
class MetricsPlace:
    """Where figures go: nowhere, to whoever asks this process, or to a project's Cloud Monitoring."""

    kind: str = NO_METRICS
    project: str = ""
    region: str = ""


@dataclass(frozen=True)
class AlertPlaces:
    """Where alerts go besides the log; empty: not there. The webhook's URL is a secret, and in no repr."""

    slack_url: str = field(default="", repr=False)
    email_from: str = ""
    email_to: tuple[str, ...] = ()
    email_region: str = ""


def metrics_place(environ: Mapping[str, str]) -> MetricsPlace:
    """Read where figures go; ConfigError."""
    value = environ.get(METRICS, "").strip() or NO_METRICS
    if value in (NO_METRICS, PROMETHEUS):
        return MetricsPlace(value)
    found = re.fullmatch(_MONITORING, value)
    if not found:
        raise ConfigError(f"{METRICS} must be none, prometheus or monitoring://PROJECT/REGION")
    return MetricsPlace(MONITORING, project=found[1], region=found[2] or "global")


def alert_places(environ: Mapping[str, str]) -> AlertPlaces:
    """Read where alerts go; ConfigError."""
    slack_url, sender, listed, region = (
        environ.get(name, "").strip() for name in (SLACK_URL, EMAIL_FROM, EMAIL_TO, EMAIL_REGION)
    )
    if slack_url and not _is_https(slack_url):
        # The URL itself is the secret and stays out of the message.
        raise ConfigError(f"{SLACK_URL} is no https URL")
    recipients = tuple(each.strip() for each in listed.split(",") if each.strip())
    given = {EMAIL_FROM: sender, EMAIL_TO: recipients, EMAIL_REGION: region}
    missing = [name for name, value in given.items() if not value]
    if missing and len(missing) < len(given):
        raise ConfigError(f"{missing[0]} is not set: e-mail needs all of {', '.join(given)}")
    if not missing:
        _check_email(sender, recipients, region)
    return AlertPlaces(slack_url, sender, recipients, region)


def _check_email(sender: str, recipients: tuple[str, ...], region: str) -> None:
    if not re.fullmatch(_ADDRESS, sender):
        raise ConfigError(f"{EMAIL_FROM} is no e-mail address")
    for at, address in enumerate(recipients, start=1):
        if not re.fullmatch(_ADDRESS, address):
            raise ConfigError(f"{EMAIL_TO}: entry {at} is no e-mail address")
    if len(recipients) > _RECIPIENTS:
        raise ConfigError(f"{EMAIL_TO} holds more than {_RECIPIENTS} addresses")
    if not re.fullmatch(_REGION, region):
        raise ConfigError(f"{EMAIL_REGION} is no AWS region, as eu-west-1 is")


def _is_https(url: str) -> bool:
    try:
        parts = urlsplit(url)
        # Looking at the port is what checks it.
        return parts.scheme == "https" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
