"""What a venue answers to a login and to subscriptions: which instruments it takes, and which it refuses, and why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tapeline.errors import VenueRefused
from tapeline.exchanges.base import Ack
from tapeline.ingest.base import Place, Status


class Proving:
    """Prove each instrument of a session, by an answer or by a trade.

    Args:
        place: the venue.
        status: of the connection; what is refused is noted there.
        where: names the connection in errors.

    Attributes:
        authorised: whether the login was accepted, or none is needed.
        unproven: instruments that are asked for, and neither proven nor refused yet.
        ask_again: whether those are to be asked for again, without the refused ones: all were refused at once.
    """

    def __init__(self, place: Place, status: Status, where: str) -> None:
        self.authorised = place.feed.login is None
        self.unproven: set[str] = set()
        self.ask_again = False
        self._place = place
        self._status = status
        self._where = where

    @property
    def accepted(self) -> list[str]:
        """Return the instruments that are not refused."""
        return [name for name in self._status.instruments if name not in self._status.refused]

    def ask(self) -> list[str]:
        """Return the instruments to ask for now, as the venue names them."""
        self.ask_again = False
        return [self._place.theirs(name) for name in self._status.instruments if name in self.unproven]

    def traded(self, instrument: str) -> None:
        """Take a trade for an answer: who tells trades has accepted."""
        self.unproven.discard(instrument)
        self._status.refused.pop(instrument, None)

    def answered(self, ack: Ack) -> None:
        """Take the answer to a login or a subscription.

        Raises:
            VenueRefused: the venue does not take the key.
        """
        exchange = self._place.exchange
        named = [self._place.ours(name) for symbol in ack.symbols if (name := exchange.instrument(symbol))]
        if ack.request == "auth":
            if not ack.accepted:
                raise VenueRefused(self._where, f"the venue refused us ({ack.reason})", next_step="check the key")
            self.authorised = True
        elif ack.request == "unsubscribe":
            return
        elif ack.accepted:
            self.unproven -= set(named) if ack.symbols else self.unproven
        else:
            self._refused(ack, named)

    def silent(self, seconds: float) -> bool:
        """Give up waiting for answers; return False where none came at all."""
        if len(self.unproven) + len(self._status.refused) == len(self._status.instruments):
            return False
        self._refuse(set(self.unproven), f"no answer in {seconds:g} s")
        return True

    def check(self) -> None:
        """Check that something is left to follow.

        Raises:
            VenueRefused: every instrument was refused.
        """
        if not self.accepted:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in self._status.refused.items())
            raise VenueRefused(self._where, f"every instrument was refused ({reasons})", next_step="name others")

    def _refused(self, ack: Ack, named: Sequence[str]) -> None:
        """Part the refused instruments from the others, which are asked for again where all were refused at once."""
        symbol = self._place.exchange.symbol
        told = list(named) or [name for name in sorted(self.unproven) if symbol(self._place.theirs(name)) in ack.reason]
        self.ask_again = not named and bool(told)
        self._refuse(told or self.unproven, ack.reason or "refused without a reason")

    def _refuse(self, names: Iterable[str], reason: str) -> None:
        refused = [name for name in names if name in self._status.instruments]
        self._status.refused.update(dict.fromkeys(refused, reason))
        self.unproven -= set(refused)
