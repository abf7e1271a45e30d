"""Reads a lake again and again while it changes, and says how many activities there are. Ends when its input does.

usage: watch.py LAKE. Each activity has two participants; there are 50 more activities with each delivery.
"""

import pathlib
import sys
import threading

import duckdb
import polars

lake = pathlib.Path(sys.argv[1])
over = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()


def count(views):
    """One state: that of the views."""
    connection = duckdb.connect()
    connection.execute(views)
    query = "SELECT (SELECT count(*) FROM activities), (SELECT count(DISTINCT _key) FROM activities), (SELECT count(*) FROM participants)"
    return connection.execute(query).fetchall()[0]


first = (lake / "views.duckdb.sql").read_text()
seen = 0
while True:
    is_last = over.is_set()
    activities, keys, participants = count((lake / "views.duckdb.sql").read_text())
    assert activities == keys and participants == 2 * activities, (activities, keys, participants)
    assert activities % 50 == 0 and activities >= seen, (activities, seen)
    seen = activities
    # Whoever has read the views long ago still sees what they showed then.
    assert count(first) == (50, 50, 100)
    # And whoever reads all files sees what is committed by then.
    rows = polars.scan_parquet(lake / "activities/**/*.parquet").select("_key", "_version")
    keys = rows.group_by("_key").agg(polars.max("_version")).collect().height
    assert keys % 50 == 0 and keys >= seen, (keys, seen)
    print(seen, flush=True)
    if is_last:
        break
