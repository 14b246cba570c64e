"""The manifest of a Parquet folder: which files count. Replacing it is the commit.

A file that the manifest does not name is a leftover of a transaction that did not end, and is removed.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from tapeline.errors import SchemaMismatch, UnreadableFile
from tapeline.stores._parquet_codec import SCHEMA_VERSION

NAME = "tapeline.json"


class Group(msgspec.Struct, frozen=True, array_like=True):
    """A row group of trades: how many, and (ts_event, trade_id) of the first and the last."""

    rows: int
    first: tuple[int, int]
    last: tuple[int, int]


class File(msgspec.Struct, frozen=True):
    """A Parquet file.

    Attributes:
        path: below the folder.
        kind: of its rows.
        rows: how many.
        bytes: its size.
        instrument: of all its rows, empty where the kind has none.
        date: of all its rows, UTC, empty where the kind has no time.
        low: smallest number in the key, where the key ends in one.
        high: largest.
        by_id: trades lie in the order of their ids, otherwise of (ts_event, trade_id).
        groups: the row groups of a file of trades.
    """

    path: str
    kind: str
    rows: int
    bytes: int
    instrument: str = ""
    date: str = ""
    low: int | None = None
    high: int | None = None
    by_id: bool = False
    groups: tuple[Group, ...] = ()


class Manifest(msgspec.Struct, frozen=True):
    """All files of a folder, and the number that the next file takes."""

    schema: int = SCHEMA_VERSION
    next: int = 1
    files: tuple[File, ...] = ()


def load(folder: Path) -> Manifest | None:
    """Return the manifest of a folder, None where there is none.

    Raises:
        SchemaMismatch: it is of another version.
        UnreadableFile: it is no manifest.
    """
    where = f"folder {folder}"
    try:
        raw = (folder / NAME).read_bytes()
    except FileNotFoundError:
        return None
    try:
        schema = msgspec.json.decode(raw, type=dict[str, msgspec.Raw]).get("schema", msgspec.Raw(b"null"))
        if bytes(schema) != str(SCHEMA_VERSION).encode():
            ours, was = f"version {SCHEMA_VERSION}", bytes(schema).decode()
            step = "update Tapeline, or use another folder"
            raise SchemaMismatch(where, "is of another version", expected=ours, was=was, next_step=step)
        return msgspec.json.decode(raw, type=Manifest)
    except msgspec.DecodeError as error:
        step = "restore it, or export again into a new folder"
        raise UnreadableFile(
            where, f"{NAME} is damaged", expected="a manifest", was=str(error), next_step=step
        ) from error


def save(folder: Path, manifest: Manifest) -> None:
    """Replace the manifest of a folder, whole or not at all."""
    temporary = folder / f"{NAME}.new"
    with temporary.open("wb") as file:
        file.write(msgspec.json.encode(manifest))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / NAME)
    sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder last."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
