"""Who owns a database: a note beside it with the process and its address, for whoever finds it locked.

The lock itself is the database's own; a note that nobody removed (a kill) is told from a living one and overwritten.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psutil

from tapeline.clock import Clock, format_time
from tapeline.errors import StoreLocked

_PID = re.compile(r"PID (\d+)")


class Owner(msgspec.Struct, frozen=True):
    """The process that owns a database: since when (RFC 3339), and where it answers (empty: nowhere).

    ``key`` is what it asks of commands that read the database through it.
    """

    pid: int
    started: str
    url: str = ""
    key: str = ""


def note_of(db: Path) -> Path:
    """Return the file that names the owner of a database.

    >>> note_of(Path("a.duckdb")).name
    'a.duckdb.owner.json'
    """
    return db.with_name(f"{db.name}.owner.json")


def owner_of(db: Path) -> Owner | None:
    """Return who says to own a database and lives, None where nobody does."""
    try:
        owner = msgspec.json.decode(note_of(db).read_bytes(), type=Owner)
    except (OSError, msgspec.DecodeError):
        return None
    return owner if psutil.pid_exists(owner.pid) else None


@contextmanager
def owning(db: Path, url: str, *, clock: Clock, key: str = "") -> Iterator[None]:
    """Keep the note beside a database that this process has opened."""
    note = note_of(db)
    owner = Owner(os.getpid(), format_time(clock.now()), url, key)
    scratch = note.with_name(f"{note.name}.{owner.pid}.tmp")
    scratch.touch(mode=0o600)
    scratch.write_bytes(msgspec.json.encode(owner))
    scratch.replace(note)
    try:
        yield
    finally:
        note.unlink(missing_ok=True)


def told(db: Path, error: StoreLocked) -> StoreLocked:
    """Return the refusal of a locked database with the address of its owner, where that is known."""
    owner, holder = owner_of(db), _PID.search(str(error.was))
    if owner is None or (holder and int(holder[1]) != owner.pid):
        return error
    was = f"tapeline (PID {owner.pid}) since {owner.started}"
    step = f"ask it at {owner.url}, or stop it first" if owner.url else "stop it first"
    return StoreLocked(error.where, error.problem, expected="no other owner", was=was, next_step=step)
