"""``backfill`` and ``gaps --heal`` against a Kraken on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.conftest import Tapeline
from tests.ingest.fakes import BTC, NOW, FakeKraken

from tapeline.clock import HOUR, format_time

START, END = format_time(NOW - HOUR), format_time(NOW)


@pytest.fixture
def kraken(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKraken]:
    with FakeKraken().serving_beside() as fake:
        monkeypatch.setenv("TAPELINE_KRAKEN_URL", f"http://{fake.url}")
        monkeypatch.setenv("TAPELINE_DB", str(folder / "other.duckdb"))
        yield fake


def test_backfill_then_heal(kraken: FakeKraken, tapeline: Tapeline) -> None:
    ids = kraken.trade(count=30)
    kraken.rest = lambda path, params: None if len(kraken.asked) > 1 else (200, kraken.trades(params, skip={110, 111}))
    told = tapeline("backfill", BTC, "--start", START, "--end", END, "--json")
    assert told.code == 2
    assert [(one["instrument"], one["trades"], one["missing"]) for one in told.json["instruments"]] == [(BTC, 28, 2)]
    assert "2 ids are missing: the venue does not give them" in told.err
    listed = tapeline("gaps", BTC, "--json")
    assert (listed.code, [gap["first_missing"] for gap in listed.json]) == (0, [110])
    healed = tapeline("gaps", "--heal", "--lookback", "3650d", "--json")
    assert healed.code == 0
    assert healed.json["gaps"] == []
    assert [one["trades"] for one in healed.json["healed"]] == [2]
    assert tapeline("sql", "SELECT count(*) AS n FROM trades", "--json").json[0]["n"] == len(ids)
    again = tapeline("gaps", "--heal")
    assert (again.code, again.out) == (0, "")


def test_a_venue_that_does_not_answer_is_an_error_that_says_how_to_go_on(
    kraken: FakeKraken, tapeline: Tapeline
) -> None:
    kraken.rest = lambda path, params: (200, b'{"error":["EQuery:Unknown asset pair"]}')
    told = tapeline("backfill", BTC, "--start", START, "--end", END)
    assert told.code == 2
    assert "Unknown asset pair" in told.err
    assert "the same command goes on from there" in told.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["BTC-USD.NOWHERE"], "cannot be followed"),
        (["btc"], "is not a name"),
        ([BTC, "--start", END, "--end", START], "has nothing to ask for"),
    ],
)
def test_what_cannot_be_asked_for(kraken: FakeKraken, tapeline: Tapeline, arguments: list[str], says: str) -> None:
    told = tapeline("backfill", *arguments)
    assert told.code == 2
    assert says in told.err
    assert kraken.asked == []
