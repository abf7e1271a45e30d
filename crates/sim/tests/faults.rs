//! Every effect of the fault engine, as a client meets it.

mod support;

use std::io::Read;
use std::time::Duration;

use backstory_sim::{Faults, Sim};
use jiff::SignedDuration;
use serde_json::Value;
use support::{Client, Reply, small};

const JOBS: &str = "/pull/v1/export/activities/jobs";
const WEEK: (&str, &str) = ("2026-06-01", "2026-06-07");

async fn with(rules: &str) -> Sim {
    small().faults(Faults::from_toml(rules).unwrap()).start().await.unwrap()
}

fn rule(text: &str) -> String {
    format!("[[rule]]\n{text}")
}

/// The same download without and with a fault.
async fn downloads(text: &str) -> (Reply, Reply) {
    let sim = with("").await;
    let whole = Client::new(&sim).await.export("delta", WEEK.0, WEEK.1).await;
    let sim = with(&rule(text)).await;
    let file = Client::new(&sim).await.export("delta", WEEK.0, WEEK.1).await;
    assert_eq!(sim.fault_log().len(), 1);
    (whole, file)
}

fn sources(body: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(body).unwrap();
    text.lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["source_id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_connection_that_drops_before_leaves_nothing_and_after_leaves_the_job() {
    for (effect, jobs) in [("reset-before", 0), ("close-before", 0), ("reset-after", 1), ("close-after", 1)] {
        let sim = with(&rule(&format!("route = \"create\"\nnth = 1\neffect = \"{effect}\""))).await;
        let client = Client::new(&sim).await;
        let body = r#"{"start_date":"2026-06-01","end_date":"2026-06-02","export_type":"delta"}"#;
        assert_eq!(client.try_send("POST", JOBS, &[], body).await, None, "{effect}");
        assert_eq!(client.get(JOBS).await.json().as_array().unwrap().len(), jobs, "{effect}");
        assert_eq!(client.post(JOBS, body).await.status, 200, "the second is let through");
        assert_eq!(sim.fault_log()[0].effect, effect);
        assert_eq!(sim.report().requests["POST /pull/v1/export/activities/jobs"][&0], 1);
    }
}

#[tokio::test]
async fn a_cut_body_ends_at_the_byte_with_its_connection() {
    for stated in ["cut", "short"] {
        let (whole, file) =
            downloads(&format!("effect = \"{stated}\"\nat_byte = 5000\nclose = \"fin\"")).await;
        assert!(file.cut && file.status == 200);
        assert_eq!(file.body, whole.body[..5_000]);
        let length = whole.body.len().to_string();
        assert_eq!(file.header("content-length"), (stated == "short").then_some(length.as_str()));
    }
    let (whole, file) = downloads("effect = \"cut\"\nclose = \"rst\"").await;
    assert!(file.cut && file.body.len() < whole.body.len() && whole.body.starts_with(&file.body));
}

#[tokio::test]
async fn a_fragment_breaks_off_goes_on_or_is_twisted_as_a_file_does() {
    let fragment = |text: &str| {
        let plan = if text.is_empty() { String::new() } else { rule(text) };
        async move {
            let sim = small()
                .records_per_fragment(20)
                .faults(Faults::from_toml(&plan).unwrap())
                .start()
                .await
                .unwrap();
            let client = Client::new(&sim).await;
            let id = client.create("delta", WEEK.0, WEEK.1).await;
            let reply = client.get(&format!("{JOBS}/{id}/data?fragment=1")).await;
            (reply, sim.fault_log().len())
        }
    };
    let (whole, _) = fragment("").await;
    let length = whole.body.len().to_string();
    let (short, _) = fragment("effect = \"short\"\nat_byte = 500").await;
    assert!(short.cut);
    assert_eq!(short.header("content-length"), Some(length.as_str()));
    let (long, _) = fragment("effect = \"long\"").await;
    assert_eq!(long.header("content-length"), Some(length.as_str()));
    let (crlf, _) = fragment("effect = \"crlf\"\nfragment = 1").await;
    assert_eq!(crlf.body.len(), whole.body.len() + 20);
    // Repeats would move the bounds of fragments, so that rule lets them pass.
    let (same, fired) = fragment("effect = \"duplicates\"").await;
    assert_eq!((same.body, fired), (whole.body, 0));
}

#[tokio::test]
async fn a_torn_body_ends_cleanly_in_the_middle_of_a_line() {
    let (whole, file) = downloads("effect = \"torn\"\nat_byte = 5001").await;
    assert!(!file.cut);
    assert_eq!(file.body, whole.body[..5_001]);
}

#[tokio::test]
async fn a_missing_last_chunk_comes_after_all_of_the_data() {
    let (whole, file) = downloads("effect = \"no-last-chunk\"").await;
    assert!(file.cut);
    assert_eq!(file.body, whole.body);
}

#[tokio::test]
async fn a_long_body_goes_beyond_its_stated_length() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let sim = with(&rule("effect = \"long\"")).await;
    let client = Client::new(&sim).await;
    let id = client.create("delta", WEEK.0, WEEK.1).await;
    let mut stream = tokio::net::TcpStream::connect(&sim.base_url()["http://".len()..]).await.unwrap();
    let request = format!(
        "GET {JOBS}/{id}/data HTTP/1.1\r\nhost: sim\r\nauthorization: Bearer {}\r\n\r\n",
        client.bearer.as_deref().unwrap()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await.unwrap();
    let text = String::from_utf8(all).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let stated = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    assert!(body.len() > stated.parse().unwrap());
    assert!(body.ends_with("beyond-the-end\"}\n"));
}

#[tokio::test(start_paused = true)]
async fn a_stall_and_a_drip_take_their_time() {
    // The clock of the runtime runs ahead by itself whenever nothing else is to be done.
    let started = tokio::time::Instant::now();
    let (whole, file) = downloads("effect = \"stall\"\nat_byte = 100\nseconds = 40.0").await;
    assert_eq!(file.body, whole.body);
    assert!(started.elapsed() >= Duration::from_secs(40));
    let started = tokio::time::Instant::now();
    let (whole, file) = downloads("effect = \"drip\"\nbytes_per_second = 10000").await;
    assert_eq!(file.body, whole.body);
    assert!(started.elapsed().as_secs() >= whole.body.len() as u64 / 10_000 - 1);
}

#[tokio::test]
async fn a_status_comes_with_each_body_and_each_form_of_retry_after() {
    for (more, check) in [
        ("", None),
        ("retry_after = \"7\"", Some("7")),
        ("retry_after = \"date:60\"", Some("Thu, 18 Jun 2026 12:01:00 GMT")),
        ("retry_after = \"garbage\"", Some("in a while")),
    ] {
        let sim = with(&rule(&format!("effect = \"status\"\nroute = \"list\"\nstatus = 429\n{more}"))).await;
        let reply = Client::new(&sim).await.get(JOBS).await;
        assert_eq!((reply.status, reply.header("retry-after")), (429, check));
        assert!(reply.json()["error"].is_string() && reply.json()["message"].is_string());
    }
    for (status, error) in
        [(408, "RequestTimeoutException"), (502, "BadGatewayException"), (504, "GatewayTimeoutException")]
    {
        let sim = with(&rule(&format!("effect = \"status\"\nroute = \"list\"\nstatus = {status}"))).await;
        assert_eq!(Client::new(&sim).await.get(JOBS).await.json()["error"], error);
    }
    for (body, start) in [("html", "<html>"), ("empty", "")] {
        for status in [401, 403, 404, 408, 500, 502, 503, 504] {
            let text = format!("effect = \"status\"\nroute = \"list\"\nstatus = {status}\nbody = \"{body}\"");
            let sim = with(&rule(&text)).await;
            let reply = Client::new(&sim).await.get(JOBS).await;
            assert_eq!(reply.status, status);
            assert!(reply.body.starts_with(start.as_bytes()));
            assert_eq!(reply.body.is_empty(), body == "empty");
        }
    }
}

#[tokio::test]
async fn an_error_may_come_though_the_job_was_created() {
    let text = "effect = \"status\"\nroute = \"create\"\nstatus = 504\nacted = true\nnth = 1";
    let sim = with(&rule(text)).await;
    let client = Client::new(&sim).await;
    let body = r#"{"start_date":"2026-06-01","end_date":"2026-06-02","export_type":"delta"}"#;
    assert_eq!(client.post(JOBS, body).await.status, 504);
    assert_eq!(client.get(JOBS).await.json().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_job_fails_is_cancelled_hangs_or_is_in_a_state_nobody_knows() {
    for (effect, during, after) in [
        ("job-fails", "Running", "Failed"),
        ("job-cancelled", "Running", "Canceled"),
        ("job-hangs", "Running", "Running"),
        ("job-unknown-state", "Archiving", "Completed"),
    ] {
        let sim = small()
            .job_time(Duration::from_secs(60))
            .speed(1.0)
            .faults(Faults::from_toml(&rule(&format!("effect = \"{effect}\"\njob = 1"))).unwrap())
            .start()
            .await
            .unwrap();
        let client = Client::new(&sim).await;
        let id = client.create("delta", WEEK.0, WEEK.1).await;
        assert_eq!(client.get(&format!("{JOBS}/{id}")).await.json()["state"], during);
        sim.clock().advance(SignedDuration::from_secs(61));
        assert_eq!(client.get(&format!("{JOBS}/{id}")).await.json()["state"], after);
        let data = client.get(&format!("{JOBS}/{id}/data")).await.status;
        assert_eq!(data, if after == "Completed" { 200 } else { 404 });
        let second = client.create("delta", WEEK.0, WEEK.1).await;
        assert_eq!(client.get(&format!("{JOBS}/{second}")).await.json()["state"], "Running", "only job 1");
    }
}

#[tokio::test]
async fn a_job_is_invisible_at_first_or_echoes_another_range() {
    let sim = with(&rule("effect = \"job-invisible\"\nseconds = 60")).await;
    let client = Client::new(&sim).await;
    let id = client.create("delta", WEEK.0, WEEK.1).await;
    assert_eq!(client.get(&format!("{JOBS}/{id}")).await.status, 404);
    assert_eq!(client.get(JOBS).await.body, "[]", "the list lags behind");
    sim.clock().set_speed(1.0);
    sim.clock().advance(SignedDuration::from_secs(61));
    assert_eq!(client.get(&format!("{JOBS}/{id}")).await.status, 200);
    assert_eq!(client.get(JOBS).await.json().as_array().unwrap().len(), 1);
    let sim = with(&rule("effect = \"wrong-echo\"")).await;
    let body = r#"{"start_date":"2026-06-01","end_date":"2026-06-02","export_type":"delta"}"#;
    let echo = Client::new(&sim).await.post(JOBS, body).await.json();
    assert_ne!(echo["start_date"], "2026-06-01");
}

#[tokio::test]
async fn records_are_repeated_shuffled_nulled_or_separated_oddly() {
    let (whole, file) = downloads("effect = \"duplicates\"").await;
    let mut distinct = sources(&file.body);
    assert!(distinct.len() > sources(&whole.body).len());
    distinct.dedup();
    assert_eq!(distinct, sources(&whole.body));

    let (whole, file) = downloads("effect = \"shuffled\"").await;
    let (mut shuffled, mut sorted) = (sources(&file.body), sources(&whole.body));
    assert_ne!(shuffled, sorted);
    shuffled.sort();
    sorted.sort();
    assert_eq!(shuffled, sorted);

    let (whole, file) = downloads("effect = \"nulls\"").await;
    assert!(!String::from_utf8_lossy(&whole.body).contains("null"));
    let text = String::from_utf8(file.body.to_vec()).unwrap();
    assert!(text.contains("\"location\":null"));
    assert_eq!(sources(text.as_bytes()), sources(&whole.body));

    let (whole, file) = downloads("effect = \"crlf\"").await;
    assert_eq!(
        String::from_utf8(file.body.to_vec()).unwrap().replace("\r\n", "\n").as_bytes(),
        &whole.body[..]
    );
    assert!(file.body.ends_with(b"\r\n"));
}

#[tokio::test]
async fn an_effect_on_records_strikes_only_files_that_can_show_it() {
    let range = ("2025-07-01", "2026-06-18");
    for (effect, csv, json, lines, activities) in [
        ("nulls", 0, 1, 1, 1),
        ("raw-separators", 0, 0, 0, 1),
        ("crlf", 0, 0, 1, 1),
        ("duplicates", 1, 1, 1, 1),
    ] {
        for (j23, more, fired) in [
            ("array", "", csv),
            ("array", r#","output_format":"JSON""#, json),
            ("lines", r#","output_format":"JSON""#, lines),
        ] {
            let switch = format!("[switches]\nj23 = \"{j23}\"\n");
            let plain = with(&switch).await;
            let whole = Client::new(&plain).await.export_contacts(range.0, range.1, more).await;
            let sim = with(&format!("{switch}{}", rule(&format!("effect = \"{effect}\"")))).await;
            let file = Client::new(&sim).await.export_contacts(range.0, range.1, more).await;
            assert_eq!(sim.fault_log().len(), fired, "{effect} {j23} {more}");
            assert_eq!(file.body != whole.body, fired > 0, "{effect} {j23} {more}");
        }
        let sim = with(&rule(&format!("effect = \"{effect}\""))).await;
        Client::new(&sim).await.export("snapshot", range.0, range.1).await;
        assert_eq!(sim.fault_log().len(), activities, "{effect}");
    }
}

#[tokio::test]
async fn nulls_of_contacts_stand_in_their_own_columns() {
    let sim = with(&rule("effect = \"nulls\"")).await;
    let json = r#","output_format":"JSON""#;
    let file = Client::new(&sim).await.export_contacts("2026-01-01", "2026-06-18", json).await;
    let contacts: Vec<Value> = serde_json::from_slice(&file.body).unwrap();
    let columns = |contact: &Value| contact.as_object().unwrap().len();
    assert!(contacts.iter().all(|contact| columns(contact) == columns(&contacts[0])), "every column in each");
    assert!(contacts.iter().any(|contact| contact["state"].is_null()));
}

#[tokio::test]
async fn separators_come_raw_where_they_were_escaped() {
    let plan = Faults::from_toml(&rule("effect = \"raw-separators\"")).unwrap();
    let sim = small().faults(plan).start().await.unwrap();
    let file = Client::new(&sim).await.export("snapshot", "2025-06-19", "2026-06-18").await;
    let text = String::from_utf8(file.body.to_vec()).unwrap();
    assert!(text.contains('\u{2028}') && text.contains('\u{85}') && !text.contains("\\u2028"));
}

#[tokio::test]
async fn gzip_comes_with_its_header_or_without() {
    for (effect, header) in [("gzip", Some("gzip")), ("gzip-unlabelled", None)] {
        let (whole, file) = downloads(&format!("effect = \"{effect}\"")).await;
        assert_eq!(file.header("content-encoding"), header);
        let mut text = Vec::new();
        flate2::read::GzDecoder::new(&file.body[..]).read_to_end(&mut text).unwrap();
        assert_eq!(text, whole.body);
    }
}

#[tokio::test]
async fn a_file_is_redirected_to_another_host_or_expired() {
    let (_, file) = downloads("effect = \"redirect\"").await;
    assert_eq!(file.status, 302);
    assert!(file.header("location").unwrap().starts_with("http://localhost:"));
    let (_, file) = downloads("effect = \"expired\"").await;
    assert_eq!(file.status, 404);
}

#[tokio::test]
async fn a_plan_is_put_in_force_while_it_runs_and_every_decision_is_logged() {
    let sim = small().start().await.unwrap();
    let client = Client::new(&sim).await;
    assert_eq!(client.post("/_sim/faults", "outage").await.json()["plan"], "outage");
    let mut failed = 0;
    while client.try_send("GET", JOBS, &[], "").await.is_none_or(|reply| reply.status != 200) {
        failed += 1;
    }
    assert_eq!(failed, 25, "the service is back after 25 calls");
    let log = client.get("/_sim/faults").await.json();
    assert_eq!(log["decisions"].as_array().unwrap().len(), 25);
    assert_eq!(log["decisions"][0]["seed"], 7);
    assert_eq!(client.post("/_sim/faults", "none").await.json()["rules"], 0);
    let switched = client.post("/_sim/faults", "[switches]\nj36 = \"number\"").await;
    assert_eq!(switched.status, 200);
    let body = r#"{"start_date":"2026-06-01","end_date":"2026-06-02","export_type":"delta"}"#;
    assert!(client.post(JOBS, body).await.json()["job_id"].is_u64(), "the plan's switches are set with it");
    assert_eq!(client.post("/_sim/faults", "[switches]\nj36 = \"roman\"").await.status, 400);
    assert_eq!(client.post("/_sim/faults", "[[rule]]\neffect = \"flood\"").await.status, 400);
    assert_eq!(client.post("/_sim/faults", "mayhem").await.status, 400);
}

/// A client that does as it always does, whatever comes, and everything that came to it, files included.
async fn history(sim: &Sim) -> Vec<Vec<u8>> {
    let mut client = Client { sim, bearer: None };
    let token = "grant_type=client_credentials&client_id=sim-key&client_secret=sim-secret";
    let mut history = Vec::new();
    let mut created = 0;
    for step in 0..300 {
        let body = r#"{"start_date":"2026-06-01","end_date":"2026-06-02","export_type":"delta"}"#;
        // Ids follow from the seed, so the client knows them even when the reply was lost.
        let first = sim.jobs().list().first().map_or(0, |job| job.id);
        let received = match step % 6 {
            0 => client.raw("POST", "/auth/v1/tokens", token).await,
            1 => client.raw("POST", JOBS, body).await,
            2 => client.raw("GET", JOBS, "").await,
            3 => client.raw("GET", &format!("{JOBS}/{}", first + created), "").await,
            4 => client.raw("GET", &format!("{JOBS}/{}/data", first + created), "").await,
            _ => client.raw("GET", &format!("{JOBS}/{}/data?fragment=0", first + created), "").await,
        };
        if step % 6 == 0
            && let Some(at) = received.windows(4).position(|bytes| bytes == b"\r\n\r\n")
            && let Ok(reply) = serde_json::from_slice::<Value>(&received[at + 4..])
            && let Some(given) = reply["access_token"].as_str()
        {
            client.bearer = Some(given.to_owned());
        }
        created = (sim.jobs().list().len() as u64).saturating_sub(1);
        history.push(received);
    }
    history
}

#[tokio::test(start_paused = true)]
async fn chaos_is_the_same_chaos_for_the_same_seed_on_two_ports_byte_for_byte() {
    let start = |seed| small().seed(seed).faults(Faults::preset("chaos").unwrap()).start();
    let (one, same, other) = (start(7).await.unwrap(), start(7).await.unwrap(), start(8).await.unwrap());
    let (first, second) = (history(&one).await, history(&same).await);
    assert!(one.fault_log().len() > 20, "{}", one.fault_log().len());
    for (step, (first, second)) in first.iter().zip(&second).enumerate() {
        let (first, second) = (String::from_utf8_lossy(first), String::from_utf8_lossy(second));
        assert!(first == second, "step {step}:\n{first}\n{second}");
    }
    assert_eq!(one.fault_log(), same.fault_log());
    assert_eq!(one.report(), same.report());
    assert_ne!(first, history(&other).await, "another seed, another chaos");
}
