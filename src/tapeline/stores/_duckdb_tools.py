"""Around the tables of a DuckDB file: the way of Arrow rows into SQL, feature views, and what each kind takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import pyarrow as pa

from tapeline.stores._duckdb_schema import Connection, quoted
from tapeline.stores.base import KINDS, Size

_CURRENT = """
SELECT feature_set, version, "columns" FROM feature_sets
QUALIFY row_number() OVER (PARTITION BY feature_set ORDER BY "current" DESC, rowid DESC) = 1
"""
_CONSOLIDATED = """
CREATE OR REPLACE VIEW consolidated AS
SELECT regexp_extract(instrument, '^(.*)\\.', 1) AS pair, timeframe, open_time, close_time,
       count(*) AS venues,
       first("close" ORDER BY volume DESC, instrument) AS last,
       sum(quote_volume ORDER BY instrument) / nullif(sum(volume ORDER BY instrument), 0) AS vwap,
       max("close") - min("close") AS spread,
       sum(volume ORDER BY instrument) AS volume,
       bool_and(complete) AS complete,
       instrument LIKE '%.SIM' AS simulated
FROM candles WHERE source = 'trades' AND trades > 0
GROUP BY pair, timeframe, open_time, close_time, simulated
"""
_BLOCKS = """
SELECT DISTINCT {name!r} AS kind, block FROM (
    SELECT unnest(list_append(coalesce(additional_block_ids, []), block_id)) AS block
    FROM pragma_storage_info({name!r}) WHERE persistent AND block_id >= 0
)
"""


class Source:
    """A table that SQL sees under one name while its rows change, so that a statement is planned once."""

    def __init__(self, empty: pa.Table) -> None:
        self._empty = self._rows = empty

    @contextmanager
    def holding(self, rows: pa.Table) -> Iterator[None]:
        """Show these rows inside, none after."""
        self._rows = rows
        try:
            yield
        finally:
            self._rows = self._empty

    def __arrow_c_schema__(self) -> object:
        return self._empty.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._rows.__arrow_c_stream__(requested_schema)


def make_consolidated(connection: Connection) -> None:
    """Make the view ``consolidated``: one row per pair, timeframe and candle, over the venues that traded in it.

    ``last`` is the close of the venue that traded most, ``vwap`` that of all trades together, ``spread`` the distance
    between the highest and the lowest close. Simulated venues are never mixed with real ones.
    """
    connection.execute(_CONSOLIDATED)


def make_views(connection: Connection) -> None:
    """Give each feature set a view ``features_<set>`` of its current version, one named column per feature."""
    for name, version, columns in connection.execute(_CURRENT).fetchall():
        shown = ["instrument", "timeframe", "source", "as_of", "as_of_ns", "version", "complete"]
        shown += [f'"values"[{place}] AS {quoted(column)}' for place, column in enumerate(columns, start=1)]
        chosen = f"feature_set = {_text(name)} AND version = {_text(version)}"
        view = f"CREATE OR REPLACE VIEW {quoted('features_' + name)} AS SELECT {', '.join(shown)} FROM features"
        connection.execute(f"{view} WHERE {chosen}")


def sizes(connection: Connection) -> Mapping[str, Size]:
    """Return rows and bytes by kind; a block that several kinds share counts in equal parts."""
    rows = {name: first_number(connection, f"SELECT count(*) FROM {name}") for name in KINDS}
    block = first_number(connection, "SELECT block_size FROM pragma_database_size()")
    parts = " UNION ALL ".join(_BLOCKS.format(name=name) for name in KINDS)
    shares = f"SELECT kind, 1.0 / count(*) OVER (PARTITION BY block) AS share FROM ({parts})"
    found = connection.execute(f"SELECT kind, sum(share)::DOUBLE FROM ({shares}) GROUP BY kind").fetchall()
    taken = dict(found)
    return {name: Size(rows[name], round(taken.get(name, 0.0) * block)) for name in KINDS}


def first_number(connection: Connection, text: str, values: Sequence[object] = ()) -> int:
    """Run a statement and return the number it answers with: for a write, how many rows it touched."""
    return int(connection.execute(text, list(values)).fetchall()[0][0])


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
