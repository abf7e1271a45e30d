"""DuckDB: JSON Lines with known columns to three flat Parquet files, by way of one in-memory table."""

import sys

import duckdb
from columns import ACTIVITY, duckdb_columns

source, target = sys.argv[1:]
connection = duckdb.connect(config={"threads": 2})
options = "(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)"
connection.execute(
    f"CREATE TABLE a AS SELECT * FROM read_json('{source}', format = 'newline_delimited', columns = {duckdb_columns(ACTIVITY)})"
)
flat = (
    "* EXCLUDE (participants, campaigns, stats, crm_status), unnest(stats), "
    "crm_status.matched_to, crm_status.pushed, crm_status.push_time, crm_status.crm_id AS crm_status_crm_id, "
    "crm_status.account.crm_id AS a1, crm_status.account.name AS a2, crm_status.account.parent_account_crm_id AS a3, "
    "crm_status.account.parent_account_name AS a4, crm_status.opportunity.crm_id AS o1, crm_status.opportunity.name AS o2, "
    "crm_status.opportunity.stage_name AS o3, crm_status.opportunity.stage_rank AS o4, "
    "crm_status.opportunity.account.crm_id AS o5, crm_status.opportunity.account.name AS o6, "
    "crm_status.lead.crm_id AS l1, crm_status.lead.name AS l2, crm_status.lead.title AS l3, crm_status.lead.phone AS l4, "
    "crm_status.lead.email AS l5, crm_status.lead.lead_stage AS l6"
)
connection.execute(f"COPY (SELECT {flat} FROM a) TO '{target}.activities' {options}")
for child in ["participants", "campaigns"]:
    connection.execute(
        f"COPY (SELECT uid, generate_subscripts({child}, 1) AS ordinal, unnest({child}, recursive := true) FROM a) "
        f"TO '{target}.{child}' {options}"
    )
