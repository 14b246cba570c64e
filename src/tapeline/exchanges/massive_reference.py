"""What Massive says about trades: which conditions let a trade count.

A candle here is a fold over trades of one kind: a trade counts in all of it or not at all. So only trades that update
open and close, high and low, and volume count. One that updates less (an odd lot, an average price, a late report) is
left out by name, hence the volume of our candles is that of the trades that made their prices, and below the
consolidated volume.

Source: massive.com/docs, v3/reference/conditions; the meaning of ``correction`` is that of the daily TAQ files of NYSE.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from tapeline.exchanges.fields import reading

_CANCELLED = {
    7: "tradeErroneous",
    8: "tradeCancelled",
    10: "cancelRecord",
    11: "errorRecord",
    12: "correctionRecord",
}


class Effect(NamedTuple):
    """What a trade updates in the consolidated candle."""

    open_close: bool = True
    high_low: bool = True
    volume: bool = True


@dataclass(frozen=True)
class Conditions:
    """What a trade with a condition updates, by the number of the condition; one that is not known changes nothing."""

    effects: Mapping[int, Effect] = field(default_factory=dict)

    def left_out(self, codes: Sequence[int], correction: int = 0) -> str:
        """Return the name under which a trade is left out, or an empty text where it counts.

        >>> Conditions({37: Effect(False, False, True)}).left_out([0, 37])
        'tradeVolumeOnly'
        """
        if correction in _CANCELLED:
            return _CANCELLED[correction]
        held = [self.effects[code] for code in codes if code in self.effects]
        if all(map(all, held)):
            return ""
        if not all(one.volume for one in held):
            return "tradeUncounted"
        return "tradeHighLowOnly" if all(one.high_low for one in held) else "tradeVolumeOnly"


ALL = Conditions()
"""Every trade counts."""


class _Rules(msgspec.Struct):
    updates_open_close: bool = True
    updates_high_low: bool = True
    updates_volume: bool = True


class _UpdateRules(msgspec.Struct):
    consolidated: _Rules | None = None


class _Condition(msgspec.Struct):
    id: int
    update_rules: _UpdateRules | None = None
    data_types: list[str] = []
    legacy: bool = False


class _ConditionsBody(msgspec.Struct):
    results: list[_Condition]


_conditions = msgspec.json.Decoder(_ConditionsBody)


def parse_conditions(body: bytes) -> Conditions:
    """Read a body of ``v3/reference/conditions``; what it says of trades in the consolidated candle.

    Raises:
        MalformedMessage: it is no such body.
    """
    with reading("massive conditions", body):
        rows = _conditions.decode(body).results
    rules = {
        row.id: row.update_rules.consolidated
        for row in rows
        if row.update_rules and row.update_rules.consolidated and "trade" in row.data_types
    }
    return Conditions(
        {
            number: Effect(rule.updates_open_close, rule.updates_high_low, rule.updates_volume)
            for number, rule in rules.items()
        }
    )


def rules_of(ticker: str, conditions: Conditions) -> Conditions:
    """Return the conditions of stocks for a stock; options (``O:``) and crypto (``X:``) number theirs otherwise."""
    return ALL if ticker[1:2] == ":" else conditions
