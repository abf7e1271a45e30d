//! The documented basics over real sockets: tokens, jobs, files, errors, and the truth beside them.

mod support;

use serde_json::Value;
use support::{Client, small};

const JOBS: &str = "/pull/v1/export/activities/jobs";

#[tokio::test]
async fn a_key_opens_a_token_and_the_token_opens_an_export() {
    let sim = small().start().await.unwrap();
    let client = Client::new(&sim).await;
    let created = client
        .post(
            JOBS,
            r#"{"start_date":"2026-06-01","end_date":"2026-06-14","export_type":"Delta","activity_type":"All"}"#,
        )
        .await;
    assert_eq!(created.status, 200, "exactly 200: clients take anything else for a failure");
    let job = created.json();
    assert_eq!(
        (job["state"].as_str(), job["export_type"].as_str(), job["activity_type"].as_str()),
        (Some("Completed"), Some("delta"), Some("all"))
    );
    assert_eq!(job["job_created_time"], "2026-06-18T12:00:00Z");
    let id = job["job_id"].as_str().unwrap();
    let file = client.get(&format!("{JOBS}/{id}/data")).await;
    assert_eq!(file.header("content-type"), Some("application/x-ndjson; charset=utf-8"));
    assert_eq!(file.header("content-length"), None, "chunked");
    assert_eq!(job["results_size"].as_u64().unwrap(), file.body.len() as u64);
    let text = std::str::from_utf8(&file.body).unwrap();
    assert!(text.ends_with('\n') && !text.contains("\n\n") && !text.contains('\r'));
    assert!(!text.contains(['\u{2028}', '\u{2029}', '\u{85}']), "line ends in text mode are escaped");
    let records: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let due = client
        .get("/_sim/truth/window?kind=delta&from=2026-06-01&to=2026-06-14&at=2026-06-18T12:00:00Z")
        .await
        .json();
    assert_eq!(due["count"], records.len());
    assert!(records.len() > 50);
    let times: Vec<&str> =
        records.iter().map(|record| &record["timestamp"].as_str().unwrap()[..19]).collect();
    assert!(times.is_sorted());
    for record in &records {
        let ingested = &record["ingest_timestamp"].as_str().unwrap()[..10];
        assert!(ingested >= "2026-06-01", "processed in the window, or again since");
    }
}

#[tokio::test]
async fn fragments_are_the_whole_file_in_order() {
    let sim = small().records_per_fragment(300).start().await.unwrap();
    let client = Client::new(&sim).await;
    let id = client.create("snapshot", "2025-07-01", "2026-06-18").await;
    let job = client.get(&format!("{JOBS}/{id}")).await.json();
    let fragments = job["fragments"].as_u64().unwrap();
    assert!(fragments > 3);
    let whole = client.get(&format!("{JOBS}/{id}/data")).await.body;
    let mut joined = Vec::new();
    for fragment in 0..fragments {
        let part = client.get(&format!("{JOBS}/{id}/data?fragment={fragment}")).await;
        assert_eq!(part.status, 200);
        assert_eq!(part.body.last(), Some(&b'\n'), "split at record bounds");
        joined.extend_from_slice(&part.body);
    }
    assert_eq!(joined, whole);
    assert_eq!(client.get(&format!("{JOBS}/{id}/data?fragment={fragments}")).await.status, 404);
    assert_eq!(client.get(&format!("{JOBS}/{id}/data?fragment=x")).await.status, 400);
}

#[tokio::test]
async fn contacts_come_as_csv_and_as_json_with_equal_contents() {
    let sim = small().start().await.unwrap();
    let client = Client::new(&sim).await;
    let csv = client.export_contacts("2025-07-01", "2026-06-18", "").await;
    assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8"));
    let json = client.export_contacts("2025-07-01", "2026-06-18", r#","output_format":"JSON""#).await;
    let objects: Vec<Value> = serde_json::from_slice(&json.body).unwrap();
    let mut reader = csv::Reader::from_reader(&csv.body[..]);
    let header = reader.headers().unwrap().clone();
    assert_eq!(&header[0], "first_name");
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), objects.len());
    assert!(rows.len() > 100);
    for (row, object) in rows.iter().zip(&objects) {
        for (column, cell) in header.iter().zip(row) {
            match &object[column] {
                Value::Null => assert_eq!(cell, ""),
                Value::String(text) => assert_eq!(cell, text),
                other => assert_eq!(cell, other.to_string()),
            }
        }
    }
    let due = client.get("/_sim/truth/window?kind=contacts&from=2025-07-01&to=2026-06-18").await.json();
    assert_eq!(due["count"], rows.len());
    let filtered = client.export_contacts("2025-07-01", "2026-06-18", r#","country":"germany""#).await;
    let mut filtered = csv::Reader::from_reader(&filtered.body[..]);
    let germans: Vec<csv::StringRecord> = filtered.records().map(Result::unwrap).collect();
    assert!(!germans.is_empty() && germans.len() < rows.len());
    assert!(germans.iter().all(|row| &row[7] == "Germany"));
}

#[tokio::test]
async fn two_jobs_run_ten_wait_and_the_next_is_refused() {
    let sim = small().job_time(std::time::Duration::from_secs(3_600)).start().await.unwrap();
    let client = Client::new(&sim).await;
    for _ in 0..12 {
        client.create("delta", "2026-06-01", "2026-06-02").await;
    }
    let refused = client
        .post(JOBS, r#"{"start_date":"2026-06-01","end_date":"2026-06-02","export_type":"delta"}"#)
        .await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("retry-after"), None);
    assert!(
        refused.json()["error"].is_string() && refused.json()["message"].as_str().unwrap().contains("queue")
    );
    let jobs = client.get(JOBS).await.json();
    let states: Vec<&str> =
        jobs.as_array().unwrap().iter().map(|job| job["state"].as_str().unwrap()).collect();
    assert_eq!(states.iter().filter(|state| **state == "Running").count(), 2);
    assert_eq!(states[10..], ["Running", "Running"], "newest first");
    assert!(jobs[0].get("job_start_time").is_none() && jobs[11]["job_start_time"].is_string());
    // The jobs end in the order in which they came, two at a time.
    sim.clock().set_speed(1.0);
    sim.clock().advance(jiff::SignedDuration::from_mins(61));
    let jobs = client.get(JOBS).await.json();
    assert_eq!(jobs[11]["state"], "Completed");
    assert_eq!(jobs[9]["job_start_time"], jobs[11]["job_end_time"], "the next began when the first ended");
    let report = sim.report();
    assert_eq!((report.most_running, report.most_queued, report.most_outstanding), (2, 10, 12));
}

#[tokio::test]
async fn errors_have_the_documented_shape() {
    let sim = small().start().await.unwrap();
    let mut client = Client::new(&sim).await;
    for (method, path) in [
        ("DELETE", format!("{JOBS}/1")),
        ("PUT", JOBS.to_owned()),
        ("GET", "/auth/v1/tokens".to_owned()),
        ("GET", "/nowhere".to_owned()),
        ("GET", "/pull/v1/export/contacts/jobs".to_owned()),
        ("GET", format!("{JOBS}/7")),
    ] {
        let reply = client.send(method, &path, &[], "").await;
        assert_eq!(reply.status, 404, "{method} {path}");
        assert_eq!(reply.body, r#"{"error":"NotFoundException","message":"HTTP 404 Not Found"}"#);
    }
    let malformed = client.get(&format!("{JOBS}/abc")).await;
    assert_eq!(malformed.status, 400);
    let missing = client.post(JOBS, r#"{"start_date":"2026-06-01","end_date":"2026-06-02"}"#).await;
    assert_eq!(missing.status, 400);
    assert_eq!(
        missing.body,
        r#"{"error":"BadRequestException","message":"Invalid parameter format: exportType"}"#
    );
    client.bearer = Some("nonsense".to_owned());
    let refused = client.get(JOBS).await;
    assert_eq!(refused.status, 401);
    assert!(refused.json()["error"].is_string() && refused.json()["message"].is_string());
    client.bearer = Some(client.token("/auth/v1/tokens", "sim-object").await);
    assert_eq!(client.get(JOBS).await.status, 403, "a key of another type");
    client.bearer = Some(client.token("/v3/auth/tokens", "sim-key").await);
    assert_eq!(client.get(JOBS).await.status, 401, "a token of the other endpoint");
}

#[tokio::test]
async fn the_token_endpoint_takes_what_real_clients_send() {
    let sim = small()
        .key(backstory_sim::Key::new(backstory_sim::KeyType::Any, "odd", "a+b/c%20=="))
        .start()
        .await
        .unwrap();
    let client = Client { sim: &sim, bearer: None };
    for (body, status) in [
        ("client_id=odd&client_secret=a+b/c%20==", 200),
        ("grant_type=client_credentials&client_id=odd&client_secret=a%2Bb%2Fc%2520%3D%3D", 200),
        ("grant_type=password&client_id=odd&client_secret=a+b/c%20==", 400),
        ("grant_type=client_credentials&client_id=odd", 400),
        ("grant_type=client_credentials&client_id=odd&client_secret=wrong", 401),
        ("grant_type=client_credentials&client_id=sim-key&client_secret=sim-secret", 401),
    ] {
        let reply = client.post("/auth/v1/tokens", body).await;
        assert_eq!(reply.status, status, "{body}");
        if status == 200 {
            assert_eq!(reply.json()["expires_in"], 7_200);
            assert_eq!(reply.json()["token_type"], "bearer");
        } else {
            assert!(reply.json()["error"].is_string() && reply.json()["message"].is_string());
        }
    }
}

#[tokio::test]
async fn tokens_and_files_expire_by_the_worlds_clock() {
    let sim = small().start().await.unwrap();
    let mut client = Client::new(&sim).await;
    let id = client.create("delta", "2026-06-01", "2026-06-02").await;
    let moved = client.post("/_sim/clock", r#"{"advance":"7200s"}"#).await;
    assert_eq!(moved.json()["now"], "2026-06-18T14:00:00Z");
    let refused = client.get(JOBS).await;
    assert_eq!(refused.status, 401);
    assert_eq!(refused.header("date"), Some("Thu, 18 Jun 2026 14:00:00 GMT"));
    client.bearer = Some(client.token("/auth/v1/tokens", "sim-activity").await);
    assert_eq!(client.get(JOBS).await.json().as_array().unwrap().len(), 1);
    client.post("/_sim/clock", r#"{"now":"2026-06-28T11:59:59Z"}"#).await;
    client.bearer = Some(client.token("/auth/v1/tokens", "sim-activity").await);
    assert_eq!(client.get(&format!("{JOBS}/{id}/data")).await.status, 200);
    client.post("/_sim/clock", r#"{"advance":"2s"}"#).await;
    assert_eq!(client.get(&format!("{JOBS}/{id}/data")).await.status, 404);
    assert_eq!(client.get(JOBS).await.json().as_array().unwrap().len(), 0);
    assert_eq!(client.get(&format!("{JOBS}/{id}")).await.status, 200);
}

#[tokio::test]
async fn the_rate_limit_refuses_a_burst_but_not_token_calls() {
    let sim = small().rate_limit(true).start().await.unwrap();
    let client = Client::new(&sim).await;
    let mut statuses = Vec::new();
    for _ in 0..30 {
        statuses.push(client.get(JOBS).await.status);
    }
    assert!(statuses.contains(&200) && statuses.contains(&429));
    client.token("/auth/v1/tokens", "sim-key").await;
    assert_eq!(sim.report().rate_limited, statuses.iter().filter(|status| **status == 429).count() as u64);
}

#[tokio::test]
async fn the_report_counts_what_happened_and_what_the_contract_cannot_explain() {
    let sim = small().start().await.unwrap();
    let client = Client::new(&sim).await;
    let file = client.export("delta", "2026-06-01", "2026-06-02").await;
    client.get("/v9/strange").await;
    let report = client.get("/_sim/report").await.json();
    assert_eq!(report["requests"]["POST /pull/v1/export/activities/jobs"]["200"], 1);
    assert_eq!(report["tokens_minted"], 1);
    assert_eq!(report["jobs_created"]["sim-key"], 1);
    assert_eq!(report["downloads_finished"], 1);
    assert_eq!(report["bytes"], file.body.len());
    assert_eq!(report["findings"]["GET /v9/strange"], 1);
}

#[tokio::test]
async fn the_same_seed_and_requests_give_the_same_bytes_on_two_ports() {
    let (one, other) = (small().start().await.unwrap(), small().start().await.unwrap());
    assert_ne!(one.base_url(), other.base_url());
    let (one, other) = (Client::new(&one).await, Client::new(&other).await);
    assert_eq!(one.bearer, other.bearer);
    for path in ["/_sim/clock", JOBS, "/pull/v1/export/activities/jobs/9"] {
        assert_eq!(one.get(path).await, other.get(path).await);
    }
    let export = ("snapshot", "2026-05-01", "2026-06-01");
    assert_eq!(
        one.export(export.0, export.1, export.2).await,
        other.export(export.0, export.1, export.2).await
    );
    assert_eq!(one.get(JOBS).await, other.get(JOBS).await);
}

#[tokio::test]
async fn a_dropped_simulator_leaves_its_port() {
    let sim = small().start().await.unwrap();
    let address = sim.base_url().strip_prefix("http://").unwrap().to_owned();
    sim.stop().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn truth_streams_the_records_that_it_counts() {
    let sim = small().start().await.unwrap();
    let client = Client::new(&sim).await;
    for what in ["activities", "contacts"] {
        let content = client.get(&format!("/_sim/truth/{what}?at=2026-06-18T12:00:00Z")).await.json();
        let records = client.get(&format!("/_sim/truth/{what}?at=2026-06-18T12:00:00Z&records=true")).await;
        let lines = std::str::from_utf8(&records.body).unwrap().lines().count();
        assert_eq!(content["count"], lines);
        assert_eq!(content["content_hash"].as_str().unwrap().len(), 32);
    }
    let part = client.get("/_sim/truth/activities?processed_through=2026-01-01").await.json();
    let all = client.get("/_sim/truth/activities").await.json();
    assert!(part["count"].as_u64() < all["count"].as_u64());
    assert_eq!(client.get("/_sim/truth/activities?at=soon").await.status, 400);
}

#[tokio::test]
async fn every_reply_has_a_date_and_a_request_id() {
    let sim = small().start().await.unwrap();
    let client = Client::new(&sim).await;
    let mut ids = Vec::new();
    for path in [JOBS, "/nowhere", "/_sim/report"] {
        let reply = client.get(path).await;
        assert_eq!(reply.header("date"), Some("Thu, 18 Jun 2026 12:00:00 GMT"), "the world's");
        ids.push(reply.header("x-request-id").unwrap().to_owned());
    }
    ids.dedup();
    assert_eq!(ids.len(), 3);
}
