"""DuckDB: a contacts CSV with known columns to Parquet."""

import sys

import duckdb

source, target = sys.argv[1:]
with open(source, encoding="utf-8") as file:
    names = file.readline().strip().split(",")
kinds = {name: "BIGINT" if name.startswith("total_") else "BOOLEAN" if name == "from_cc" else "VARCHAR" for name in names}
columns = "{" + ", ".join(f"'{name}': '{kind}'" for name, kind in kinds.items()) + "}"
connection = duckdb.connect(config={"threads": 2})
connection.execute(
    f"COPY (SELECT * FROM read_csv('{source}', header = true, columns = {columns})) "
    f"TO '{target}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)"
)
