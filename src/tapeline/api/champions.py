"""The champions that answer requests, opened once and looked at again when models have changed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from tapeline.answering import CANNOT_BE_HAD
from tapeline.api.context import Context
from tapeline.api.problems import NotReady
from tapeline.api.symbols import held, instrument_of, may_mean
from tapeline.clock import parse_duration
from tapeline.errors import UnknownName
from tapeline.predict import Predictor
from tapeline.registry import Registry
from tapeline.stores._duckdb_changes import MODELS, NONE, Changes
from tapeline.stores._duckdb_reader import Reader
from tapeline.types import Timeframe

_FRESH_SECONDS = 1.0
"""How long nobody asks again whether models have changed."""
Key = tuple[str, str]
"""Name and version of a model."""
Asked = tuple[str, tuple[str, ...], str | None, str | None]
"""Symbol, targets, timeframe and horizon."""
_ANSWERING = "SELECT name, version FROM models WHERE status = 'champion' ORDER BY name, created_at DESC, version"
_MOST_KNOWN = 10_000


class Champions:
    """Give the champion for a symbol and one of some targets.

    Args:
        shared: the way to the registry.
    """

    def __init__(self, shared: Context) -> None:
        self._shared = shared
        self._open: dict[Key, Predictor] = {}
        self._stored: set[str] = set()
        self._known: dict[Asked, Predictor] = {}
        self._seen: tuple[Changes, int] | None = None
        """What told of changes when the champions were read, and the mark of it then."""
        self._looked: float | None = None
        self._look: asyncio.Task[None] | None = None

    async def all(self) -> list[Predictor]:
        """Return every champion, as known a second ago at most while somebody asks."""
        first = self._looked is None
        self._look_again()
        if self._look is not None and not self._look.done() and not self._open:
            await (self._look if first else asyncio.shield(self._look))
        return list(self._open.values())

    def _look_again(self) -> None:
        """Begin to look who answers now, where models have changed and nobody has looked for a while."""
        now = asyncio.get_running_loop().time()
        if self._looked is None or now - self._looked > _FRESH_SECONDS:
            self._looked = now
            if self._changed():
                self._look = asyncio.create_task(self._refresh())

    def _changed(self) -> bool:
        if self._seen is None:
            return True
        changes, mark = self._seen
        return changes.since(mark, *MODELS) != NONE

    async def _refresh(self) -> None:
        self._open, self._stored, self._seen = await self._shared.read(
            lambda reader: (self._opened(reader), held(reader), _mark(reader))
        )
        self._known = {}

    def _opened(self, reader: Reader) -> dict[Key, Predictor]:
        registry = Registry(reader)
        keys = [(row["name"], row["version"]) for row in reader.sql(_ANSWERING).to_pylist()]
        opened = {key: self._open.get(key) or _opened(registry, key) for key in keys}
        return {key: one for key, one in opened.items() if one is not None}

    async def of(
        self, symbol: str, targets: tuple[str, ...], timeframe: str | None = None, horizon: str | None = None
    ) -> Predictor:
        """Return the champion for a symbol: of the first target that has one, of the shortest horizon.

        Raises:
            NotReady: no model of these targets answers for it.
            UnknownName: nothing is known of the symbol.
            UsageError: the symbol means several instruments.
        """
        await self.all()
        return self._chosen((symbol, targets, timeframe, horizon))

    def at_once(
        self, symbol: str, targets: tuple[str, ...], timeframe: str | None = None, horizon: str | None = None
    ) -> Predictor | None:
        """Return what `of` does, without waiting; None while no champion is open."""
        self._look_again()
        return self._chosen((symbol, targets, timeframe, horizon)) if self._open else None

    def _chosen(self, asked: Asked) -> Predictor:
        found = self._known.get(asked)
        if found is None:
            found = self._found(*asked)
            if len(self._known) < _MOST_KNOWN:
                self._known[asked] = found
        return found

    def _found(self, symbol: str, targets: Sequence[str], timeframe: str | None, horizon: str | None) -> Predictor:
        ahead = None if horizon is None else parse_duration(horizon, "horizon")
        grid = None if timeframe is None else str(Timeframe.parse(timeframe))
        known = [
            one
            for one in self._open.values()
            if one.artifact.target in targets
            and grid in (None, one.artifact.timeframe)
            and ahead in (None, one.artifact.horizon)
        ]
        fitting = self._fitting(symbol, known, {name.partition("_")[0] for name in self._shared.hub.untrained})
        if not fitting:
            names = sorted({one.artifact.name for one in known})
            state = {"ready": False, "symbol": symbol, "targets": list(targets), "models": names}
            state |= {"waiting": self._untrained(symbol, targets), "warmup": self._warmup(symbol)}
            step = "train one with tapeline train, or name a symbol that has one"
            raise NotReady(f"model for {symbol}", "does not exist yet", state=state, next_step=step)
        return min(fitting, key=lambda one: (targets.index(one.artifact.target), one.artifact.horizon))

    def _untrained(self, symbol: str, targets: Sequence[str]) -> dict[str, str]:
        """Return why the models that should answer were not trained, by name."""
        ends = tuple(f"_{target}" for target in targets)
        known = self._shared.hub.untrained.items()
        return {name: why for name, why in known if name.startswith(symbol) and name.endswith(ends)}

    def _warmup(self, symbol: str) -> dict[str, Any]:
        """Return how many candles in a row there are and are needed, of the instruments a symbol may mean."""
        known = self._shared.followed().items()
        return {name: warmup for name, warmup in known if may_mean(symbol, name)}

    def _fitting(self, symbol: str, known: Sequence[Predictor], awaited: set[str]) -> list[Predictor]:
        """Return the models of the instrument that a symbol means, of those with models before all that there are."""
        modelled = {one.artifact.instrument for one in known} | awaited
        there = {*modelled, *self._stored, *self._shared.followed()}
        if not there:
            return []
        try:
            name = instrument_of(symbol, modelled)
        except UnknownName:
            name = instrument_of(symbol, there)
        return [one for one in known if one.artifact.instrument == name]


def _mark(reader: Reader) -> tuple[Changes, int]:
    return reader.changes, reader.mark


def _opened(registry: Registry, key: Key) -> Predictor | None:
    """Return a model ready to answer, None where it cannot be had: the status says why."""
    try:
        return Predictor([registry.load(*key)])
    except CANNOT_BE_HAD:
        return None
