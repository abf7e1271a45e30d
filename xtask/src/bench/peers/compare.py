"""Fails unless two results hold the same rows, in DuckDB's eyes: `compare.py WHAT OURS THEIRS`.

WHAT is `nested` (activities with all that is inside), `flat` (one table of the relational shape, or contacts; the columns are
those of the other result), or `rows`, which counts them and no more: for results that have other types.
"""

import sys

import duckdb

what, ours, theirs = sys.argv[1:]
connection = duckdb.connect(config={"threads": 2})
connection.execute("SET TimeZone = 'UTC'")


def fingerprint(file, expressions):
    """How many rows there are, and a sum of a hash of each, so that their order doesn't matter and memory stays flat."""
    columns = ", ".join(f"{expression} AS c{at}" for at, expression in enumerate(expressions))
    query = f"SELECT count(*), sum(hash(t)::HUGEINT) FROM (SELECT {columns} FROM read_parquet(?)) t"
    return connection.execute(query, [file]).fetchone()


def nested_columns():
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
    return plain + instants + [participants, campaigns] + stats + crm


# What the flat columns of the other tool are called in ours, where that differs.
ACCOUNT = ["crm_id", "name", "parent_account_crm_id", "parent_account_name"]
OPPORTUNITY = ["crm_id", "name", "stage_name", "stage_rank", "account_crm_id", "account_name"]
LEAD = ["crm_id", "name", "title", "phone", "email", "lead_stage"]
OURS = {"crm_id_1": "team_crm_id", "name_1": "team_name"}
OURS |= {name: f"crm_status_{name}" for name in ["matched_to", "pushed", "push_time"]}
for letter, entity, fields in [("a", "account", ACCOUNT), ("o", "opportunity", OPPORTUNITY), ("l", "lead", LEAD)]:
    OURS |= {f"{letter}{at}": f"crm_status_{entity}_{field}" for at, field in enumerate(fields, 1)}


def flat_columns():
    known = {name for name, *_ in connection.execute("DESCRIBE SELECT * FROM read_parquet(?)", [ours]).fetchall()}
    for name, kind, *_ in connection.execute("DESCRIBE SELECT * FROM read_parquet(?)", [theirs]).fetchall():
        in_ours = next(one for one in (OURS.get(name), name, f"stats_{name}") if one in known)
        yield tuple(f"epoch_us({one})" if kind.startswith("TIMESTAMP") else one for one in (in_ours, name))


if what == "nested":
    columns = [(column, column) for column in nested_columns()]
elif what == "flat":
    columns = list(flat_columns())
else:
    columns = [("1", "1")]
results = [fingerprint(file, expressions) for file, expressions in zip((ours, theirs), zip(*columns))]
if results[0] != results[1]:
    sys.exit(f"{ours} and {theirs} differ: {results}")
print(results[0][0])
