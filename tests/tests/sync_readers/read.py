"""Reads a lake again and again, with DuckDB through its views and with pyarrow and Polars from its files, until the file
STOP appears; prints how often, and what it counted last.

usage: read.py LAKE STOP
"""

import pathlib
import sys

import duckdb
import polars
import pyarrow.dataset

lake, stop = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
clock = stop.with_name("clock")
readings, keys_before = 0, 0


def greatest_versions(pairs):
    current = {}
    for key, version in pairs:
        if version > current.get(key, ""):
            current[key] = version
    return current


def read(is_last):
    """One reading. Returns how many keys and how many contacts there are."""
    connection = duckdb.connect()
    connection.execute((lake / "views.duckdb.sql").read_text())
    query = "SELECT count(*), count(DISTINCT _key) FROM activities"
    rows, keys = connection.execute(query).fetchone()
    assert rows == keys, (rows, keys)
    assert keys >= keys_before, (keys, keys_before)
    contacts = connection.execute("SELECT count(*) FROM contacts").fetchone()[0]

    # Whoever takes the greatest version of each key is right as well.
    files = sorted(str(path) for path in lake.glob("activities/**/*.parquet"))
    if files:
        columns = ["_key", "_version"]
        table = pyarrow.dataset.dataset(files).to_table(columns)
        by_pyarrow = greatest_versions(zip(*(column.to_pylist() for column in table.columns)))
        by_polars = polars.scan_parquet(files).select(columns).group_by("_key").agg(polars.col("_version").max())
        assert dict(by_polars.collect().rows()) == by_pyarrow
        # The views may have been written before or after these files were listed.
        assert len(by_pyarrow) >= keys_before
        if is_last:
            assert len(by_pyarrow) == keys, (len(by_pyarrow), keys)
    return keys, contacts


while True:
    # Looked at before reading, so that the last reading is of the lake at rest.
    is_last = stop.exists()
    clock_before = clock.read_text()
    try:
        keys_before, contacts = read(is_last)
    except (FileNotFoundError, duckdb.IOException) as error:
        # What a compaction has replaced stays for a day, which may pass while the test's clock leaps; at no other time.
        leapt = not clock_before.startswith("rest") or clock.read_text() != clock_before
        # pyarrow's FileNotFoundError names the file and nothing else.
        is_missing = isinstance(error, FileNotFoundError) or "No such file" in str(error) or "No files found" in str(error)
        if not (leapt and is_missing):
            raise
        continue
    readings += 1
    if is_last:
        break
print(readings, keys_before, contacts)
