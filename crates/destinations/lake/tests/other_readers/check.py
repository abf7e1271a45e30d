"""Reads a lake with DuckDB, pandas, pyarrow and Polars, and compares what they count with what the lake says.

usage: check.py LAKE EXPECTED, where EXPECTED is JSON: the rows of each table, and the subject of each current activity.
"""

import json
import pathlib
import sys

import duckdb
import pandas
import polars
import pyarrow.compute
import pyarrow.dataset

lake, expected = pathlib.Path(sys.argv[1]), json.loads(sys.argv[2])
tables, subjects = expected["tables"], expected["subjects"]

connection = duckdb.connect()
connection.execute((lake / "views.duckdb.sql").read_text())


def all_of(query):
    return connection.execute(query).fetchall()


def one(query):
    return all_of(query)[0]


for table, rows in tables.items():
    assert one(f"SELECT count(*) FROM {table}") == (rows,), table
    # Every column can be read, and has the type that the empty table has.
    assert len(all_of(f"SELECT * FROM {table}")) == rows, table
assert one("SELECT count(DISTINCT _key) FROM activities") == (tables["activities"],)
found = dict(all_of("SELECT _key, subject FROM activities"))
assert found == subjects, (found, subjects)
assert one("SELECT count(*) FROM activity_versions") == (expected["versions"],)
assert one("SELECT count(*) FROM contact_observations") == (expected["observations"],)
orphans = one("SELECT count(*) FROM participants ANTI JOIN activities USING (_key, _version)")
assert orphans == (0,), orphans
columns = {table: [name for name, *_ in all_of(f"DESCRIBE {table}")] for table in tables}
assert columns == expected["columns"], columns

# Whoever reads all files and takes the greatest version of each key is right.
if tables["activities"]:
    rows = polars.scan_parquet(sorted((lake / "activities").rglob("*.parquet")), glob=False)
    current = rows.sort("_version").group_by("_key").last().collect()
    assert dict(current.select("_key", "subject").iter_rows()) == subjects
    assert current["participants"].list.len().sum() == tables["participants"]
    rows = pandas.read_parquet(lake / "activities")
    current = rows.sort_values("_version").drop_duplicates("_key", keep="last")
    assert len(current) == tables["activities"], len(current)
    dataset = pyarrow.dataset.dataset(lake / "activities", format="parquet")
    keys = dataset.to_table(columns=["_key", "_version"]).group_by("_key").aggregate([("_version", "max")])
    assert keys.num_rows == tables["activities"], keys.num_rows

# The current contacts are those of the last complete refresh, which has a folder of its own.
folders = [folder for folder in (lake / "contacts").iterdir() if folder.is_dir()]
if folders:
    rows = pandas.read_parquet(max(folders))
    assert len(rows.drop_duplicates("_key")) == tables["contacts"], len(rows)
