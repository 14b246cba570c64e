from __future__ import annotations

import msgspec
import pytest

from tapeline.errors import MalformedMessage
from tapeline.exchanges.answers import following, read_rows
from tapeline.exchanges.base import Request


def test_rows_that_cannot_be_read_stand_beside_the_others() -> None:
    def read(raw: bytes) -> int:
        if not raw.isdigit():
            raise MalformedMessage("row", "is no number", raw=raw)
        return int(raw)

    found, bad = read_rows([msgspec.Raw(b"1"), msgspec.Raw(b"x"), msgspec.Raw(b"3")], read)
    assert found == [1, 3]
    assert [error.raw for error in bad] == [b"x"]


def test_of_the_address_of_the_next_page_only_path_and_query_are_followed() -> None:
    address = "https://elsewhere.example/v3/trades/AAPL?cursor=a%3D1&limit=2"
    assert following(address, "/v3/trades/") == Request("/v3/trades/AAPL", {"cursor": "a=1", "limit": "2"})


@pytest.mark.parametrize("address", ["", "/v3/trades/AAPL", "https://x/v3/quotes/A?cursor=1", "//v3/trades/?cursor=1"])
def test_an_address_of_something_else_is_not_followed(address: str) -> None:
    assert following(address, "/v3/trades/") is None
