"""``functions/quote_gas`` behind functions-framework: routes, caching, problem documents, its description."""

from __future__ import annotations

import json
import time
from threading import Barrier, Thread
from typing import TYPE_CHECKING, Any

import pytest

from shared.adapters.http_problem import problem
from shared.app.quote_request import FIELDS
from shared.domain.fee_reading import GasAnswer
from shared.errors import RateLimited
from tests.support.fake_chain import FakeChain
from tests.support.json_schema import faults
from tests.support.triggers import PROVIDER_KEY

if TYPE_CHECKING:
    from flask.testing import FlaskClient
    from werkzeug.test import TestResponse

    from shared.bootstrap import Plumbline
    from tests.functions.conftest import Client

QUOTE = "/quote?chain=1&action=agree_send&transfer=t-1&within_blocks=5&confidence=0.95"


@pytest.fixture
def chain(parts: Plumbline) -> FakeChain:
    """Put a chain in memory where the node would be, its head as old as this second."""
    made = FakeChain(1, genesis_time=int(time.time()) - 12 * 30)
    made.on_estimate = lambda _: GasAnswer(gas=70_212)
    for _ in range(30):
        made.mine(gas_used=15_000_000, tip_wei=10**8)
    parts._chains[1] = made
    return made


@pytest.fixture
def quotes(client: Client, chain: FakeChain) -> FlaskClient:
    """Serve the function."""
    assert chain.chain_id == 1
    return client("quote_gas")


def test_a_quote_is_json_that_caches_may_keep(quotes: FlaskClient, chain: FakeChain) -> None:
    """The answer has a tag and a time to keep it; who has it already is told so without a body."""
    first = quotes.get(QUOTE)
    assert first.status_code == 200
    assert first.content_type == "application/json"
    quote = first.get_json()
    assert quote["maxFeePerGas"].isdecimal()
    assert quote["block"]["number"] == 30
    kept, _, seconds = first.headers["Cache-Control"].partition("max-age=")
    assert kept == "private, "
    assert 0 <= int(seconds.split(",")[0]) <= 12
    for known in (first.headers["ETag"], f'"other", W/{first.headers["ETag"]}', "*"):
        again = quotes.get(QUOTE, headers={"If-None-Match": known})
        assert (again.status_code, again.data) == (304, b"")
        assert again.headers["ETag"] == first.headers["ETag"]
    assert quotes.get(QUOTE, headers={"If-None-Match": '"other"'}).status_code == 200
    assert chain.fee_batches == 1


def test_the_functions_own_address_quotes_too(quotes: FlaskClient) -> None:
    """The root answers as /quote does, and HEAD as GET does, without the body."""
    assert quotes.get(QUOTE.removeprefix("/quote").replace("?", "/?")).data == quotes.get(QUOTE).data
    assert quotes.head(QUOTE).status_code == 200


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("action=fly", "action"),
        ("action=agree_send&chain=5", "chain"),
        ("action=agree_send&within_blocks=0", "within_blocks"),
        ("action=agree_send&within_blocks=1000000000", "within_blocks"),
        ("action=agree_send&confidence=1.5", "confidence"),
        ("action=agree_send&confidence=\N{FULLWIDTH DIGIT ONE}", "confidence"),
        ("action=agree_send&transfer=%00%ff", "query"),
        ("action=agree_send&confidence=0.9999999999999", "12 decimals"),
        ("=agree_send", "field '' is not known"),
        ("nonsense", "query"),
    ],
)
def test_wrong_fields_are_problems_that_name_them(
    quotes: FlaskClient, chain: FakeChain, query: str, field: str
) -> None:
    """Wrong input is a 400 problem document with the field's name, and no request to the node."""
    answer = quotes.get(f"/quote?{query}")
    assert answer.status_code == 400
    assert answer.content_type == "application/problem+json"
    assert field in answer.get_json(force=True)["detail"]
    assert chain.requests == 0


def test_letters_that_are_not_escaped_are_read_as_utf8(quotes: FlaskClient) -> None:
    """An id sent as it is names the same transfer as one that is escaped; other bytes are no text."""

    def ask(sent: bytes) -> TestResponse:
        query = f"action=agree_send&transfer={sent.decode('latin-1')}"
        return quotes.get("/quote", environ_overrides={"QUERY_STRING": query})

    raw = ask("t-\N{LATIN SMALL LETTER E WITH ACUTE}".encode())
    assert raw.get_json()["transfer"] == "t-\N{LATIN SMALL LETTER E WITH ACUTE}"
    assert raw.get_json() == ask(b"t-%C3%A9").get_json()
    refused = ask(b"t-\xe9")
    assert refused.status_code == 400
    assert "query" in refused.get_json(force=True)["detail"]


@pytest.mark.parametrize("path", ["/quote", "/report"])
def test_a_long_name_is_not_said_again_in_full(quotes: FlaskClient, path: str) -> None:
    """A problem document stays short, whatever was sent."""
    answer = quotes.get(f"{path}?{'x' * 5000}=1")
    assert answer.status_code == 400
    assert "xxx" in answer.get_json(force=True)["detail"]
    assert len(answer.data) < 400


def test_a_report_names_the_fields_that_it_takes(quotes: FlaskClient) -> None:
    """A field that only quotes have is not offered."""
    detail = quotes.get("/report?days=7").get_json(force=True)["detail"]
    assert "days" in detail
    assert "known are chain" in detail
    assert "within_blocks" not in detail


def test_other_methods_and_places(quotes: FlaskClient) -> None:
    """Only GET is taken, and an unknown place is not found."""
    posted = quotes.post(QUOTE)
    assert (posted.status_code, posted.headers["Allow"]) == (405, "GET, HEAD")
    lost = quotes.get("/quotes")
    assert lost.status_code == 404
    assert "/quotes" in lost.get_json(force=True)["detail"]


def test_a_node_that_is_behind_is_503(quotes: FlaskClient, chain: FakeChain) -> None:
    """A head ten minutes old gives 503 with Retry-After and no figure."""
    chain.lag = 30
    del chain.blocks[1:]
    chain.mine(timestamp=int(time.time()) - 600)
    chain.lag = 0
    answer = quotes.get(QUOTE)
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert "maxFeePerGas" not in answer.text
    assert "behind" in answer.get_json(force=True)["detail"]


def test_a_node_that_is_gone_is_503_without_its_url(client: Client) -> None:
    """No answer is 503 with Retry-After; the provider's key is in none of it."""
    answer = client("quote_gas").get(QUOTE)
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert PROVIDER_KEY not in answer.text


def test_the_description_describes_what_is_served(quotes: FlaskClient, chain: FakeChain) -> None:
    """OpenAPI lists every field that is taken, and quotes of every kind fit its schema to the letter."""
    described: dict[str, Any] = quotes.get("/openapi.json").get_json()
    assert described["openapi"] == "3.1.0"
    taken = [each["name"] for each in described["paths"]["/quote"]["get"]["parameters"]]
    assert sorted(taken) == sorted(FIELDS)
    schema = described["components"]["schemas"]["Quote"]
    plain = quotes.get("/quote?action=mint_tokens").get_json()
    full = quotes.get(QUOTE).get_json()
    chain.on_estimate = lambda _: GasAnswer(revert=b"\x01\x02\x03\x04")
    reverted = quotes.get(QUOTE.replace("t-1", "t-2")).get_json()
    assert reverted["revert"]["data"] == "0x01020304"
    for quote in (plain, full, reverted):
        assert faults(quote, schema) == []
    problem = json.loads(quotes.get("/quote").data)
    assert faults(problem, described["components"]["schemas"]["Problem"]) == []
    assert faults({**plain, "more": 1}, schema)
    assert faults({**plain, "type": "guess"}, schema)


def test_a_cold_start_of_many_asks_once(quotes: FlaskClient, chain: FakeChain) -> None:
    """Twenty threads that come before anything is made share one use case, and its one batch."""
    barrier, statuses = Barrier(20), list[int]()

    def ask() -> None:
        caller = quotes.application.test_client()
        barrier.wait(10)
        statuses.append(caller.get(QUOTE).status_code)

    threads = [Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert statuses == [200] * 20
    assert (chain.fee_batches, chain.gas_batches) == (1, 0)


def test_the_report_is_served_and_described(quotes: FlaskClient) -> None:
    """GET /report answers as its description says, and names a field that it does not take."""
    found = quotes.get("/report")
    assert found.status_code == 200
    described: dict[str, Any] = quotes.get("/openapi.json").get_json()
    assert faults(found.get_json(), described["components"]["schemas"]["Report"]) == []
    assert found.get_json()["transactions"] == 0
    for query, field in (("chain=7", "chain"), ("action=agree_send", "action"), ("speed=1", "speed")):
        wrong = quotes.get(f"/report?{query}")
        assert (wrong.status_code, wrong.content_type) == (400, "application/problem+json")
        assert f"field {field}" in wrong.get_json()["detail"]


@pytest.mark.parametrize(
    ("asked_s", "told"), [(None, "5"), (0.0, "1"), (0.3, "1"), (7.2, "8"), (1e300, "86400")]
)
def test_who_is_to_come_again_is_told_a_time(asked_s: float | None, told: str) -> None:
    """A pause that a node asked for is rounded up to whole seconds, never to none, and not past a day."""
    _, status, headers = problem(RateLimited("too many requests", asked_s))
    assert (status, headers["Retry-After"]) == (503, told)
