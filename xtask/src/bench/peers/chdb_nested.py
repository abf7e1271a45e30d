"""ClickHouse, embedded: JSON Lines to one nested Parquet file, with named tuples for the structs."""

import sys

import chdb

source, target = sys.argv[1:]
text, number, flag, instant, day = (f"Nullable({kind})" for kind in ["String", "Int64", "Bool", "DateTime64(6, 'UTC')", "Date"])


def fields(names, kind=text):
    return ", ".join(f"{name} {kind}" for name in names.split())


team = f"team Tuple({fields('crm_id name')})"
participant = (
    f"Tuple({fields('peopleai_id crm_id name title email phone role type matched_as status')}, time_spent {number}, {team})"
)
campaign = f"Tuple({fields('crm_id name')}, {fields('start_date end_date', day)})"
stats = "Tuple(" + fields(
    "total_participants internal_participants external_participants contacts_participants participants_on_to_line "
    "participants_on_cc_line accepted_participants declined_participants tentative_participants", number) + ")"
account = f"account Tuple({fields('crm_id name parent_account_crm_id parent_account_name')})"
opportunity = (
    f"opportunity Tuple({fields('crm_id name stage_name')}, stage_rank {number}, account Tuple({fields('crm_id name')}))"
)
lead = f"lead Tuple({fields('crm_id name title phone email lead_stage')})"
crm = f"Tuple({fields('matched_to crm_id')}, pushed {flag}, push_time {instant}, {account}, {opportunity}, {lead})"
structure = ", ".join([
    fields("uid type source_id direction subject summary in_reply_to_source_id followed_meeting_source_id "
           "follow_up_email_source_id location status outbound_phone_number"),
    fields("timestamp ingest_timestamp created start_time end_time", instant),
    "tags Array(String), attachment_file_names Array(String)",
    fields("reply_received all_day", flag),
    f"duration {number}, campaigns Array({campaign}), participants Array({participant}), stats {stats}, crm_status {crm}",
])
structure = structure.replace("'", "\\'")
chdb.query(
    f"INSERT INTO FUNCTION file('{target}', 'Parquet') SELECT * FROM file('{source}', 'JSONEachRow', '{structure}') "
    "SETTINGS max_threads = 2, date_time_input_format = 'best_effort', output_format_parquet_compression_method = 'zstd', "
    "output_format_compression_level = 1, engine_file_truncate_on_insert = 1, "
    "input_format_json_use_string_type_for_ambiguous_paths_in_named_tuples_inference_from_objects = 1"
)
