"""Reads a Parquet file with pyarrow and DuckDB, and Arrow files with pyarrow, and compares them with the JSON Lines that they
were made from."""

import json
import sys

import duckdb
import pyarrow.ipc
import pyarrow.parquet

lines, parquet, *arrow = sys.argv[1:]
with open(lines, encoding="utf-8", newline="\n") as file:
    expected = [json.loads(line) for line in file]

INSTANTS = {"timestamp", "ingest_timestamp", "created", "start_time", "end_time", "push_time"}


def simple(value, name=""):
    """What a record says, without what says nothing, so that both sides can be compared."""
    if isinstance(value, dict):
        pairs = {key: simple(inner, key) for key, inner in value.items() if not key.startswith("_") and key != "extra"}
        if value.get("extra"):
            pairs |= {key: simple(inner, key) for key, inner in json.loads(value["extra"]).items()}
        return {key: inner for key, inner in pairs.items() if inner not in (None, {}, [])} or None
    if isinstance(value, list):
        return [simple(item, name) for item in value]
    if name in INSTANTS and value is not None:
        text = value if isinstance(value, str) else value.strftime("%Y-%m-%dT%H:%M:%S")
        return text.removesuffix("Z")
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return value


expected = [simple(record) for record in expected]

table = pyarrow.parquet.read_table(parquet)
table.validate(full=True)
assert str(table.schema.field("timestamp").type) == "timestamp[us, tz=UTC]", table.schema
assert [simple(record) for record in table.to_pylist()] == expected, "pyarrow reads other records"

for path in arrow:
    read = pyarrow.ipc.open_stream if path.endswith(".arrows") else pyarrow.ipc.open_file
    with pyarrow.OSFile(path) as file:
        table = read(file).read_all()
    table.validate(full=True)
    assert [simple(record) for record in table.to_pylist()] == expected, f"pyarrow reads other records from {path}"

connection = duckdb.connect()
connection.execute("SET TimeZone = 'UTC'")
result = connection.execute("SELECT * FROM read_parquet(?) ORDER BY _line", [parquet])
names = [column[0] for column in result.description]
records = [simple(dict(zip(names, row))) for row in result.fetchall()]
assert records == expected, "DuckDB reads other records"
found = connection.execute("SELECT count(*) FROM read_parquet(?) WHERE uid = ?", [parquet, expected[-1]["uid"]])
assert found.fetchone() == (1,), "DuckDB misses a row by its Bloom filter"
