"""The one tree of errors.

::

    TapelineError
    ├── UsageError              a request that cannot be answered as put (exit code 2)
    │   ├── UnknownName         no such instrument, timeframe, feature set, model, format, ...
    │   └── NotEnoughData       fewer rows than the question needs
    ├── InputError              data from outside that cannot be used
    │   ├── UnreadableFile      a file as a whole: missing, truncated, empty, of no known format
    │   └── MalformedMessage    one message or row; carries it raw, is counted, the stream goes on
    ├── VenueError              a venue that cannot be had as asked
    │   ├── VenueBusy           over its limits, in trouble or out of reach       (retryable)
    │   └── VenueRefused        a key, symbol or request that it will never take
    ├── StoreError              the database
    │   ├── StoreLocked         another process owns it                              (retryable)
    │   ├── StoreUnavailable    disk full, read-only, input/output error             (retryable)
    │   └── SchemaMismatch      written by another version
    ├── SnapshotMismatch        a snapshot of another layout
    ├── MissingDependency       an optional part is not installed
    └── BrokenInvariant         a bug of ours: stop at once

Every text has one form: ``<where>: <what is wrong>: expected <rule>, was <value>; <next step>``.
"""

from __future__ import annotations

from typing import Any, ClassVar


class TapelineError(Exception):
    """Say where, what is wrong, what was expected, what was found and what to do next.

    >>> str(TapelineError("settings flush_rows", "is wrong", expected="> 0", was=-1, next_step="set it to 65536"))
    'settings flush_rows: is wrong: expected > 0, was -1; set it to 65536'
    """

    retryable: ClassVar[bool] = False
    exit_code: ClassVar[int] = 2

    def __init__(
        self,
        where: str,
        problem: str,
        *,
        expected: str | None = None,
        was: object = None,
        next_step: str | None = None,
    ) -> None:
        self.where = where
        self.problem = problem
        self.expected = expected
        self.was = was
        self.next_step = next_step
        super().__init__(self._text())

    def _text(self) -> str:
        text = f"{self.where}: {self.problem}"
        if self.expected is not None:
            text += f": expected {self.expected}, was {_shown(self.was)}"
        if self.next_step is not None:
            text += f"; {self.next_step}"
        return text

    def __reduce__(self) -> tuple[Any, ...]:
        """Come whole from one process into another; what was found comes as text, unless it is plain."""
        was = self.was if isinstance(self.was, str | bytes | int | float | None) else str(self.was)
        return _again, (type(self), self.args, vars(self) | {"was": was})


def _again(kind: type[TapelineError], args: tuple[Any, ...], fields: dict[str, Any]) -> TapelineError:
    error = kind.__new__(kind, *args)
    vars(error).update(fields)
    return error


def _shown(value: object) -> str:
    """Show a value briefly: a text as it is written in code, cut after 80 characters."""
    text = repr(value) if isinstance(value, (str, bytes)) else str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


class UsageError(TapelineError):
    """Refuse a request that cannot be answered as put."""


class UnknownName(UsageError):
    """Refuse a name that nothing carries."""


class NotEnoughData(UsageError):
    """Refuse a question that the rows at hand cannot answer."""


class InputError(TapelineError):
    """Refuse data from outside."""


class UnreadableFile(InputError):
    """Refuse a whole file."""


class MalformedMessage(InputError):
    """Refuse one message or row, and keep it raw."""

    def __init__(
        self,
        where: str,
        problem: str,
        *,
        raw: bytes,
        expected: str | None = None,
        was: object = None,
        next_step: str | None = "kept in dead letters",
    ) -> None:
        self.raw = raw
        super().__init__(where, problem, expected=expected, was=was, next_step=next_step)


class VenueError(TapelineError):
    """Say what a venue did not give."""


class VenueBusy(VenueError):
    """The venue may answer later; ``retry_after`` is how many seconds it asked to be left alone, 0 if it did not."""

    retryable: ClassVar[bool] = True

    def __init__(
        self,
        where: str,
        problem: str,
        *,
        retry_after: float = 0.0,
        expected: str | None = None,
        was: object = None,
        next_step: str | None = None,
    ) -> None:
        self.retry_after = retry_after
        super().__init__(where, problem, expected=expected, was=was, next_step=next_step)


class VenueRefused(VenueError):
    """The venue will never answer this: a wrong key, an unknown symbol, a request that it does not take."""


class StoreError(TapelineError):
    """Say what the database refuses."""


class StoreLocked(StoreError):
    """Another process owns the database."""

    retryable: ClassVar[bool] = True


class StoreUnavailable(StoreError):
    """The database cannot be written or read now: disk full, read-only, input/output error."""

    retryable: ClassVar[bool] = True


class SchemaMismatch(StoreError):
    """The database was written by another version."""


class SnapshotMismatch(TapelineError):
    """Refuse a snapshot whose layout is not ours."""


class MissingDependency(TapelineError):
    """Name the extra that brings what is missing."""


class BrokenInvariant(TapelineError):
    """Stop at once: our own rule does not hold."""

    exit_code: ClassVar[int] = 1
