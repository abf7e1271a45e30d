"""DuckDB: JSON Lines with known columns to one nested Parquet file."""

import sys

import duckdb
from columns import ACTIVITY, duckdb_columns

source, target = sys.argv[1:]
connection = duckdb.connect(config={"threads": 2})
connection.execute(
    f"COPY (SELECT * FROM read_json('{source}', format = 'newline_delimited', columns = {duckdb_columns(ACTIVITY)})) "
    f"TO '{target}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)"
)
