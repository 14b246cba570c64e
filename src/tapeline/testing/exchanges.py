"""The conformance suite of exchanges: what every exchange must keep, whatever its venue speaks.

It finds all exchanges by itself. A subclass of `ExchangeSuite` names the folder of recorded messages: of each exchange
``<module>/ws.jsonl``, a message a line, and ``<module>/rest.jsonl``, a body of trades a line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tapeline.errors import InputError, MalformedMessage, TapelineError, VenueError
from tapeline.exchanges.base import Ack, Event, Exchange, Response, Trade, exchanges
from tapeline.exchanges.fields import MAX_ID
from tapeline.testing import exchange_feeds
from tapeline.types import check_instrument, venue_of

__all__ = ["CHECKS", "ExchangeSuite", "recorded"]

_TS_INIT = 1_762_800_000_000_000_000
_ODD: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, -1, 0, 2**63, 1.5, 1e300, "", "x", "NaN", "1e400", "\u00b2", [], {}, [[]]]
)


def recorded(folder: Path, exchange: Exchange, name: str = "ws.jsonl") -> list[bytes]:
    """Return the recorded messages of an exchange; none where there is no such file."""
    file = folder / exchange.venue.lower() / name
    return file.read_bytes().splitlines() if file.is_file() else []


def check_known(exchange: Exchange, messages: Sequence[bytes]) -> list[str]:
    """Every message is read, and among them are trades, an answer to a request and a kind that is ignored."""
    problems, seen = [], set()
    for message in messages:
        try:
            seen |= {type(event).__name__ for event in exchange.parse(message, _TS_INIT)}
        except MalformedMessage as error:
            problems.append(f"{error} in {message[:200]!r}")
    return problems + [f"no message gives {name}" for name in sorted({"Trade", "Ack", "Ignored"} - seen)]


def check_trades(exchange: Exchange, messages: Sequence[bytes]) -> list[str]:
    """Trades carry the time of receipt, an instrument of the venue, an id of ours, and come oldest first."""
    problems = []
    for message in messages:
        trades = _trades(exchange.parse(message, _TS_INIT))
        problems += [text for trade in trades for text in _faults(exchange, trade)]
        for name in {trade.instrument for trade in trades}:
            keys = [(one.raw.ts_event, one.raw.trade_id or 0) for one in trades if one.instrument == name]
            if exchange.contiguous and keys != sorted(keys):
                problems.append(f"{name}: trades are not oldest first")
    return problems


def check_repeatable(exchange: Exchange, messages: Sequence[bytes]) -> list[str]:
    """What is read does not depend on what was read before."""
    first = [exchange.parse(message, _TS_INIT) for message in messages]
    again = [exchange.parse(message, _TS_INIT) for message in reversed(messages)]
    return [] if first == again[::-1] else ["the same message is read in two ways"]


def check_unknown_fields(exchange: Exchange, messages: Sequence[bytes]) -> list[str]:
    """Fields that are not known change nothing; of an answer to a request only those beside the known ones."""
    problems = []
    for message in messages:
        events = exchange.parse(message, _TS_INIT)
        deep = not any(isinstance(event, Ack) for event in events)
        try:
            changed = exchange.parse(json.dumps(_widened(json.loads(message), deep)).encode(), _TS_INIT)
        except MalformedMessage as error:
            problems.append(f"an unknown field is refused: {error}")
            continue
        if [_meant(event) for event in changed] != [_meant(event) for event in events]:
            problems.append(f"an unknown field changes what is read: {message[:200]!r}")
    return problems


def check_names(exchange: Exchange, messages: Sequence[bytes]) -> list[str]:
    """An instrument's symbol leads back to it, and a subscription names it."""
    problems = []
    for name in sorted({trade.instrument for message in messages for trade in _trades(exchange.parse(message, 0))}):
        try:
            symbol = exchange.symbol(name)
            asked = b"".join(exchange.subscribe([name]))
        except TapelineError as error:
            problems.append(str(error))
            continue
        if exchange.instrument(symbol) != name:
            problems.append(f"{name}: its symbol {symbol} leads to {exchange.instrument(symbol)}")
        if symbol.lower() not in asked.decode().replace("\\/", "/").lower():
            problems.append(f"{name}: its symbol {symbol} is not in {asked!r}")
    return problems


CHECKS: tuple[Callable[[Exchange, Sequence[bytes]], list[str]], ...] = (
    check_known,
    check_trades,
    check_repeatable,
    check_unknown_fields,
    check_names,
)


class ExchangeSuite:
    """Run all checks on every exchange; ``messages`` is the folder of recorded messages."""

    messages: Path
    examples = 150

    @pytest.fixture(params=sorted(exchanges()))
    def exchange(self, request: pytest.FixtureRequest) -> Exchange:
        """Return each exchange in turn."""
        return exchanges()[request.param]

    @pytest.mark.parametrize("check", CHECKS)
    def test_keeps(self, exchange: Exchange, check: Callable[[Exchange, Sequence[bytes]], list[str]]) -> None:
        """One of `CHECKS`."""
        assert check(exchange, recorded(self.messages, exchange)) == []

    def test_bodies_of_trades_are_read(self, exchange: Exchange) -> None:
        """Recorded bodies give trades and nothing bad."""
        bodies = recorded(self.messages, exchange, "rest.jsonl")
        histories = [exchange.parse_history(body, "BTC-USD") for body in bodies]
        assert bodies
        assert all(history.trades and not history.bad for history in histories)

    @pytest.mark.parametrize("check", exchange_feeds.CHECKS)
    def test_can_be_followed_live(
        self, exchange: Exchange, check: Callable[[Exchange, Sequence[bytes]], list[str]]
    ) -> None:
        """One of `tapeline.testing.exchange_feeds.CHECKS`, on recorded bodies."""
        assert check(exchange, recorded(self.messages, exchange, "rest.jsonl")) == []

    def test_damaged_answers_end_a_walk(self, exchange: Exchange) -> None:
        """A walk that is answered with damaged bodies ends, or says that they cannot be read."""
        bodies = recorded(self.messages, exchange, "rest.jsonl")
        quiet = [HealthCheck.too_slow, HealthCheck.data_too_large]

        @settings(max_examples=self.examples // 3, deadline=None, suppress_health_check=quiet)
        @given(st.lists(_damaged(bodies), min_size=1, max_size=4))
        def damaged(answers: list[bytes]) -> None:
            assert exchange_feeds.walk_problems(exchange, answers) == []
            for answer in answers:
                with suppress(VenueError):
                    exchange.check(Response(200, {}, answer))

        damaged()

    def test_damaged_input_raises_only_errors_of_input(self, exchange: Exchange) -> None:
        """Arbitrary bytes, damaged messages, and fields of odd values."""
        messages = recorded(self.messages, exchange)
        bodies = recorded(self.messages, exchange, "rest.jsonl")
        quiet = [HealthCheck.too_slow, HealthCheck.data_too_large]

        @settings(max_examples=self.examples, deadline=None, suppress_health_check=quiet)
        @given(_damaged(messages), _damaged(bodies))
        def damaged(message: bytes, body: bytes) -> None:
            with suppress(MalformedMessage):
                assert all(isinstance(event, Event) for event in exchange.parse(message, _TS_INIT))
            with suppress(InputError):
                exchange.parse_history(body, "BTC-USD")

        damaged()

    def test_what_is_refused_is_kept(self, exchange: Exchange) -> None:
        """The error holds the bytes."""
        for message in (b"", b"<html>", b"[" * 100_000, b'{"neither": 1}', b"\xff\xfe", b"7"):
            with pytest.raises(MalformedMessage) as caught:
                exchange.parse(message, _TS_INIT)
            assert caught.value.raw == message


def _trades(events: Sequence[Event]) -> list[Trade]:
    return [event for event in events if isinstance(event, Trade)]


def _faults(exchange: Exchange, trade: Trade) -> Iterator[str]:
    if trade.ts_init != _TS_INIT:
        yield f"{trade.instrument}: ts_init is not the one given"
    if venue_of(check_instrument(trade.instrument)) != exchange.venue:
        yield f"{trade.instrument}: is not of {exchange.venue}"
    if trade.raw.trade_id is not None and not 0 <= trade.raw.trade_id <= MAX_ID:
        yield f"{trade.instrument}: id {trade.raw.trade_id} is no int64 from 0 on"
    if not 0 < trade.raw.ts_event <= MAX_ID or trade.raw.side not in {-1, 0, 1}:
        yield f"{trade.instrument}: time or side is wrong"
    if not all(re.fullmatch(r"[0-9.eE+-]+", text) for text in (trade.raw.price, trade.raw.qty)):
        yield f"{trade.instrument}: price or quantity is not the number as written"


def _meant(event: Event) -> Event:
    """Return an event without the way its numbers were written."""
    if not isinstance(event, Trade):
        return event
    price, qty = (str(float(text)) for text in (event.raw.price, event.raw.qty))
    return event._replace(raw=event.raw._replace(price=price, qty=qty))


def _widened(value: Any, deep: bool) -> Any:
    if isinstance(value, list):
        return [_widened(one, deep) for one in value]
    if not isinstance(value, dict):
        return value
    held = {key: _widened(one, deep) if deep else one for key, one in value.items()}
    return {"unknown_field": {"of": ["later", 1]}, **held, "another_unknown": None}


@st.composite
def _damaged(draw: st.DrawFn, messages: Sequence[bytes]) -> bytes:
    """Draw bytes: arbitrary, cut, with bytes replaced, or with values replaced."""
    message = draw(st.sampled_from(messages)) if messages else b"{}"
    how = draw(st.integers(0, 3))
    if how == 0:
        return draw(st.binary(max_size=100))
    at = draw(st.integers(0, len(message)))
    if how == 1:
        return message[:at]
    if how == 2:
        return message[:at] + draw(st.binary(max_size=3)) + message[at + draw(st.integers(0, 3)) :]
    return json.dumps(_replaced(draw, json.loads(message))).encode()


def _replaced(draw: st.DrawFn, value: Any) -> Any:
    """Replace one value somewhere inside by an odd one."""
    if not isinstance(value, dict | list) or not value or draw(st.integers(0, 5)) == 0:
        return draw(_ODD)
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = draw(st.sampled_from(keys))
    changed = dict(value) if isinstance(value, dict) else dict(enumerate(value))
    changed[key] = _replaced(draw, changed[key])
    return changed if isinstance(value, dict) else list(changed.values())
