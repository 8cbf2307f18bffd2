"""No secret in any line: of a URL nothing but its scheme, of a named secret nothing but its name."""

from __future__ import annotations

import json
from typing import Any

import pytest
import urllib3
from hypothesis import given, settings
from hypothesis import strategies as st
from urllib3.exceptions import HTTPError

from shared.logging import JsonLines, ReadableLines, redact
from tests.support.logs import KEY, PRIVATE, json_line, record


@pytest.mark.parametrize(
    "url",
    [
        f"https://eth-mainnet.example/v2/{KEY}",
        f"https://node.example/?apikey={KEY}&x=1",
        f"https://user:{KEY}@node.example/rpc",
        f"https://{KEY}.node.example",
        f"wss://node.example/ws/{KEY}#part",
        f"HTTPS://node.example/v2/{KEY}",
        f"xhttp://node.example/{KEY}",
        f"https:\\/\\/node.example\\/v2\\/{KEY}",
        f"proxy?target=https%3A%2F%2Fnode.example%2F{KEY}",
    ],
)
@pytest.mark.parametrize("around", ["{}", "refused by {}: 401", "('{}',)", '{{"url":"{}"}}', "a={},b"])
def test_nothing_of_a_url_is_left(url: str, around: str) -> None:
    """Path, query, fragment, host and user all may hold a provider's key, so all of it goes."""
    text = redact(around.format(url))
    assert KEY not in text
    assert "node.example" not in text
    assert "[redacted]" in text


@pytest.mark.parametrize(
    "text",
    [
        f"private key {PRIVATE}",
        f"PRIVATE_KEY={PRIVATE}",
        f'{{"privateKey": "{PRIVATE}"}}',
        f"private-key:{PRIVATE}",
        f"client_secret={KEY}",
        f"access_token: {KEY}",
        f"'api_key': '{KEY}'",
        f"x-api-key: {KEY}",
        f"Authorization: Bearer {KEY}",
        f"password = {KEY}",
        f"mnemonic: {KEY}",
        f"Authorization: Basic {KEY}",
        f"{{'Authorization': 'Basic {KEY}'}}",
        f"api key {KEY}",
        f"AWS_SECRET_ACCESS_KEY={KEY}",
        f"aws_access_key_id: {KEY}",
        f"passphrase={KEY}",
        f"hooks.slack.com/services/T0/B0/{KEY}",
        f"GET /v3/{KEY} HTTP/1.1",
        f"POST /v3/{KEY}?x=1 HTTP/1.1",
        f"HTTPSConnectionPool(host='{KEY}.node.example', port=443)",
        f"Failed to resolve '{KEY}.node.example'",
        f"Cannot connect to host {KEY}.node.example:443",
    ],
)
def test_a_named_secret_is_left_out(text: str) -> None:
    """The value behind a name that says secret is replaced, the name stays."""
    assert KEY not in redact(text)
    assert PRIVATE not in redact(text)
    assert redact(text)[:4] == text[:4]


@pytest.mark.parametrize(
    "text",
    [
        f"transaction {PRIVATE} was mined in block 12",
        "3 tokens were minted; token_decimals is 6",
        "contract 1:0xe5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5: TokensMinted",
        "credentials were not found, and a webhook does not answer",
        "quote_gas takes GET alone; there is nothing at /there",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    """Hashes, addresses and the product's own words are told as they are."""
    assert redact(text) == text


_SECRETS = st.from_regex(r"\A[A-Za-z0-9_-]{12,64}\Z").filter(lambda key: "redacted" not in key)
_PLACES = st.sampled_from(
    ["{s}://{k}@n.example/", "{s}://u:{k}@n.example", "{s}://n.example/v2/{k}", "{s}://n.example/{k}/x?y=1",
     "{s}://n.example/?key={k}", "{s}://n.example#{k}", "{s}://{k}.n.example/"]
)  # fmt: skip


@settings(max_examples=500)
@given(
    key=_SECRETS,
    place=_PLACES,
    scheme=st.sampled_from(["http", "https", "ws", "wss"]),
    before=st.text(max_size=20),
    after=st.text(max_size=20),
    nested=st.sampled_from([str, lambda url: {"rpcUrl": url}, lambda url: [{url: (url, url)}], ValueError]),
)
def test_no_key_of_a_url_survives_in_any_line(
    key: str, place: str, scheme: str, before: str, after: str, nested: Any
) -> None:
    """Wherever it stands, in the message or in the fields, for the cloud or for a terminal."""
    url = place.format(s=scheme, k=key)
    fields = {"detail": nested(url), url: 1}
    for formatter in (JsonLines(), ReadableLines()):
        line = formatter.format(record(f"{before}{url} {after}", fields))
        # What stands around is drawn from all of Unicode and may happen to hold anything but the key.
        assert key not in line


def test_a_secret_field_is_left_out_by_its_name() -> None:
    """A field whose name says secret has no value in the line, however deep."""
    line = json_line("x", {"privateKey": PRIVATE, "deep": [{"api_key": KEY}], "transactionHash": PRIVATE})
    assert line["privateKey"] == line["deep"][0]["api_key"] == "[redacted]"
    assert line["transactionHash"] == PRIVATE


def test_what_a_library_says_of_its_url_is_left_out() -> None:
    """urllib3 tells host and path apart from each other and without a scheme, in a chain of errors."""
    with urllib3.PoolManager(timeout=5) as pool, pytest.raises(HTTPError) as caught:
        pool.request("GET", f"http://127.0.0.1:1/v2/{KEY}?apikey={KEY}", retries=urllib3.Retry(0))
    error = caught.value
    assert f"url: /v2/{KEY}" in str(error)
    line = json_line(f"failed: {error}", {"error": error}, exc_info=(type(error), error, error.__traceback__))
    assert KEY not in json.dumps(line)
