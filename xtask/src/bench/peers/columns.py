"""The columns of an activity, as DuckDB's read_json wants them: what every peer is told, so that none has to guess."""

PARTICIPANT = (
    "STRUCT(peopleai_id VARCHAR, crm_id VARCHAR, name VARCHAR, title VARCHAR, email VARCHAR, phone VARCHAR, role VARCHAR, "
    "type VARCHAR, time_spent BIGINT, team STRUCT(crm_id VARCHAR, name VARCHAR), matched_as VARCHAR, status VARCHAR)"
)
CAMPAIGN = "STRUCT(crm_id VARCHAR, name VARCHAR, start_date DATE, end_date DATE)"
STATS = "STRUCT(" + ", ".join(
    f"{name}_participants BIGINT" for name in ["total", "internal", "external", "contacts", "accepted", "declined", "tentative"]
) + ", participants_on_to_line BIGINT, participants_on_cc_line BIGINT)"
ACCOUNT = "STRUCT(crm_id VARCHAR, name VARCHAR, parent_account_crm_id VARCHAR, parent_account_name VARCHAR)"
OPPORTUNITY = (
    "STRUCT(crm_id VARCHAR, name VARCHAR, stage_name VARCHAR, stage_rank BIGINT, account STRUCT(crm_id VARCHAR, name VARCHAR))"
)
LEAD = "STRUCT(crm_id VARCHAR, name VARCHAR, title VARCHAR, phone VARCHAR, email VARCHAR, lead_stage VARCHAR)"
CRM_STATUS = (
    "STRUCT(matched_to VARCHAR, pushed BOOLEAN, push_time TIMESTAMP, crm_id VARCHAR, "
    f"account {ACCOUNT}, opportunity {OPPORTUNITY}, lead {LEAD})"
)
ACTIVITY = {
    **dict.fromkeys(
        "uid type source_id direction subject summary in_reply_to_source_id followed_meeting_source_id "
        "follow_up_email_source_id location status outbound_phone_number".split(),
        "VARCHAR",
    ),
    **dict.fromkeys("timestamp ingest_timestamp created start_time end_time".split(), "TIMESTAMP"),
    **dict.fromkeys("tags attachment_file_names".split(), "VARCHAR[]"),
    **dict.fromkeys("reply_received all_day".split(), "BOOLEAN"),
    "duration": "BIGINT",
    "campaigns": CAMPAIGN + "[]",
    "participants": PARTICIPANT + "[]",
    "stats": STATS,
    "crm_status": CRM_STATUS,
}


def duckdb_columns(columns):
    return "{" + ", ".join(f"'{name}': '{kind}'" for name, kind in columns.items()) + "}"
