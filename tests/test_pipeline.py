"""The law: however the tape is cut and wherever the process is stopped and resumed, the outputs are the same bits."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapeline.clock import DAY, MINUTE, SECOND
from tapeline.compare import same_bits
from tapeline.errors import BrokenInvariant, SnapshotMismatch
from tapeline.features import FeatureSet
from tapeline.pipeline import Layout, Outputs, Pipeline
from tapeline.simulator.market import Market
from tapeline.types import Decision, DecisionKind, Frame, Records

NAME = "BTC-USD.SIM"
SET = FeatureSet.load("bars")
LAYOUT = Layout(timeframes=("1m", "5m", "5m/1m"), sets=(SET,))
TAPE = Frame.concat(list(Market(3, trades_per_second=1.0).frames(trades=4000)))


def run(records: list[Frame | Decision | None], layout: Layout = LAYOUT) -> tuple[dict[str, Records], bytes]:
    """Feed records (None: stop and resume) and return the candles by timeframe with their features, and the state."""
    pipeline = Pipeline(NAME, layout)
    given: list[Outputs] = []
    for record in records:
        if record is None:
            again = Pipeline(NAME, layout)
            again.restore(pipeline.snapshot())
            pipeline = again
        else:
            given.append(pipeline.feed(record))
    columns: dict[str, Records] = {}
    for timeframe in layout.timeframes:
        columns[timeframe] = np.concatenate([o.candles[timeframe] for o in given if timeframe in o.candles])
        columns[f"{timeframe} features"] = np.concatenate(
            [o.features[timeframe, SET.name].values for o in given if timeframe in o.candles]
        )
    return columns, pipeline.snapshot()


def assert_same(left: tuple[dict[str, Records], bytes], right: tuple[dict[str, Records], bytes]) -> None:
    for name, values in left[0].items():
        other = right[0][name]
        assert len(values) == len(other), name
        for field in values.dtype.names or (None,):
            a, b = (values, other) if field is None else (values[field], other[field])
            assert same_bits(a, b).all(), (name, field)
    assert left[1] == right[1]


START = Decision(NAME, DecisionKind.START, 0, int(TAPE.trade_id[0]))
WHOLE = run([START, TAPE])


def test_the_tape_gives_something() -> None:
    assert len(WHOLE[0]["1m"]) > 50
    assert np.isfinite(WHOLE[0]["1m features"][-1]).sum() > 3


@settings(max_examples=25)
@given(st.lists(st.integers(1, len(TAPE) - 1), max_size=20))
def test_cuts_and_resumes_change_nothing(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(TAPE)]
    assert_same(run([START, *(part for a, b in pairwise(edges) for part in (TAPE.take(slice(a, b)), None))]), WHOLE)


@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1))
def test_order_and_repeats_change_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    order = np.concatenate([rng.permutation(len(TAPE)), rng.integers(0, len(TAPE), 500)])
    parts = [TAPE.take(part) for part in np.array_split(order, 7)]
    assert_same(run([START, *parts]), WHOLE)


def test_a_prefix_of_the_tape_gives_a_prefix_of_the_outputs() -> None:
    columns, _ = run([TAPE.take(slice(0, 2500))])
    for name, values in columns.items():
        for field in values.dtype.names or (None,):
            a, b = (values, WHOLE[0][name]) if field is None else (values[field], WHOLE[0][name][field])
            assert same_bits(a, b[: len(a)]).all(), name


def test_another_future_changes_nothing_before_it() -> None:
    cut = 2500
    other = Frame.of(
        NAME,
        trade_id=TAPE.trade_id,
        ts_event=TAPE.ts_event,
        price=np.r_[TAPE.price[:cut], TAPE.price[cut:] * 3],
        qty=TAPE.qty,
        side=TAPE.side,
    )
    columns, _ = run([other])
    known = int((WHOLE[0]["1m"]["close_time"] <= TAPE.ts_event[cut]).sum())
    assert same_bits(columns["1m features"][:known], WHOLE[0]["1m features"][:known]).all()
    assert not same_bits(columns["1m features"], WHOLE[0]["1m features"]).all()


def test_a_gap_given_up_is_replayed_from_its_decision() -> None:
    holed = TAPE.take(np.r_[0:1000, 1010:4000])
    missing = int(TAPE.trade_id[1000]), int(TAPE.trade_id[1009])
    decision = Decision(NAME, DecisionKind.GIVE_UP, missing[0] - 1, missing[1])
    live = run([START, holed, decision])
    replayed = run([START, holed.take(slice(0, 1000)), decision, None, holed.take(slice(1000, None))])
    before = run([START, decision, holed])
    assert_same(live, replayed)
    assert_same(live, before)
    incomplete = live[0]["1m"][~live[0]["1m"]["complete"]]["open_time"]
    assert len(incomplete) >= 2
    assert TAPE.ts_event[1005] // MINUTE * MINUTE in incomplete


def test_the_clock_closes_quiet_candles_and_a_replay_does_the_same() -> None:
    quiet = int(TAPE.ts_event[1999]) + 30 * MINUTE
    clock = Decision(NAME, DecisionKind.CLOCK, int(TAPE.trade_id[1999]), quiet)
    head = TAPE.take(slice(0, 2000))
    live = run([head, clock])
    assert_same(live, run([head.take(slice(0, 700)), None, head.take(slice(700, None)), None, clock]))
    assert live[0]["1m"]["close_time"][-1] == quiet // MINUTE * MINUTE


def test_a_trade_stamped_in_the_future_is_quarantined_and_moves_nothing() -> None:
    pipeline = Pipeline(NAME, LAYOUT)
    pipeline.feed(Frame.of(NAME, trade_id=[1], ts_event=[0], price=[1], qty=[1]))
    wrong = Frame.of(NAME, trade_id=[2], ts_event=[DAY], ts_init=[SECOND], price=[1], qty=[1])
    outputs = pipeline.feed(wrong)
    assert outputs.quarantined.trade_id.tolist() == [2]
    assert outputs.candles == {}
    assert pipeline.ledger.next_id == 2


def test_a_foreign_snapshot_is_refused_by_name() -> None:
    snapshot = Pipeline(NAME, LAYOUT).snapshot()
    with pytest.raises(SnapshotMismatch, match=r"BTC-USD\.SIM state: belongs to another layout \(timeframes\)"):
        Pipeline(NAME, Layout(timeframes=("1m",), sets=(SET,))).restore(snapshot)
    other = FeatureSet.of(["sma(9)"], name="bars")
    with pytest.raises(SnapshotMismatch, match=r"another layout \(feature sets\)"):
        Pipeline(NAME, Layout(LAYOUT.timeframes, (other,))).restore(snapshot)
    for broken in (b"", b"rubbish", snapshot[:-1]):
        with pytest.raises(SnapshotMismatch, match="no snapshot of a pipeline"):
            Pipeline(NAME, LAYOUT).restore(broken)


def test_another_instruments_tape_is_a_bug() -> None:
    with pytest.raises(BrokenInvariant, match="was fed another tape"):
        Pipeline(NAME, LAYOUT).feed(Frame.empty("ETH-USD.SIM"))
