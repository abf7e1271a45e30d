"""dlt: JSON Lines to Parquet files, one a table, in the way that its documentation shows for files; with orjson if it has it."""

import os
import pathlib
import sys

source, target = sys.argv[1:]
os.environ.update({
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "NORMALIZE__WORKERS": "2",
    "DATA_WRITER__FILE_MAX_ITEMS": "100000",
    "DLT_DATA_DIR": target + "/work",
})
import dlt
from dlt.common import json


@dlt.resource(name="activities", primary_key="uid", write_disposition="replace")
def activities():
    with open(source, "rb") as lines:
        batch = []
        for line in lines:
            batch.append(json.loadb(line))
            if len(batch) == 1000:
                yield batch
                batch = []
        yield batch


pathlib.Path(target).mkdir(parents=True, exist_ok=True)
destination = dlt.destinations.filesystem(bucket_url="file://" + os.path.abspath(target) + "/files")
pipeline = dlt.pipeline("bench", destination=destination, dataset_name="bench", pipelines_dir=target + "/work")
pipeline.run(activities(), loader_file_format="parquet")
