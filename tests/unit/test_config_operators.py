"""Where figures and alerts go: read, and refused by name where it is wrong, without a secret."""

from __future__ import annotations

import pytest

from shared.config import Settings
from shared.config_operators import AlertPlaces, MetricsPlace
from shared.errors import ConfigError

LEAST = {"PLUMBLINE_STORE": "sqlite:///store.sqlite", "PLUMBLINE_CONTRACTS": "contracts"}
HOOK = "https://hooks.slack.com/services/T0/B0/aBcDeFgH"
EMAIL = {
    "PLUMBLINE_ALERT_EMAIL_FROM": "alerts@example.com",
    "PLUMBLINE_ALERT_EMAIL_TO": "a@example.com, b@example.com",
    "PLUMBLINE_ALERT_EMAIL_REGION": "eu-west-1",
}


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ("", MetricsPlace()),
        ("none", MetricsPlace()),
        (" prometheus ", MetricsPlace("prometheus")),
        ("monitoring://p-1", MetricsPlace("monitoring", "p-1", "global")),
        ("monitoring://p-1/europe-west1", MetricsPlace("monitoring", "p-1", "europe-west1")),
        ("monitoring://example.com:p-1/r", MetricsPlace("monitoring", "example.com:p-1", "r")),
    ],
)
def test_where_figures_go_is_read(value: str, place: MetricsPlace) -> None:
    """Nowhere by default."""
    assert Settings.from_env({**LEAST, "PLUMBLINE_METRICS": value}).metrics == place


@pytest.mark.parametrize(
    "value", ["Prometheus", "monitoring", "monitoring://", "monitoring:///r", "monitoring://P", "monitoring://p/r/x",
              "statsd://p", "monitoring://p/"],
)  # fmt: skip
def test_a_place_that_is_none_is_refused(value: str) -> None:
    """The message names the variable and what it may be."""
    with pytest.raises(
        ConfigError, match="PLUMBLINE_METRICS must be none, prometheus or monitoring://PROJECT"
    ):
        Settings.from_env({**LEAST, "PLUMBLINE_METRICS": value})


def test_where_alerts_go_is_read() -> None:
    """Both, or none; the webhook is in no repr."""
    assert Settings.from_env(LEAST).alerts == AlertPlaces()
    settings = Settings.from_env({**LEAST, **EMAIL, "PLUMBLINE_ALERT_SLACK_URL": f" {HOOK} "})
    wanted = AlertPlaces(HOOK, "alerts@example.com", ("a@example.com", "b@example.com"), "eu-west-1")
    assert settings.alerts == wanted
    assert "aBcDeFgH" not in repr(settings)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PLUMBLINE_ALERT_SLACK_URL", HOOK.replace("https", "http")),
        ("PLUMBLINE_ALERT_SLACK_URL", "hooks.slack.com/services/T0/B0/aBcDeFgH"),
        ("PLUMBLINE_ALERT_SLACK_URL", "https://[aBcDeFgH"),
        ("PLUMBLINE_ALERT_EMAIL_FROM", "alerts"),
        ("PLUMBLINE_ALERT_EMAIL_FROM", "a@b@c"),
        ("PLUMBLINE_ALERT_EMAIL_FROM", "a@b\nBcc: c@d"),
        ("PLUMBLINE_ALERT_EMAIL_FROM", ""),
        ("PLUMBLINE_ALERT_EMAIL_TO", "a@example.com, b"),
        ("PLUMBLINE_ALERT_EMAIL_TO", ","),
        ("PLUMBLINE_ALERT_EMAIL_TO", ",".join(f"a{number}@example.com" for number in range(51))),
        ("PLUMBLINE_ALERT_EMAIL_REGION", "Ireland"),
        ("PLUMBLINE_ALERT_EMAIL_REGION", ""),
    ],
)
def test_what_is_wrong_is_named_without_a_secret(variable: str, value: str) -> None:
    """A webhook's URL and a person's address stay out of the message."""
    with pytest.raises(ConfigError, match=variable) as raised:
        Settings.from_env({**LEAST, **EMAIL, variable: value})
    assert "aBcDeFgH" not in str(raised.value)
    assert "@" not in str(raised.value)
