"""The optimisation report, and the export of what was recorded."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from shared.adapters.sqlite import SqliteDocuments
from shared.app.backtest_report import backtest
from shared.app.backtest_rows import read_recording
from shared.app.fee_export import fee_csv
from shared.app.fee_strategies import strategies
from shared.app.gas_report import GasReport
from shared.app.report_openapi import report_schema
from shared.cli import app
from shared.contracts.template import write_contract_file
from shared.domain.contract import Finality
from shared.domain.fee_blocks import BlockFees
from shared.domain.fee_record import (
    FEE_HISTORY,
    GAS_SAMPLES,
    PAID_SAMPLES,
    TIP_SAMPLES,
    FeeRow,
    GasSample,
    PaidSample,
    TipSample,
    chunk_document,
    chunk_key,
    chunk_of,
    gas_document,
    paid_document,
    paid_samples,
    samples_key,
    tip_document,
)
from shared.domain.fee_settings import chain_fees
from shared.domain.gas_advice import advice
from shared.domain.tips import TipObservation
from shared.errors import CorruptEvent, InvalidInput, NotFound
from tests.support.clock import FakeClock
from tests.support.documents import MemoryDocuments
from tests.support.json_schema import faults
from tests.support.world import registry

if TYPE_CHECKING:
    from pathlib import Path

    from shared.ports import Documents

GWEI = 10**9
CONTRACT = "0x" + "c0" * 20
KEY = f"1:{CONTRACT}"


def name(number: int) -> str:
    """Return a transaction hash."""
    return f"0x{number:064x}"


def paid(number: int, tip_wei: int = GWEI // 10, action: str = "agree_send", every: int = 900) -> PaidSample:
    """Return what a transaction paid at a base fee of a gwei."""
    return PaidSample(name(number), number * every, KEY, action, 70_000, GWEI + tip_wei, GWEI)


def keep_blocks(documents: Documents, count: int, tip_wei: int = GWEI // 100) -> list[BlockFees]:
    """Store rows of blocks whose gas paid about this tip; one tells none."""
    chance = random.Random(3)
    blocks = []
    for number in range(40, 40 + count):
        tips = {} if number == 41 else {10.0: tip_wei, 50.0: 2 * tip_wei + chance.randrange(tip_wei)}
        blocks.append(BlockFees(number, 12 * number, GWEI + number, 15_000_000, 30_000_000, tips))
    rows = [FeeRow(block, name(block.number)) for block in blocks]
    for chunk in {chunk_of(block.number) for block in blocks}:
        document = chunk_document(1, chunk, [row for row in rows if chunk_of(row.fees.number) == chunk])
        documents.put(FEE_HISTORY, chunk_key(1, chunk), document)
    return blocks


def report(documents: Documents, directory: Path, *, chain_id: int = 1, **given: str) -> dict[str, Any]:
    """Return the report, after a look whether it is as described."""
    known = registry(directory, chain_id, CONTRACT)
    found = GasReport(documents, known, FakeClock(), chain_fees).report(given)
    assert faults(found, report_schema()) == []
    return found


def test_nothing_known_is_told_as_that(tmp_path: Path) -> None:
    """Before anything was recorded there are no figures, and nothing is recommended."""
    found = report(MemoryDocuments(), tmp_path)
    assert found["transactions"] == 0
    assert found["saving"]["value"] is None
    assert found["saving"]["verdict"] == "unknown"
    assert found["success"] == {"rate": None, "succeeded": 0, "failed": 0}
    assert found["actions"] == found["recommendations"] == []


def test_the_saving_is_weighted_and_has_its_interval(tmp_path: Path) -> None:
    """Tips of 0.1 gwei at a base fee of 1 are 45 % below the default, at most 50 % were to be had."""
    documents = MemoryDocuments()
    documents.put(PAID_SAMPLES, "1", paid_document(paid(n) for n in range(1, 41)))
    saving = report(documents, tmp_path)["saving"]
    assert saving["value"] == pytest.approx(0.45)
    assert saving["low"] == pytest.approx(0.45)
    assert (saving["most"], saving["n"], saving["verdict"]) == (0.5, 40, "saves")


def test_where_no_tip_is_taken_nothing_is_saved_on_tips(tmp_path: Path) -> None:
    """On Arbitrum the default pays the base fee as everybody does: its tip is no saving."""
    documents = MemoryDocuments()
    documents.put(PAID_SAMPLES, "42161", paid_document(paid(n, tip_wei=0) for n in range(1, 41)))
    saving = report(documents, tmp_path, chain_id=42161)["saving"]
    assert (saving["value"], saving["most"], saving["verdict"]) == (0, 0, "none")


def test_no_saving_is_told_as_none(tmp_path: Path) -> None:
    """Tips as high as the default's save nothing; nor is there anything where the base fee dominates."""
    for tip, base_fee in ((GWEI, GWEI), (3 * GWEI, GWEI), (1, 500 * GWEI)):
        documents = MemoryDocuments()
        samples = (
            PaidSample(name(n), n * 900, KEY, "agree_send", 7, base_fee + tip, base_fee) for n in range(40)
        )
        documents.put(PAID_SAMPLES, "1", paid_document(samples))
        assert report(documents, tmp_path)["saving"]["verdict"] == "none"


def test_actions_come_with_what_they_cost(tmp_path: Path) -> None:
    """The dearest action comes first, each with its transactions, gas, cost and share."""
    documents = MemoryDocuments()
    samples = [paid(n) for n in range(3)] + [paid(n, action="burn_tokens") for n in range(10, 12)]
    documents.put(PAID_SAMPLES, "1", paid_document(samples))
    first, second = report(documents, tmp_path)["actions"]
    assert (first["action"], first["transactions"], first["share"]) == ("agree_send", 3, 0.6)
    assert second["cost"] == str(2 * 70_000 * (GWEI + GWEI // 10))
    assert second["meanGasPrice"] == str(GWEI + GWEI // 10)


def test_steps_that_failed_are_counted(tmp_path: Path) -> None:
    """The success rate is that of stored steps; beyond 5 % failures the report says so."""
    documents = MemoryDocuments()
    for number in range(30):
        kind = "blockchain.v5.executed" + (".failed" if number < 3 else "")
        documents.put("events", str(number), {"eventType": kind})
    documents.put("events", "a", {"eventType": "rollover.started"})
    found = report(documents, tmp_path)
    assert found["success"] == {"rate": 0.9, "succeeded": 27, "failed": 3}
    assert [each["code"] for each in found["recommendations"]] == ["failures"]


def test_a_tip_that_would_do_is_recommended(tmp_path: Path) -> None:
    """Where blocks take lower tips than ours, the report says which and how much less it is."""
    documents = MemoryDocuments()
    keep_blocks(documents, 200)
    documents.put(PAID_SAMPLES, "1", paid_document(paid(n, GWEI // 2) for n in range(40)))
    seen = [TipSample(name(n), n, TipObservation(GWEI // 2, GWEI, 1 + n % 2)) for n in range(40)]
    documents.put(TIP_SAMPLES, "1", tip_document(seen))
    found = report(documents, tmp_path)
    tip = next(each for each in found["recommendations"] if each["code"] == "tip")
    assert int(tip["numbers"]["tip"]) < GWEI // 10
    assert tip["numbers"]["medianPaid"] == str(GWEI // 2)
    assert 0.25 < tip["numbers"]["share"] < 0.34
    assert found["waits"] == {"transactions": 40, "median": 1, "most": 2, "withinFive": 1.0}


def test_a_saving_of_too_few_is_not_called_sure(tmp_path: Path) -> None:
    """One transaction that cost less has no interval: its figure stands there, and the word is unknown."""
    documents = MemoryDocuments()
    for price, word in ((GWEI, "unknown"), (9 * GWEI, "none")):
        sample = PaidSample(name(1), 1, KEY, "agree_send", 70_000, price, GWEI)
        documents.put(PAID_SAMPLES, "1", paid_document([sample]))
        saving = report(documents, tmp_path)["saving"]
        assert (saving["low"], saving["n"], saving["verdict"]) == (None, 1, word)
    assert saving["value"] == -3.5


def test_limits_apart_from_the_table_are_told(tmp_path: Path) -> None:
    """Where receipts ask for much less than the table, or for more, the limit that they ask for is told."""
    documents = MemoryDocuments()
    for action, gas in (("agree_send", 70_212), ("burn_tokens", 160_000), ("mint_tokens", 400_000)):
        samples = [GasSample(name(n), n, gas) for n in range(12)]
        documents.put(GAS_SAMPLES, samples_key(KEY, action), gas_document(samples))
    documents.put(GAS_SAMPLES, samples_key(KEY, "agree_receive"), gas_document([GasSample(name(1), 1, 9)]))
    found = report(documents, tmp_path)["recommendations"]
    assert [(each["numbers"]["action"], each["numbers"]["limit"]) for each in found] == [
        ("agree_send", 84_255),
        ("mint_tokens", 480_000),
    ]
    assert "is enough" in found[0]["text"]
    assert "is needed" in found[1]["text"]


def test_unknown_waits_are_told() -> None:
    """Where no transaction's wait is known, the report says how it would be."""
    assert [each.code for each in advice([paid(n) for n in range(10)], None, 5, {}, 0, 0, 0)] == [
        "unknown_waits"
    ]
    assert advice([paid(n) for n in range(10)], None, 5, {}, 0, 0, 1) == []


@pytest.mark.parametrize(
    "given", [{"chain": "7"}, {"chain": "x"}, {"action": "agree_send"}, {"transfer": "a"}]
)
def test_a_wrong_field_is_named(tmp_path: Path, given: dict[str, str]) -> None:
    """A chain that is not configured, and any other field, is refused by its name."""
    with pytest.raises(InvalidInput, match=next(iter(given))):
        report(MemoryDocuments(), tmp_path, **given)


def test_spoilt_records_are_told(tmp_path: Path) -> None:
    """What somebody changed by hand is an error, not a figure."""
    spoilt = [f"1 {name(1)} {KEY} agree_send {paid}" for paid in ("7 5 6", "x 7 6", f"{2**60} 7 6")]
    spoilt += [f"{10**30} {name(1)} {KEY} agree_send 7 7 6", f"1 {name(1)} {KEY} agree_send 7 {10**300} 6"]
    for text in ("nonsense", *spoilt):
        documents = MemoryDocuments()
        documents.put(PAID_SAMPLES, "1", {"samples": text})
        with pytest.raises(CorruptEvent):
            report(documents, tmp_path)


def test_what_was_paid_is_kept_as_it_is() -> None:
    """Samples come back as they were, the last 500, one of each transaction."""
    samples = [paid(n) for n in range(600)]
    kept = paid_samples(paid_document([*samples, *samples[100:]]))
    assert kept == samples[100:]


def test_the_export_is_what_a_backtest_reads() -> None:
    """Blocks come back from the CSV as they were recorded, and are scored with their tips."""
    documents = MemoryDocuments()
    blocks = keep_blocks(documents, 150)
    recording = read_recording([f"{line}\n" for line in fee_csv(documents, 1)], "export")
    assert list(recording.blocks) == blocks
    found = backtest(recording, strategies(), 5)
    ours = next(line for line in found.lines if line.strategy == "plumbline")
    assert ours.saving is not None
    assert ours.saving.value > 0.4
    with pytest.raises(NotFound, match="chain 5"):
        list(fee_csv(documents, 5))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a store and a registry, which the command line is told of."""
    file = write_contract_file(tmp_path, 1, CONTRACT, 1, Finality(depth=0))
    monkeypatch.setenv("PLUMBLINE_STORE", f"sqlite:///{tmp_path / 'store.db'}")
    monkeypatch.setenv("PLUMBLINE_CONTRACTS", str(file))
    monkeypatch.chdir(tmp_path)
    documents = SqliteDocuments(str(tmp_path / "store.db"))
    keep_blocks(documents, 20)
    documents.put(PAID_SAMPLES, "1", paid_document(paid(n) for n in range(40)))
    documents.close()
    return tmp_path


def test_commands_export_and_report(home: Path) -> None:
    """`plumbline fees export` writes the CSV, `quote --report` prints the report."""
    run = CliRunner()
    assert run.invoke(app, ["fees", "export", "--out", "fees.csv"]).exit_code == 0
    told = run.invoke(app, ["fees", "export", "--chain", "1"])
    assert told.stdout == (home / "fees.csv").read_text()
    assert (
        told.stdout.splitlines()[0] == "number,timestamp,base_fee_per_gas,gas_used,gas_limit,tip_p10,tip_p50"
    )
    shown = run.invoke(app, ["quote", "--report"])
    assert shown.exit_code == 0
    assert "saving against ethers: 45.0%" in shown.stdout
    assert run.invoke(app, ["quote", "--report", "--json"]).stdout.startswith('{"chainId": 1')


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fees", "export", "--chain", "9"], "field chain"),
        (["fees", "export", "--out", "/nowhere/at/all.csv"], "cannot be written"),
        (["quote", "agree_send", "--report"], "field action"),
        (["quote"], "field action"),
    ],
)
def test_commands_name_what_is_wrong(home: Path, words: list[str], message: str) -> None:
    """A wrong option is refused with its field or file."""
    assert home.exists()
    found = CliRunner().invoke(app, words)
    assert isinstance(found.exception, InvalidInput)
    assert message in str(found.exception)
