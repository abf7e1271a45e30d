//! Section (l) of the contract, line by line: what clients that others wrote rely on holds by default, call for call as
//! they make them.

mod support;

use backstory_sim::{Key, KeyType, Sim};
use serde_json::Value;
use support::{Client, small};

const JOBS: &str = "/pull/v1/export/activities/jobs";

/// A world with a key whose secret is not safe in a form.
async fn service() -> Sim {
    small().key(Key::new(KeyType::Activity, "their-key", "s3cret/+=&x")).start().await.unwrap()
}

/// Every reply is JSON on one line, with both `error` and `message` when it is an error.
fn is_as_expected(reply: &support::Reply, statuses: &[u16]) -> Value {
    assert!(statuses.contains(&reply.status), "{reply:?}");
    let json = reply.json();
    if reply.status >= 400 {
        assert!(json["error"].is_string() && json["message"].is_string(), "{json}");
    }
    json
}

/// The client of 2020: no `grant_type`, a secret as it is, a look at the state before the file, the file in one piece.
#[tokio::test]
async fn the_python_client_of_2020_gets_its_export() {
    let sim = small().key(Key::new(KeyType::Activity, "their-key", "s3cret/+=")).start().await.unwrap();
    let mut client = Client { sim: &sim, bearer: None };
    let given = client.post("/auth/v1/tokens", "client_id=their-key&client_secret=s3cret/+=").await;
    let given = is_as_expected(&given, &[200]);
    assert!(given["expires_in"].is_i64() || given["expires_in"].is_u64());
    client.bearer = Some(given["access_token"].as_str().unwrap().to_owned());
    let body = r#"{"activity_type":"all","end_date":"2026-06-14","export_type":"snapshot","output_format":"JSONLines","start_date":"2026-06-01"}"#;
    let job = is_as_expected(&client.post(JOBS, body).await, &[200]);
    // It prints the id with %s, whatever it is.
    let id = job["job_id"].as_str().unwrap().to_owned();
    let job = is_as_expected(&client.get(&format!("{JOBS}/{id}")).await, &[200]);
    assert_eq!(job["state"], "Completed");
    let file = client.get(&format!("{JOBS}/{id}/data")).await;
    is_a_file_for_them(&file);
    // A failed create is told by `error` and `message`.
    is_as_expected(&client.post(JOBS, r#"{"start_date":"2026-06-01"}"#).await, &[400]);
    assert!(sim.report().findings.is_empty(), "{:?}", sim.report().findings);
}

/// The clients of 2022: capitals, `Accept: application/json` on the file, the number of fragments read from the job.
#[tokio::test]
async fn the_java_and_python_clients_of_2022_get_their_export() {
    let sim = service().await;
    let mut client = Client { sim: &sim, bearer: None };
    let form = "client_id=their-key&client_secret=s3cret%2F%2B%3D%26x";
    let given = is_as_expected(&client.post("/auth/v1/tokens", form).await, &[200]);
    client.bearer = Some(given["access_token"].as_str().unwrap().to_owned());
    let body = r#"{"start_date":"2026-06-01","end_date":"2026-06-14","activity_type":"All","output_format":"JSONLines","export_type":"Delta"}"#;
    let accept = [("accept", "application/json")];
    let created = client.send("POST", JOBS, &accept, body).await;
    assert_eq!(created.status, 200, "anything else is a failure to them, and no redirect is followed");
    let id = created.json()["job_id"].as_str().unwrap().to_owned();
    let job = is_as_expected(&client.send("GET", &format!("{JOBS}/{id}"), &accept, "").await, &[200]);
    assert_eq!(job["state"], "Completed");
    assert!(job["fragments"].is_u64(), "they read it without a guard");
    let file = client.send("GET", &format!("{JOBS}/{id}/data"), &accept, "").await;
    is_a_file_for_them(&file);
    assert!(sim.report().findings.is_empty(), "{:?}", sim.report().findings);
}

/// What they read without a guard is there, and what breaks them is not.
fn is_a_file_for_them(file: &support::Reply) {
    assert_eq!((file.status, file.cut), (200, false));
    assert!(file.header("content-type").unwrap().ends_with("; charset=utf-8"));
    let text = std::str::from_utf8(&file.body).unwrap();
    assert!(!text.contains(['\r', '\u{2028}', '\u{2029}', '\u{85}']));
    // Split as Python splits lines.
    let lines: Vec<&str> = text.strip_suffix('\n').unwrap_or(text).split('\n').collect();
    assert!(lines.len() > 10);
    for line in lines {
        let record: Value = serde_json::from_str(line).expect("no blank line, and each is JSON");
        assert!(!holds_null(&record), "{line}");
        assert!(["email", "meeting", "call"].contains(&record["type"].as_str().unwrap()));
        assert!(record["stats"].is_object() && record["crm_status"].is_object());
        let matched = record["crm_status"]["matched_to"].as_str().unwrap();
        assert!(matched == "none" || record["crm_status"][matched].is_object());
    }
}

fn holds_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().any(holds_null),
        Value::Object(fields) => fields.values().any(holds_null),
        _ => false,
    }
}

/// Whatever a client of bulk exports does wrong, the status is one of those that are known to be in use.
#[tokio::test]
async fn no_call_gets_a_status_that_nobody_has_seen() {
    let sim = service().await;
    let mut client = Client { sim: &sim, bearer: None };
    let known = [200, 204, 400, 401, 403, 404, 429];
    for (method, path, body) in [
        ("GET", JOBS, ""),
        ("POST", "/auth/v1/tokens", "client_id=their-key"),
        ("POST", "/auth/v1/tokens", "client_id=their-key&client_secret=wrong"),
        ("PUT", "/auth/v1/tokens", ""),
    ] {
        is_as_expected(&client.send(method, path, &[], body).await, &known);
    }
    let form = "client_id=their-key&client_secret=s3cret%2F%2B%3D%26x";
    let given = client.post("/auth/v1/tokens", form).await.json();
    client.bearer = Some(given["access_token"].as_str().unwrap().to_owned());
    let long = format!("{JOBS}/{}", "9".repeat(5_000));
    let large = format!("{{\"start_date\":\"{}\"}}", "x".repeat(2_000_000));
    for (method, path, body) in [
        ("DELETE", JOBS, ""),
        ("POST", JOBS, "not json"),
        ("POST", JOBS, &large),
        ("GET", &long, ""),
        ("GET", "/pull/v1/export/contacts/jobs", ""),
        ("POST", "/pull/v1/export/contacts/jobs", "{}"),
        ("GET", "/v0/public/activities", ""),
        ("OPTIONS", "/", ""),
    ] {
        is_as_expected(&client.send(method, path, &[], body).await, &known);
    }
    let typed = client.send("POST", JOBS, &[("content-type", "application/xml")], "<job/>").await;
    is_as_expected(&typed, &known);
}
