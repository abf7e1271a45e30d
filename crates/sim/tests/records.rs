//! What is in the world: every field that the contract knows, the odd cases that real data has, and change over time.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use backstory_sim::{ActivityType, Sim, WindowKind};
use jiff::SignedDuration;
use serde_json::Value;
use support::{Client, small};

async fn world() -> (Sim, Vec<Value>) {
    let sim = small().activities(9_000).start().await.unwrap();
    let records = sim.truth().activity_records(sim.clock().now(), None);
    let records = records.map(|record| serde_json::from_slice(&record).unwrap()).collect();
    (sim, records)
}

/// The paths of all keys, such as `crm_status.account.name`; lists are looked into.
fn paths(value: &Value, prefix: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                paths(value, &path, found);
                found.insert(path);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| paths(item, prefix, found)),
        Value::Null => panic!("a null at {prefix}: an absent value is an absent key"),
        _ => {}
    }
}

#[tokio::test]
async fn every_documented_field_of_activities_occurs_and_none_is_null() {
    let (_, records) = world().await;
    let mut by_type: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for record in &records {
        let found = by_type.entry(record["type"].as_str().unwrap()).or_default();
        paths(record, "", found);
        for always in
            ["type", "source_id", "timestamp", "ingest_timestamp", "stats", "crm_status", "participants"]
        {
            assert!(record.get(always).is_some(), "{always} is always there");
        }
        let matched = record["crm_status"]["matched_to"].as_str().unwrap();
        assert_eq!(record["crm_status"].get(matched).is_some(), matched != "none");
        let stats = &record["stats"];
        let participants = record["participants"].as_array().unwrap();
        assert_eq!(stats["total_participants"], participants.len());
        let internal = participants.iter().filter(|person| person["type"] == "internal").count();
        assert_eq!(stats["internal_participants"], internal);
        let contacts = participants.iter().filter(|person| person["matched_as"] == "contact").count();
        assert_eq!(stats["contacts_participants"], contacts);
        if record["type"] == "meeting" {
            for status in ["accepted", "declined", "tentative"] {
                let count = participants.iter().filter(|person| person["status"] == status).count();
                assert_eq!(stats[format!("{status}_participants")], count);
            }
        }
    }
    let common = [
        "uid",
        "type",
        "source_id",
        "timestamp",
        "ingest_timestamp",
        "tags",
        "direction",
        "duration",
        "campaigns",
        "campaigns.crm_id",
        "campaigns.name",
        "campaigns.start_date",
        "campaigns.end_date",
        "participants",
        "participants.peopleai_id",
        "participants.crm_id",
        "participants.name",
        "participants.title",
        "participants.email",
        "participants.phone",
        "participants.role",
        "participants.type",
        "participants.time_spent",
        "participants.team.crm_id",
        "participants.team.name",
        "participants.matched_as",
        "stats.total_participants",
        "stats.internal_participants",
        "stats.external_participants",
        "stats.contacts_participants",
        "crm_status.pushed",
        "crm_status.push_time",
        "crm_status.crm_id",
        "crm_status.matched_to",
        "crm_status.account.crm_id",
        "crm_status.account.name",
        "crm_status.account.parent_account_crm_id",
        "crm_status.account.parent_account_name",
        "crm_status.opportunity.crm_id",
        "crm_status.opportunity.name",
        "crm_status.opportunity.stage_name",
        "crm_status.opportunity.stage_rank",
        "crm_status.opportunity.account.crm_id",
        "crm_status.opportunity.account.name",
        "crm_status.lead.crm_id",
        "crm_status.lead.name",
        "crm_status.lead.title",
        "crm_status.lead.phone",
        "crm_status.lead.email",
        "crm_status.lead.lead_stage",
        "experimental.internal_match_status.matched_to",
        "experimental.internal_match_status.pushed",
        "experimental.internal_match_status.push_time",
        "experimental.internal_match_status.crm_id",
        "experimental.internal_match_status.lead.name",
    ];
    let email: &[&str] = &[
        "subject",
        "in_reply_to_source_id",
        "reply_received",
        "attachment_file_names",
        "followed_meeting_source_id",
        "stats.participants_on_to_line",
        "stats.participants_on_cc_line",
    ];
    let meeting: &[&str] = &[
        "summary",
        "follow_up_email_source_id",
        "created",
        "start_time",
        "end_time",
        "all_day",
        "location",
        "status",
        "participants.status",
        "stats.accepted_participants",
        "stats.declined_participants",
        "stats.tentative_participants",
    ];
    let call: &[&str] = &["summary", "outbound_phone_number"];
    for (kind, own) in [("email", email), ("meeting", meeting), ("call", call)] {
        for field in common.iter().chain(own) {
            assert!(by_type[kind].contains(*field), "{kind} without {field}");
        }
    }
    assert!(!by_type["meeting"].contains("subject") && !by_type["email"].contains("all_day"));
}

#[tokio::test]
async fn the_population_has_realistic_proportions_and_the_odd_cases() {
    let (_, records) = world().await;
    let all = records.len();
    let share =
        |wanted: &dyn Fn(&Value) -> bool| records.iter().filter(|r| wanted(r)).count() as f64 / all as f64;
    assert!((0.5..0.7).contains(&share(&|r| r["type"] == "email")));
    assert!((0.2..0.4).contains(&share(&|r| r["type"] == "meeting")));
    let size: usize = records.iter().map(|record| record.to_string().len()).sum();
    assert!((2_000..3_000).contains(&(size / all)), "{}", size / all);
    let without_uid = share(&|r| r.get("uid").is_none());
    assert!(without_uid > 0.001 && without_uid < 0.01);
    assert!(share(&|r| r["attachment_file_names"].is_string()) > 0.0);
    assert!(share(&|r| r["attachment_file_names"].is_array()) > 0.0);
    assert!(share(&|r| r["timestamp"].as_str().unwrap().ends_with('Z')) > 0.05);
    assert!(share(&|r| r["timestamp"].as_str().unwrap().len() == 19) > 0.5);
    assert!(share(&|r| r["participants"].as_array().unwrap().len() >= 100) > 0.0005);
    let someone =
        |r: &Value, wanted: &dyn Fn(&Value) -> bool| r["participants"].as_array().unwrap().iter().any(wanted);
    assert!(share(&|r| someone(r, &|p| p.get("email").is_none() && p["phone"].is_string())) > 0.01);
    assert!(
        share(&|r| someone(r, &|p| p["name"].as_str().unwrap().contains(|c: char| c > '\u{500}'))) > 0.05
    );
    assert!(share(&|r| r["subject"].as_str().is_some_and(|s| s.contains('🚀') || s.contains('"'))) > 0.001);
    assert!(share(&|r| r["timestamp"].as_str().unwrap() > "2026-06-19") > 0.005, "booked ahead");
    for unknown in ["sentiment", "conference_details"] {
        assert!(share(&|r| r.get(unknown).is_some()) > 0.001, "an undocumented key");
    }
    let mut keys: Vec<String> = records.iter().map(|record| record["source_id"].to_string()).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), all);
}

#[tokio::test]
async fn activities_change_and_come_again_in_later_windows() {
    let sim = small().activities(8_000).start().await.unwrap();
    let records = |sim: &Sim| -> BTreeMap<String, Value> {
        let records = sim.truth().activity_records(sim.clock().now(), None);
        let records = records.map(|record| serde_json::from_slice::<Value>(&record).unwrap());
        records.map(|record| (record["source_id"].as_str().unwrap().to_owned(), record)).collect()
    };
    let before = records(&sim);
    let client = Client::new(&sim).await;
    sim.clock().advance(SignedDuration::from_mins(90));
    let text = client.export("delta", "2026-06-18", "2026-06-18").await.body;
    sim.clock().advance(SignedDuration::from_hours(24 * 45));
    let after = records(&sim);
    assert!(after.len() > before.len(), "new ones came");
    assert!(before.keys().all(|key| after.contains_key(key)), "none goes away");
    let changed = |field: &dyn Fn(&Value) -> Value| {
        before.iter().filter(|(key, record)| field(record) != field(&after[*key])).count()
    };
    assert!(changed(&|r| r["timestamp"].clone()) > 5, "meetings are moved");
    assert!(changed(&|r| r["status"].clone()) > 5, "and cancelled, which a delta shows by `status`");
    assert!(changed(&|r| r["stats"]["total_participants"].clone()) > 5, "people join and leave");
    assert!(changed(&|r| r["crm_status"]["matched_to"].clone()) > 5, "the CRM match changes");
    assert!(changed(&|r| r["reply_received"].clone()) > 1, "replies arrive");
    assert_eq!(changed(&|r| r["source_id"].clone()), 0);
    assert_eq!(changed(&|r| r["subject"].clone()), 0, "what does not change stays");
    let again = std::str::from_utf8(&text).unwrap().lines().filter(|line| {
        let record: Value = serde_json::from_str(line).unwrap();
        after[record["source_id"].as_str().unwrap()]["ingest_timestamp"] != record["ingest_timestamp"]
    });
    assert!(again.count() > 2, "the same record comes again in a later window");
    // A change is a processing: its day's delta holds it.
    let now = sim.clock().now();
    let day = "2026-07-10".parse().unwrap();
    assert!(sim.truth().window(WindowKind::Delta, Some(ActivityType::Meeting), day, day, now).count > 0);
}

#[tokio::test]
async fn contacts_have_every_column_and_their_rolling_columns_move() {
    let sim = small().contacts(3_000).start().await.unwrap();
    let contacts = |sim: &Sim| -> Vec<Value> {
        let records = sim.truth().contact_records(sim.clock().now(), None);
        records.map(|record| serde_json::from_slice(&record).unwrap()).collect()
    };
    let before = contacts(&sim);
    let mut found = BTreeSet::new();
    before.iter().for_each(|contact| paths(contact, "", &mut found));
    for column in [
        "first_name",
        "last_name",
        "email",
        "phone",
        "job_title",
        "department",
        "seniority",
        "country",
        "state",
        "account_name",
        "account_type",
        "account_domain",
        "account_crm_id",
        "source_peopleai_id",
        "response_activity_id",
        "source_email",
        "from_cc",
        "total_inbound",
        "total_inbound_30d",
        "total_outbound",
        "total_outbound_30d",
        "total_meetings",
        "total_meetings_30d",
        "total_time_spent",
        "total_time_spent_30d",
    ] {
        assert!(found.contains(column), "{column}");
    }
    assert!(found.len() > 25, "and columns that no source names");
    sim.clock().advance(SignedDuration::from_hours(24 * 20));
    let after = contacts(&sim);
    assert!(after.len() > before.len());
    let by_source = |contacts: &[Value]| -> BTreeMap<String, Value> {
        let key = |contact: &Value| format!("{}{}", contact["first_name"], contact["phone"]);
        contacts.iter().filter(|c| c["phone"].is_string()).map(|c| (key(c), c.clone())).collect()
    };
    let (before, after) = (by_source(&before), by_source(&after));
    let changed = |field: &str| before.iter().filter(|(key, c)| c[field] != after[*key][field]).count();
    assert!(changed("total_inbound") > 100 && changed("total_outbound_30d") > 100);
    assert!(changed("email") > 0 && changed("job_title") > 0);
    for contact in after.values() {
        assert!(contact["total_inbound_30d"].as_u64() <= contact["total_inbound"].as_u64());
        assert_eq!(contact["state"].is_string(), contact["country"] == "United States");
    }
}

#[tokio::test]
async fn every_create_makes_a_new_job_and_a_failed_one_gives_no_reason() {
    let sim = small().start().await.unwrap();
    let client = Client::new(&sim).await;
    let one = client.create("delta", "2026-06-01", "2026-06-02").await;
    let other = client.create("delta", "2026-06-01", "2026-06-02").await;
    assert_ne!(one, other);
    let body = r#"{"start_date":"2026-06-01","end_date":"2026-06-02"}"#;
    let job = client.post("/pull/v1/export/contacts/jobs", body).await.json();
    assert!(job["params"].as_str().unwrap().contains("2026-06-01"), "the request, as text");
    let id = job["job_id"].as_str().unwrap();
    assert_eq!(client.get(&format!("/pull/v1/export/activities/jobs/{id}")).await.status, 404, "of contacts");
    sim.set_faults(backstory_sim::Faults::from_toml("[[rule]]\neffect = \"job-fails\"").unwrap());
    let id = client.create("delta", "2026-06-01", "2026-06-02").await;
    let failed = client.get(&format!("/pull/v1/export/activities/jobs/{id}")).await.json();
    assert_eq!(failed["state"], "Failed");
    assert!(failed.get("fragments").is_none() && failed.get("error").is_none());
    assert_eq!(client.get(&format!("/pull/v1/export/activities/jobs/{id}/data")).await.status, 404);
}
