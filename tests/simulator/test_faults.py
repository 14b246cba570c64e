"""Faults strike as often as asked, at the same opportunities for the same seed, and say so."""

from __future__ import annotations

import pytest

from tapeline.errors import UnknownName, UsageError
from tapeline.simulator.faults import FAULTS, Faults, Strike, parse_fault


def struck(faults: Faults, name: str, connection: int = 1, tries: int = 400) -> list[int]:
    return [at for at in range(tries) if faults.strikes(name, at, connection=connection)]


def test_a_fault_strikes_as_often_as_asked() -> None:
    assert len(struck(Faults({"drop": 0.25}), "drop", tries=4000)) == pytest.approx(1000, rel=0.1)
    assert struck(Faults({"drop": 1.0}), "drop") == list(range(400))
    assert struck(Faults({"drop": 0.0}), "drop") == struck(Faults(), "drop") == []


def test_the_same_seed_strikes_at_the_same_opportunities_whatever_else_is_asked() -> None:
    alone = struck(Faults({"drop": 0.1}, seed=3), "drop")
    both = Faults({"drop": 0.1, "split": 0.5}, seed=3)
    for at in range(400):
        both.strikes("split", at, connection=1)
    assert struck(both, "drop") == alone
    assert struck(Faults({"drop": 0.1}, seed=4), "drop") != alone
    assert struck(Faults({"drop": 0.1}, seed=3), "drop", connection=2) != alone


def test_a_chance_per_second_holds_for_any_step() -> None:
    steps = Faults({"disconnect": 0.5})
    seconds = sum(any(steps.strikes("disconnect", 0, times=0.01) for _ in range(100)) for _ in range(1000))
    assert seconds == pytest.approx(500, rel=0.12)


def test_each_strike_is_told_and_counted() -> None:
    told: list[Strike] = []
    faults = Faults({"drop": 1.0}, log=told.append)
    faults.strikes("drop", 7, connection=2, subject="BTC-USD.SIM 1-3")
    assert told == [Strike(7, "drop", 2, "BTC-USD.SIM 1-3")]
    assert faults.counts == {"drop": 1}


def test_faults_are_read_from_text() -> None:
    assert parse_fault("rest-5xx=0.5") == ("rest-5xx", 0.5)
    for text in ("drop", "drop=", "drop=often"):
        with pytest.raises(UsageError, match="fault drop: has no probability: expected NAME=P, was"):
            parse_fault(text)
    with pytest.raises(UsageError, match=r"expected a number from 0 to 1, was 1.5"):
        parse_fault("drop=1.5")
    with pytest.raises(UsageError, match="expected a number from 0 to 1, was nan"):
        parse_fault("drop=nan")
    with pytest.raises(UnknownName, match=f"fault: is not known: expected one of: {next(iter(FAULTS))}"):
        Faults({"dorp": 0.1})
