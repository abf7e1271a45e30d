"""Fails unless two nested Parquet files hold the same activities, in DuckDB's eyes."""

import sys

import duckdb

ours, theirs = sys.argv[1:]
connection = duckdb.connect(config={"threads": 2})
connection.execute("SET TimeZone = 'UTC'")
plain = (
    "uid type source_id tags direction subject summary in_reply_to_source_id reply_received attachment_file_names location "
    "status duration outbound_phone_number all_day".split()
)
instants = [f"epoch_us({name})" for name in "timestamp ingest_timestamp created start_time end_time".split()]
people = "peopleai_id crm_id name title email phone role type time_spent team matched_as status".split()
participants = "list_transform(participants, lambda p: struct_pack(" + ", ".join(f"{name} := p.{name}" for name in people) + "))"
campaigns = "list_transform(campaigns, lambda c: struct_pack(n := c.name, i := c.crm_id, s := c.start_date, e := c.end_date))"
stats = [f"stats.{name}_participants" for name in "total internal external contacts accepted declined tentative".split()]
crm = ["crm_status.matched_to", "crm_status.pushed", "epoch_us(crm_status.push_time)", "crm_status.crm_id",
       "crm_status.account", "crm_status.opportunity", "crm_status.lead"]
columns = ", ".join(f"{column} AS c{at}" for at, column in enumerate(plain + instants + [participants, campaigns] + stats + crm))
# A sum of hashes per row, so that memory stays flat.
fingerprint = f"SELECT count(*), sum(hash(t)::HUGEINT) FROM (SELECT {columns} FROM read_parquet(?)) t"
results = [connection.execute(fingerprint, [file]).fetchone() for file in (ours, theirs)]
if results[0] != results[1]:
    sys.exit(f"the results differ: {results}")
print(results[0][0])
