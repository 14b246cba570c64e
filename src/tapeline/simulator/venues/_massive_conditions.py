"""Conditions of trades as the simulated Massive explains them: a few of each kind of rule.

No simulated stock trade carries one; they are here for those who read the rules before they read trades.
"""

from __future__ import annotations

from typing import Any


def _condition(number: int, name: str, high_low: bool, open_close: bool, volume: bool) -> dict[str, Any]:
    rules = {"updates_high_low": high_low, "updates_open_close": open_close, "updates_volume": volume}
    both = {"consolidated": rules, "market_center": rules}
    kind = {"id": number, "type": "sale_condition", "name": name, "asset_class": "stocks"}
    return kind | {"update_rules": both, "data_types": ["trade"]}


def _coin(number: int, name: str) -> dict[str, Any]:
    kind = {"id": number, "type": "trade_condition", "name": name, "asset_class": "crypto"}
    return kind | {"data_types": ["trade"]}


CONDITIONS: list[dict[str, Any]] = [
    _condition(1, "Acquisition", True, True, True),
    _condition(2, "Average Price Trade", False, False, True),
    _condition(7, "Cash Sale", False, False, True),
    _condition(10, "Derivatively Priced", True, False, True),
    _condition(12, "Form T/Extended Hours", False, False, True),
    _condition(14, "Intermarket Sweep", True, True, True),
    _condition(15, "Market Center Official Close", False, False, False),
    _condition(16, "Market Center Official Open", False, False, False),
    _condition(37, "Odd Lot Trade", False, False, True),
    _condition(41, "Trade Thru Exempt", True, True, True),
    _coin(1, "sellside"),
    _coin(2, "buyside"),
]
