from __future__ import annotations

import duckdb
import pytest

from tapeline.errors import SchemaMismatch, StoreError, StoreUnavailable, TapelineError
from tapeline.stores._duckdb_errors import translate, translated


@pytest.mark.parametrize(
    ("text", "kind", "says"),
    [
        ("IO Error: No space left on device", StoreUnavailable, "the disk is full"),
        ("IO Error: Cannot open file: Read-only file system", StoreUnavailable, "cannot be written"),
        ("IO Error: Cannot open file: Permission denied", StoreUnavailable, "cannot be written"),
        ("Connection Error: Connection already closed!", StoreUnavailable, "is not open now"),
        ("Serialization Error: written by a newer version of DuckDB", SchemaMismatch, "is of another DuckDB"),
        ("IO Error: Corrupt database file: computed checksum 1 does not match", StoreError, "is damaged"),
    ],
)
def test_errors_have_our_words(text: str, kind: type[TapelineError], says: str) -> None:
    error = translate("database x", duckdb.IOException(text))
    assert type(error) is kind
    assert says in str(error)


def test_an_interrupted_query_is_an_interrupt() -> None:
    with pytest.raises(KeyboardInterrupt), translated("database x"):
        raise RuntimeError("Query interrupted")
    with pytest.raises(RuntimeError, match="other"), translated("database x"):
        raise RuntimeError("other")
