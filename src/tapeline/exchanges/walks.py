"""How far a walk through a venue's past has come, for venues whose trades have ascending ids."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable

from tapeline.errors import MalformedMessage
from tapeline.exchanges.base import History, Page, RawTrade, Request, Response, Span, Walk

_PATIENCE = 2

Ask = Generator[Request | Page, Response | None, Response]


class Stretch:
    """Pass on each trade of a span once, by ascending id, and say when the span is over.

    ``newest`` is the highest id seen, None before the first. An answer without a new trade is not believed at once:
    the walk is over when it came twice in a row.
    """

    def __init__(self, span: Span) -> None:
        self.newest: int | None = None
        self._span = span
        self._time = 0
        self._idle = 0

    def pass_on(self, history: History) -> Page:
        """Return the trades of an answer that belong to the span and were not passed on before."""
        new = self._new(history.trades)
        self._idle = 0 if new else self._idle + 1
        if new:
            self.newest, self._time = new[-1].trade_id, new[-1].ts_event
        nameless = [_without_id(one) for one in history.trades if one.trade_id is None]
        return Page([one for one in new if self._wanted(one)], (*history.bad, *nameless))

    @property
    def covered(self) -> bool:
        """Return whether the end of the span has been seen."""
        reached = self._span.last_id is not None and self.newest is not None and self.newest >= self._span.last_id
        return reached or self._time >= self._span.end

    @property
    def over(self) -> bool:
        """Return whether the span is covered, or the venue has no more of it."""
        return self.covered or self._idle >= _PATIENCE

    def skips(self, history: History) -> bool:
        """Return whether ids are missing between the newest trade and those of an answer."""
        new = self._new(history.trades)
        return bool(new) and self.newest is not None and (new[0].trade_id or 0) > self.newest + 1

    def _new(self, trades: Iterable[RawTrade]) -> list[RawTrade]:
        newest = -1 if self.newest is None else self.newest
        known = {one.trade_id: one for one in trades if one.trade_id is not None and one.trade_id > newest}
        return [known[one] for one in sorted(known)]

    def _wanted(self, trade: RawTrade) -> bool:
        number, span = trade.trade_id or 0, self._span
        if span.first_id is None and trade.ts_event < span.start:
            return False
        if span.last_id is None and trade.ts_event >= span.end:
            return False
        return (span.first_id or 0) <= number and (span.last_id is None or number <= span.last_id)


def by_id(span: Span, first_id: int, ask: Callable[[int], Request], read: Callable[[bytes], History]) -> Walk:
    """Walk up by id: ``ask`` returns the request for trades from an id on.

    Raises:
        InputError: an answer cannot be read.
    """
    stretch = Stretch(span)
    number = first_id
    while not stretch.over:
        answer = yield from asked(ask(number))
        page = stretch.pass_on(read(answer.body))
        if page.trades or page.bad:
            yield page
        if stretch.newest is not None:
            number = max(number, stretch.newest + 1)


def asked(request: Request) -> Ask:
    """Yield a request, and return what is sent for it."""
    response = yield request
    return response or Response(204, {}, b"")


def _without_id(trade: RawTrade) -> MalformedMessage:
    return MalformedMessage("trade", "has no id", raw=repr(trade).encode(), expected="an id", was=trade.symbol)
