"""Where rows are kept: the memory store (the reference), DuckDB (the default) and Parquet files.

Each store is one module, imported where it is used: this package imports none of them.
"""
