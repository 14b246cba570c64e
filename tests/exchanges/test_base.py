from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace

import pytest

from tapeline.exchanges import base
from tapeline.exchanges.base import exchanges


class Entry:
    def __init__(self, loaded: object) -> None:
        self.loaded = loaded

    def load(self) -> object:
        return self.loaded


@pytest.fixture
def _fresh() -> Iterator[None]:
    exchanges.cache_clear()
    yield
    exchanges.cache_clear()


@pytest.mark.usefixtures("_fresh")
def test_exchanges_of_other_packages_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    kraken = next(one for one in exchanges().values() if one.venue == "KRAKEN")
    exchanges.cache_clear()
    entries = [Entry(replace(kraken, venue="FOO")), Entry(SimpleNamespace(EXCHANGE=replace(kraken, venue="BAR")))]
    monkeypatch.setattr(base, "entry_points", lambda group: entries if group == "tapeline.exchanges" else [])
    assert list(exchanges()) == ["BAR", "BINANCE", "COINBASE", "FOO", "KRAKEN", "MASSIVE"]


def test_bodies_are_known_by_their_keys_or_columns() -> None:
    kraken = exchanges()["KRAKEN"]
    assert base.body_kind(kraken, b'{"error":[],"result":{"unixtime":1,"rfc1123":"x"}}') == "Time"
    assert base.body_kind(kraken, b'{"result":{"XBTUSD":[[1,"1","1","1","1","1","1",2]]}}') == "OHLC"
    assert base.body_kind(kraken, b'{"result":{"XBTUSD":[["1","2",3,"b","l","",4]]}}') == ""
