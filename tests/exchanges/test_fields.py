from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from tapeline.errors import InputError, MalformedMessage
from tapeline.exchanges.fields import named, number_text, reading, rfc3339_ns, seconds_ns, side_of, split_symbol


@pytest.mark.parametrize(
    ("symbol", "expected"),
    [
        ("btcusdt", ("BTC", "USDT")),
        ("ETHBTC", ("ETH", "BTC")),
        ("BTCFDUSD", ("BTC", "FDUSD")),
        ("XBT/USD", ("XBT", "USD")),
        ("DOGE-EUR", ("DOGE", "EUR")),
        ("USDT", None),
        ("SPY", None),
        ("a/b/c", None),
    ],
)
def test_symbols_split_at_their_quote(symbol: str, expected: tuple[str, str] | None) -> None:
    assert split_symbol(symbol) == expected


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-1", "1e400", "1e99999999", "9999999999.9"])
def test_seconds_that_no_int64_holds_are_refused(text: str) -> None:
    assert seconds_ns(Decimal(text)) == -1


def test_seconds_keep_every_digit() -> None:
    assert seconds_ns(Decimal("1762820035.982277754")) == 1_762_820_035_982_277_754


@pytest.mark.parametrize("text", ["1.50", "-2", "1e-7", '"0.00100000"', '"1E5"'])
def test_numbers_keep_their_digits(text: str) -> None:
    assert number_text(msgspec.Raw(text.encode())) == text.strip('"')


@pytest.mark.parametrize("text", ['"NaN"', '""', "null", "true", "[1]", "{}", '"1 "', '"\u0661"', '"0x1"'])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a number"):
        number_text(msgspec.Raw(text.encode()))


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1970-01-01T00:00:01Z", 1_000_000_000),
        ("2021-04-17T16:43:37.089723Z", 1_618_677_817_089_723_000),
        ("2021-04-17 16:43:37.089723001+00:00", 1_618_677_817_089_723_001),
    ],
)
def test_times_keep_every_digit(text: str, ns: int) -> None:
    assert rfc3339_ns(text) == ns


@pytest.mark.parametrize("text", ["2021-04-17T16:43:37", "2021-02-30T00:00:00Z", "2021-04-17T16:43:37+02:00", "x"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"time|day|isoformat"):
        rfc3339_ns(text)


def test_a_symbol_is_named_or_refuses_the_message() -> None:
    def find(symbol: str) -> str | None:
        return {"good": "BTC-USD.SIM", "odd": "BTC USD.SIM"}.get(symbol)

    assert named(find, "good", b"raw") == "BTC-USD.SIM"
    for symbol in ("unknown", "odd"):
        with pytest.raises(MalformedMessage, match="symbol: cannot be named") as caught:
            named(find, symbol, b"raw")
        assert caught.value.raw == b"raw"


@pytest.mark.parametrize("error", [ValueError("no"), RecursionError("no"), msgspec.DecodeError("no")])
def test_what_a_decoder_refuses_is_malformed(error: Exception) -> None:
    with pytest.raises(MalformedMessage, match=r"^foo: cannot be read \(no\)") as caught, reading("foo", b"raw"):
        raise error
    assert caught.value.raw == b"raw"
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [InputError("foo", "is another"), KeyError("x"), KeyboardInterrupt()])
def test_other_errors_pass(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, reading("foo row", b""):
        raise error
    assert caught.value is error


def test_a_side_is_one_of_the_venue_s_words() -> None:
    sides = {"buy": 1, "sell": -1}
    assert side_of("foo trade", "sell", sides, b"") == -1
    with pytest.raises(MalformedMessage, match="foo trade: side: expected buy or sell, was 'both'"):
        side_of("foo trade", "both", sides, b"")
