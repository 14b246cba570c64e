"""``tapeline rebuild``."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import click

from tapeline.cli.invocation import Command, Invocation, Meter
from tapeline.clock import SystemClock
from tapeline.errors import SnapshotMismatch, UnknownName

if TYPE_CHECKING:
    from tapeline.config import Settings
    from tapeline.coverage import Coverage
    from tapeline.lane import Lane
    from tapeline.recorder import Recorder
    from tapeline.stores.base import Store


@click.command(cls=Command)
@click.argument("instrument", required=False)
@click.pass_obj
def command(invocation: Invocation, instrument: str | None) -> None:
    """Fold the stored tape anew, of one instrument or of all.

    A fold that was interrupted goes on where it was. The timeframes and feature sets are those that are stored, unless
    the settings name others.
    """
    from tapeline.cli.output import write_json
    from tapeline.coverage import coverage
    from tapeline.query import known

    with invocation.store(read_only=False) as store, invocation.progress() as meter:
        if instrument is not None:
            known(store, instrument)
        held = [entry for entry in coverage(store) if instrument in (None, entry.instrument)]
        recorders: dict[Settings, Recorder] = {}
        done = []
        for one in held:
            settings = _settings(invocation, store, one)
            if settings not in recorders:
                recorders[settings] = _recorder(store, settings)
            count = _fold(recorders[settings], one, meter)
            done.append({"instrument": one.instrument, "of": one.holds, "rows": count})
    if invocation.json:
        write_json({"rebuilt": done})
    else:
        for entry in done:
            print(f"{entry['instrument']}: {entry['rows']:,} {entry['of']} folded anew")


def _settings(invocation: Invocation, store: Store, held: Coverage) -> Settings:
    """Return the settings that were given, and where none were, what is stored of an instrument."""
    from tapeline.recorder import STORED, layout_of, settings_of

    settings, states = invocation.settings, store.read("states", instrument=held.instrument).to_pylist()
    if states:
        with suppress(SnapshotMismatch, UnknownName):
            kept = settings_of(states[0]["snapshot"], settings, set(STORED) - settings.model_fields_set)
            layout_of(kept, contiguous=True)  # a stored set may not be known here any more
            return kept
    return settings


def _recorder(store: Store, settings: Settings) -> Recorder:
    """Return a recorder; all instruments of the same settings share one."""
    from tapeline.recorder import Recorder
    from tapeline.serving import champion_loader

    recorder = Recorder(store, settings, clock=SystemClock(), load_model=champion_loader(store))
    with store.transaction():
        recorder.write_sets()
    return recorder


def _fold(recorder: Recorder, held: Coverage, meter: Meter) -> int:
    """Fold trades anew, or compute the features of candles that others made anew; return how many rows they were."""
    from tapeline.imported_candles import fold_imported

    instrument = held.instrument
    if held.holds != "trades":
        fold_imported(recorder.store, recorder.settings, instrument, held.holds.removeprefix("candles "))
        return held.rows
    from tapeline.refold import refold

    lane = _lane(recorder, instrument)
    count = 0
    for trades in refold(recorder, lane):
        count += trades
        meter(instrument, count, 0)
    return count


def _lane(recorder: Recorder, instrument: str) -> Lane:
    """Return an instrument's lane, marked to be folded anew; a state that cannot be read is set aside."""
    from tapeline.lane import STALE
    from tapeline.stores import rows

    try:
        lane = recorder.lane(instrument)
    except SnapshotMismatch:
        damaged = {"instrument": instrument, "layout": f"{STALE}its state cannot be read/", "snapshot": b""}
        recorder.store.upsert("states", rows.from_dicts("states", damaged))
        lane = recorder.lane(instrument)
    lane.stale = lane.stale or f"{STALE}asked for with tapeline rebuild"
    return lane
