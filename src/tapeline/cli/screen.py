"""What a person, or a machine, sees of a live process: a screen that is redrawn, lines, or JSON lines."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import click
from rich.console import Console
from rich.live import Live

from tapeline.clock import Clock
from tapeline.hub import Committed
from tapeline.ingest.base import Status
from tapeline.runners.journal import Journal, json_lines
from tapeline.runners.live_view import LiveView
from tapeline.runners.terminal import live


class Screen(Protocol):
    """Show what happens."""

    def take(self, committed: Committed) -> None:
        """Take what was committed."""

    def refresh(self, status: Mapping[str, Any], connections: Sequence[Status]) -> None:
        """Take how the process and its connections are, about once a second."""

    def tell(self, text: str, **what: Any) -> None:
        """Tell something that happens once."""


class _Journal:
    """JSON lines on stdout."""

    def __init__(self, clock: Clock) -> None:
        self._journal = Journal(json_lines(sys.stdout, clock))

    def take(self, committed: Committed) -> None:
        self._journal.take(committed)

    def refresh(self, status: Mapping[str, Any], connections: Sequence[Status]) -> None:
        for connection in connections:
            self._journal.take_connection(connection)

    def tell(self, text: str, **what: Any) -> None:
        self._journal.tell(text, **what)


class _Lines:
    """A line per candle on stderr, for a terminal that cannot be redrawn; none where it is to be quiet."""

    def __init__(self, view: LiveView, *, quiet: bool) -> None:
        self._view = view
        self._quiet = quiet
        self._told: dict[tuple[str, int], str] = {}

    def take(self, committed: Committed) -> None:
        for line in self._view.take(committed):
            self.tell(line)

    def refresh(self, status: Mapping[str, Any], connections: Sequence[Status]) -> None:
        for one in connections:
            text = f"{one.venue} {one.connection}: {one.state.value} {one.reason}".rstrip()
            if self._told.get((one.venue, one.connection)) != text:
                self._told[one.venue, one.connection] = text
                self.tell(text)

    def tell(self, text: str, **what: Any) -> None:
        if not self._quiet:
            click.echo(" ".join([text, *(f"{name}: {value}" for name, value in what.items())]), err=True)


class _Redrawn:
    """A screen on stderr, redrawn four times a second; what happens once stands above it."""

    def __init__(self, view: LiveView, shown: Live) -> None:
        self._view = view
        self._shown = shown

    def take(self, committed: Committed) -> None:
        self._view.take(committed)

    def refresh(self, status: Mapping[str, Any], connections: Sequence[Status]) -> None:
        self._view.set_status(status)

    def tell(self, text: str, **what: Any) -> None:
        details = " ".join(f"{name}: {value}" for name, value in what.items())
        self._shown.console.print(f"{text} {details}".rstrip(), highlight=False, markup=False)


@contextmanager
def screen(view: LiveView, *, headless: bool, quiet: bool, clock: Clock) -> Iterator[Screen]:
    """Choose by what stderr is, and show inside."""
    console = Console(stderr=True)
    if headless:
        yield _Journal(clock)
    elif quiet or not live(console):
        yield _Lines(view, quiet=quiet)
    else:
        with Live(view, console=console, refresh_per_second=4) as shown:
            yield _Redrawn(view, shown)
