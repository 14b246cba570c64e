"""The conformance suite of stores: subclass `StoreSuite` and say how yours is opened.

::

    class TestMyStore(StoreSuite):
        @staticmethod
        def open(folder: Path) -> Store:
            return MyStore(folder / "db")
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tapeline.clock import HOUR
from tapeline.errors import BrokenInvariant, UnknownName, UsageError
from tapeline.stores.base import KINDS, Kind, Store
from tapeline.stores.memory import MemoryStore

INSTRUMENTS = ("BTC-USD.SIM", "ETH-USD.SIM")
_TEXTS = st.sampled_from(("1m", "5m", "technical"))
_NUMBERS = st.integers(0, 12)
_TIMES = st.builds(lambda step, ns: step * 7 * HOUR + ns, st.integers(0, 12), st.integers(0, 2))
_REALS = st.floats(width=64)
_KINDS = st.sampled_from(sorted(KINDS))


def rows_of(kind: Kind, *, max_size: int = 6) -> st.SearchStrategy[pa.Table]:
    """Draw tables of a kind whose keys often meet."""
    row = st.fixed_dictionaries({field.name: _values(kind, field) for field in kind.schema})
    if kind.hashed:
        row = row.map(lambda one: one | {"id": f"{one['id']} {one['instrument']} {one[kind.time]}"})
    return st.lists(row, max_size=max_size).map(lambda rows: pa.Table.from_pylist(rows, kind.schema))


def _values(kind: Kind, field: pa.Field) -> st.SearchStrategy[Any]:
    if field.name == "instrument":
        return st.sampled_from(INSTRUMENTS)
    if field.name == "side":
        return st.sampled_from((-1, 0, 1))
    by_type: dict[pa.DataType, st.SearchStrategy[Any]] = {
        pa.string(): _TEXTS,
        pa.bool_(): st.booleans(),
        pa.binary(): st.binary(max_size=3),
        pa.float64(): _REALS,
        pa.list_(pa.float64()): st.lists(_REALS, max_size=3),
        pa.list_(pa.string()): st.just(["open", "sma 7"]),
        pa.int32(): _NUMBERS,
    }
    if field.type in by_type:
        return by_type[field.type]
    timely = field.name in (kind.time, kind.known_at) or field.name.endswith(("_time", "_at", "ts_init"))
    numbers = _TIMES if timely else _NUMBERS
    return numbers | st.none() if field.name == "promoted_at" else numbers


class StoreMachine(RuleBasedStateMachine):
    """Drive a store and the memory store side by side, and compare what they say."""

    open: ClassVar[Callable[[Path], Store]]
    lasting: ClassVar[bool] = True

    @initialize()
    def begin(self) -> None:
        """Open an empty store."""
        self.folder = Path(tempfile.mkdtemp())
        self.store = type(self).open(self.folder)
        self.model = MemoryStore()

    @rule(kind=_KINDS, data=st.data())
    def append(self, kind: str, data: st.DataObject) -> None:
        """Append the same rows to both."""
        rows = data.draw(rows_of(KINDS[kind]))
        assert self.store.append(kind, rows) == self.model.append(kind, rows)
        self._same(kind)

    @rule(kind=_KINDS, data=st.data())
    def upsert(self, kind: str, data: st.DataObject) -> None:
        """Upsert the same rows in both."""
        rows = data.draw(rows_of(KINDS[kind]))
        self.store.upsert(kind, rows)
        self.model.upsert(kind, rows)
        self._same(kind)

    @rule(kind=_KINDS, instrument=st.sampled_from(INSTRUMENTS), start=st.none() | _TIMES, end=st.none() | _TIMES)
    def delete(self, kind: str, instrument: str, start: int | None, end: int | None) -> None:
        """Delete the same rows from both, or be refused by both."""
        answers: list[int | str] = []
        for store in (self.store, self.model):
            try:
                answers.append(store.delete(kind, instrument, start=start, end=end))
            except UsageError as error:
                answers.append(str(error).partition(":")[2])
        assert answers[0] == answers[1]
        self._same(kind)

    @rule(kinds=st.lists(_KINDS, min_size=1, max_size=3), data=st.data(), fail=st.booleans())
    def together(self, kinds: list[str], data: st.DataObject, fail: bool) -> None:
        """Write several kinds in one transaction, which may fail."""
        writes = [(kind, data.draw(rows_of(KINDS[kind])), data.draw(st.booleans())) for kind in kinds]
        for store in (self.store, self.model):
            with contextlib.suppress(_Planned), store.transaction():
                for kind, rows, replace in writes:
                    if replace:
                        store.upsert(kind, rows)
                    else:
                        store.append(kind, rows)
                if fail:
                    raise _Planned
        for kind in kinds:
            self._same(kind)

    @rule(kind=_KINDS, data=st.data())
    def ask(self, kind: str, data: st.DataObject) -> None:
        """Put the same question to both."""
        question: dict[str, Any] = {"limit": data.draw(st.none() | st.integers(0, 4))}
        if "instrument" in KINDS[kind].schema.names:
            question["instrument"] = data.draw(st.none() | st.sampled_from(INSTRUMENTS))
        if KINDS[kind].time:
            question |= {"start": data.draw(st.none() | _TIMES), "end": data.draw(st.none() | _TIMES)}
        if KINDS[kind].known_at:
            question["as_of"] = data.draw(st.none() | _TIMES)
        if "timeframe" in KINDS[kind].schema.names and data.draw(st.booleans()):
            question["timeframe"] = data.draw(_TEXTS)
        _assert_same(self.store.read(kind, **question), self.model.read(kind, **question))

    @rule(instrument=st.sampled_from(INSTRUMENTS), rows=st.integers(1, 5), data=st.data())
    def play(self, instrument: str, rows: int, data: st.DataObject) -> None:
        """Read the tape of both, from somewhere on."""
        after = data.draw(st.none() | st.tuples(_TIMES, _NUMBERS))
        tables = list(self.store.tape(instrument, after=after, rows=rows))
        assert all(0 < len(table) <= rows for table in tables)
        empty = KINDS["trades"].schema.empty_table()
        expected = list(self.model.tape(instrument, after=after, rows=rows))
        _assert_same(pa.concat_tables([empty, *tables]), pa.concat_tables([empty, *expected]))

    @rule(instrument=st.sampled_from(INSTRUMENTS), rows=rows_of(KINDS["trades"]))
    def seen(self, instrument: str, rows: pa.Table) -> None:
        """Ask both which trades they know."""
        _assert_same(self.store.seen(instrument, rows), self.model.seen(instrument, rows))

    @rule()
    def reopen(self) -> None:
        """Close the store and open it again."""
        if self.lasting:
            self.store.close()
            self.store = type(self).open(self.folder)
            for kind in KINDS:
                self._same(kind)

    def teardown(self) -> None:
        """Compare all once more, and clean up."""
        if hasattr(self, "store"):
            for kind in KINDS:
                self._same(kind)
            self.store.close()
            shutil.rmtree(self.folder)

    def _same(self, kind: str) -> None:
        _assert_same(self.store.read(kind), self.model.read(kind))


class _Planned(Exception):
    """The fault that a test plants inside a transaction."""


def _assert_same(got: pa.Table, expected: pa.Table) -> None:
    assert got.schema.equals(expected.schema)
    assert got.to_pylist() == expected.to_pylist()


def some_trades(first: int = 1, count: int = 3, instrument: str = INSTRUMENTS[0]) -> pa.Table:
    """Return plain trades with ids from ``first`` on, one a second, each known half a second after it happened."""
    ids = list(range(first, first + count))
    columns = {
        "instrument": [instrument] * count,
        "trade_id": ids,
        "ts_event": [n * 1_000_000_000 for n in ids],
        "ts_init": [n * 1_000_000_000 + 500_000_001 for n in ids],
        "price": [100.0 + n for n in ids],
        "qty": [0.1] * count,
        "side": [1, -1, 0] * (count // 3) + [1] * (count % 3),
        "count": [1] * count,
    }
    return pa.table(columns, schema=KINDS["trades"].schema)


class StoreSuite:
    """What every store must do. Override `open`; set ``lasting`` to False where nothing outlives `close`."""

    lasting: ClassVar[bool] = True
    examples: ClassVar[int] = 30

    @staticmethod
    def open(folder: Path) -> Store:
        """Open the store that lies in ``folder``, or make it."""
        raise NotImplementedError

    @pytest.fixture
    def store(self, tmp_path: Path) -> Any:
        """Give an empty store, and close it."""
        with contextlib.closing(type(self).open(tmp_path)) as store:
            yield store

    def test_append_twice_is_append_once(self, store: Store) -> None:
        """The second time adds nothing, the first row of a key stays."""
        assert store.append("trades", some_trades()) == 3
        changed = some_trades(count=4).set_column(4, "price", pa.array([9.0] * 4))
        assert store.append("trades", changed) == 1
        assert store.read("trades")["price"].to_pylist() == [101.0, 102.0, 103.0, 9.0]

    def test_a_key_twice_in_one_append_counts_once(self, store: Store) -> None:
        """Of two rows with one key in a table the first is kept."""
        twice = pa.concat_tables([some_trades(5, 1), some_trades(1, 3), some_trades(2, 1)])
        assert store.append("trades", twice) == 4
        assert store.read("trades")["trade_id"].to_pylist() == [1, 2, 3, 5]

    def test_as_of_hides_the_future(self, store: Store) -> None:
        """A trade is hidden until ``ts_init``, not only until ``ts_event``."""
        store.append("trades", some_trades())
        assert len(store.read("trades", as_of=2_500_000_000)) == 1
        assert len(store.read("trades", as_of=2_500_000_001)) == 2

    def test_a_failed_transaction_leaves_nothing(self, store: Store) -> None:
        """What was written before the fault is undone, and the store goes on."""
        with contextlib.suppress(_Planned), store.transaction():
            store.append("trades", some_trades())
            assert len(store.read("trades")) == 3
            raise _Planned
        assert len(store.read("trades")) == 0
        assert store.append("trades", some_trades()) == 3

    def test_transactions_do_not_nest(self, store: Store) -> None:
        """A transaction inside another is a mistake of the caller."""
        with pytest.raises(BrokenInvariant, match="inside another"), store.transaction(), store.transaction():
            pass

    def test_limit_gives_the_last_rows(self, store: Store) -> None:
        """They come in the same order as without."""
        store.append("trades", some_trades(1, 6))
        assert store.read("trades", limit=2)["trade_id"].to_pylist() == [5, 6]

    def test_reopen_keeps_all(self, tmp_path: Path) -> None:
        """Nanoseconds, nulls, bytes and lists come back as they were."""
        if not self.lasting:
            pytest.skip("nothing outlives this store")
        store = type(self).open(tmp_path)
        store.append("trades", some_trades())
        before = store.read("trades")
        store.close()
        store.close()
        with contextlib.closing(type(self).open(tmp_path)) as again:
            assert again.read("trades").equals(before)
            assert again.append("trades", some_trades()) == 0

    @pytest.mark.parametrize("contiguous", [True, False])
    def test_the_tape_is_whole_whatever_the_pieces(self, store: Store, contiguous: bool) -> None:
        """Every length of tape in pieces of every length, from the start and from a trade on."""
        row = {"instrument": INSTRUMENTS[0], "venue": "SIM", "id_kind": "venue", "contiguous": contiguous}
        store.append("instruments", pa.Table.from_pylist([row | {"first_seen": 0}], KINDS["instruments"].schema))
        for count in range(1, 8):
            store.append("trades", some_trades(count, 1))
            for rows in range(1, 4):
                for had in (None, 1, count):
                    after = None if had is None else (had * 1_000_000_000, had)
                    tables = list(store.tape(INSTRUMENTS[0], after=after, rows=rows))
                    ids = [trade_id for table in tables for trade_id in table["trade_id"].to_pylist()]
                    assert ids == list(range((had or 0) + 1, count + 1))
                    assert all(0 < len(table) <= rows for table in tables)

    def test_seen_knows_late_trades_too(self, store: Store) -> None:
        """An id stored in both tables is answered with the trade."""
        late = some_trades(2, 3).append_column("reason", pa.array(["closed"] * 3))
        late = late.set_column(4, "price", pa.array([1.0, 2.0, 3.0]))
        store.append("late_trades", late)
        assert store.seen(INSTRUMENTS[0], some_trades(4, 2))["price"].to_pylist() == [3.0]
        store.append("trades", some_trades(1, 3))
        assert store.seen(INSTRUMENTS[0], some_trades(1, 9))["price"].to_pylist() == [101.0, 102.0, 103.0, 3.0]
        assert len(store.seen(INSTRUMENTS[1], some_trades(1, 9))) == 0
        assert len(store.seen(INSTRUMENTS[0], some_trades(7, 2))) == 0

    def test_unknown_numbers_are_null(self, store: Store) -> None:
        """NaN goes in, null comes out; infinity is a number."""
        values = pa.table(
            {
                "instrument": [INSTRUMENTS[0]] * 2,
                "timeframe": ["1m"] * 2,
                "feature_set": ["bars"] * 2,
                "version": ["a"] * 2,
                "source": ["trades"] * 2,
                "as_of": [60, 120],
                "complete": [True] * 2,
                "values": [[7.0, 8.0], [1.0, float("nan"), None, float("inf")]],
            },
            KINDS["features"].schema,
        )
        store.append("features", values.slice(1))
        assert store.read("features")["values"].to_pylist() == [[1.0, None, None, float("inf")]]

    def test_what_cannot_be_answered_is_refused(self, store: Store) -> None:
        """Unknown kinds and columns, and times that a kind does not have."""
        with pytest.raises(UnknownName, match="no such kind"):
            store.read("nothing")
        with pytest.raises(UsageError, match="cannot be asked by nothing"):
            store.read("trades", nothing="x")
        with pytest.raises(UsageError, match="cannot be asked by as_of"):
            store.read("gaps", as_of=1)
        with pytest.raises(UsageError, match="wrong columns"):
            store.append("trades", some_trades().drop_columns(["count"]))
        with pytest.raises(UsageError, match="wrong types"):
            store.append("trades", some_trades().set_column(4, "price", pa.array(["a", "b", "c"])))
        with pytest.raises(UsageError, match="part of the key"):
            store.append("trades", some_trades().set_column(1, "trade_id", pa.array([1, None, 3])))

    def test_sizes_name_every_kind(self, store: Store) -> None:
        """Rows are exact, bytes are what the store takes for them."""
        store.append("trades", some_trades(1, 3))
        sizes = store.sizes()
        assert set(sizes) == set(KINDS)
        assert sizes["trades"].rows == 3
        assert sizes["trades"].bytes > 0
        assert sizes["gaps"].rows == 0

    def test_it_agrees_with_the_memory_store(self) -> None:
        """Random histories on both, side by side."""
        machine = type("Machine", (StoreMachine,), {"open": staticmethod(type(self).open), "lasting": self.lasting})
        slow = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=self.examples, stateful_step_count=15, deadline=None, suppress_health_check=slow
            ),
        )
