"""Polars, streaming: JSON Lines to one nested Parquet file. It finds the columns itself: its way of being told is slower."""

import os
import sys

os.environ["POLARS_MAX_THREADS"] = "2"
import polars

source, target = sys.argv[1:]
polars.scan_ndjson(source, infer_schema_length=5_000).sink_parquet(target, compression="zstd", compression_level=1)
