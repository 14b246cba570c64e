"""The champions that answer requests, opened once and looked at again every second."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tapeline.answering import CANNOT_BE_HAD
from tapeline.api.context import Context
from tapeline.api.problems import NotReady
from tapeline.api.symbols import instrument_of
from tapeline.clock import parse_duration
from tapeline.predict import Predictor
from tapeline.registry import Registry
from tapeline.stores._duckdb_reader import Reader

_FRESH_SECONDS = 1.0
Key = tuple[str, str]
"""Name and version of a model."""


class Champions:
    """Give the champion for a symbol and one of some targets.

    Args:
        shared: the way to the registry.
    """

    def __init__(self, shared: Context) -> None:
        self._shared = shared
        self._open: dict[Key, Predictor] = {}
        self._looked: float | None = None
        self._look: asyncio.Task[None] | None = None

    async def all(self) -> list[Predictor]:
        """Return every champion, as known a second ago at most while somebody asks."""
        now = asyncio.get_running_loop().time()
        if self._looked is None or now - self._looked > _FRESH_SECONDS:
            first, self._looked = self._looked is None, now
            self._look = asyncio.create_task(self._refresh())
            if first:
                await self._look
        elif self._look is not None and not self._look.done() and not self._open:
            await asyncio.shield(self._look)
        return list(self._open.values())

    async def _refresh(self) -> None:
        self._open = await self._shared.read(self._opened)

    def _opened(self, reader: Reader) -> dict[Key, Predictor]:
        registry = Registry(reader)
        keys = [(entry.name, entry.version) for entry in registry.entries() if entry.status == "champion"]
        opened = {key: self._open.get(key) or _opened(registry, key) for key in keys}
        return {key: one for key, one in opened.items() if one is not None}

    async def of(
        self, symbol: str, targets: Sequence[str], timeframe: str | None = None, horizon: str | None = None
    ) -> Predictor:
        """Return the champion for a symbol: of the first target that has one, of the shortest horizon.

        Raises:
            NotReady: no model of these targets answers for it.
            UsageError: the symbol means several instruments.
        """
        ahead = None if horizon is None else parse_duration(horizon, "horizon")
        known = [
            one
            for one in await self.all()
            if one.artifact.target in targets
            and timeframe in (None, one.artifact.timeframe)
            and ahead in (None, one.artifact.horizon)
        ]
        fitting = self._fitting(symbol, known, {name.partition("_")[0] for name in self._shared.hub.untrained})
        if not fitting:
            names = sorted({one.artifact.name for one in known})
            why = self._untrained(symbol, targets)
            state = {"ready": False, "symbol": symbol, "targets": list(targets), "models": names, "waiting": why}
            step = "train one with tapeline train, or name a symbol that has one"
            raise NotReady(f"model for {symbol}", "does not exist yet", state=state, next_step=step)
        return min(fitting, key=lambda one: (targets.index(one.artifact.target), one.artifact.horizon))

    def _untrained(self, symbol: str, targets: Sequence[str]) -> dict[str, str]:
        """Return why the models that should answer were not trained, by name."""
        ends = tuple(f"_{target}" for target in targets)
        known = self._shared.hub.untrained.items()
        return {name: why for name, why in known if name.startswith(symbol) and name.endswith(ends)}

    @staticmethod
    def _fitting(symbol: str, known: Sequence[Predictor], awaited: set[str]) -> list[Predictor]:
        held = {one.artifact.instrument for one in known} | awaited
        if not held:
            return []
        name = instrument_of(symbol, held) if symbol not in held else symbol
        return [one for one in known if one.artifact.instrument == name]


def _opened(registry: Registry, key: Key) -> Predictor | None:
    """Return a model ready to answer, None where it cannot be had: the status says why."""
    try:
        return Predictor([registry.load(*key)])
    except CANNOT_BE_HAD:
        return None
