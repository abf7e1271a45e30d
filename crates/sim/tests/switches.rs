//! Every switch, in each of its positions: what a client sees of it. A test at the end sees to it that no row is left out.

mod support;

use std::io::Read;
use std::time::Duration;

use backstory_sim::{Switch, WindowKind};
use jiff::SignedDuration;
use serde_json::Value;
use support::{Client, small, switched};

const JOBS: &str = "/pull/v1/export/activities/jobs";
const CONTACT_JOBS: &str = "/pull/v1/export/contacts/jobs";
const WEEK: (&str, &str) = ("2026-06-01", "2026-06-07");

/// The rows that a test below shows; the last test compares it with the table.
const SHOWN: &[&str] = &[
    "a3", "j1", "j2", "j3", "j4", "j6", "j7", "j9", "j11", "j13", "j14", "j15", "j16", "j17", "j18", "j19",
    "j20", "j21", "j22", "j23", "j24", "j26", "j29", "j30", "j31", "j32", "j33", "j35", "j36", "j38", "j41",
    "j42", "j43", "j44",
];

fn create(from: &str, to: &str) -> String {
    format!(r#"{{"start_date":"{from}","end_date":"{to}","export_type":"delta"}}"#)
}

fn records(body: &[u8]) -> Vec<Value> {
    std::str::from_utf8(body).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn a3_a_second_token_is_new_or_the_same() {
    for (value, same) in [("new", false), ("same", true)] {
        let sim = switched(&[&format!("a3={value}")]).await;
        let client = Client::new(&sim).await;
        let again = client.token("/auth/v1/tokens", "sim-key").await;
        assert_eq!(client.bearer.as_deref() == Some(&again), same);
        assert_eq!(client.get(JOBS).await.status, 200, "the old one lives on");
    }
}

#[tokio::test]
async fn j1_a_full_queue_is_refused_with_the_status() {
    for value in ["429", "400", "403", "409", "503"] {
        let sim = small()
            .job_time(Duration::from_secs(3_600))
            .switch(Switch::parse(&format!("j1={value}")).unwrap())
            .start()
            .await
            .unwrap();
        let client = Client::new(&sim).await;
        for _ in 0..12 {
            client.create("delta", WEEK.0, WEEK.1).await;
        }
        let refused = client.post(JOBS, &create(WEEK.0, WEEK.1)).await;
        assert_eq!(refused.status.to_string(), value);
        assert!(refused.json()["message"].as_str().unwrap().contains("limit"));
    }
}

#[tokio::test]
async fn j2_contacts_and_keys_share_the_pool_or_have_their_own() {
    for (value, contacts, other_key) in [
        ("organisation", "Queued", "Queued"),
        ("resource", "Running", "Queued"),
        ("key", "Queued", "Running"),
    ] {
        let sim = small()
            .job_time(Duration::from_secs(3_600))
            .switch(Switch::parse(&format!("j2={value}")).unwrap())
            .start()
            .await
            .unwrap();
        let mut client = Client::new(&sim).await;
        for _ in 0..2 {
            client.create("delta", WEEK.0, WEEK.1).await;
        }
        let body = format!(r#"{{"start_date":"{}","end_date":"{}"}}"#, WEEK.0, WEEK.1);
        assert_eq!(client.post(CONTACT_JOBS, &body).await.json()["state"], contacts);
        client.bearer = Some(client.token("/auth/v1/tokens", "sim-activity").await);
        assert_eq!(client.post(JOBS, &create(WEEK.0, WEEK.1)).await.json()["state"], other_key);
    }
}

#[tokio::test]
async fn j3_days_are_counted_as_switched() {
    for (value, fourteen, fifteen) in [("inclusive", 200, 400), ("exclusive", 200, 200), ("365", 200, 400)] {
        let sim = switched(&[&format!("j3={value}")]).await;
        let client = Client::new(&sim).await;
        assert_eq!(client.post(JOBS, &create("2026-06-01", "2026-06-14")).await.status, fourteen);
        assert_eq!(client.post(JOBS, &create("2026-06-01", "2026-06-15")).await.status, fifteen);
        let year = r#"{"start_date":"2025-06-01","end_date":"2026-06-01","export_type":"snapshot"}"#;
        assert_eq!(client.post(JOBS, year).await.status, if value == "365" { 400 } else { 200 });
    }
}

#[tokio::test]
async fn j4_contacts_have_a_year_or_14_days() {
    for (value, status) in [("year", 200), ("14-days", 400)] {
        let sim = switched(&[&format!("j4={value}")]).await;
        let client = Client::new(&sim).await;
        let body = r#"{"start_date":"2026-05-01","end_date":"2026-06-01"}"#;
        assert_eq!(client.post(CONTACT_JOBS, body).await.status, status);
    }
}

#[tokio::test]
async fn j6_contacts_jobs_are_listed_or_not() {
    for (value, status) in [("404", 404), ("array", 200)] {
        let sim = switched(&[&format!("j6={value}")]).await;
        let client = Client::new(&sim).await;
        client.export_contacts(WEEK.0, WEEK.1, "").await;
        let reply = client.get(CONTACT_JOBS).await;
        assert_eq!(reply.status, status);
        assert_eq!(reply.json().as_array().map(Vec::len), (status == 200).then_some(1));
    }
}

#[tokio::test]
async fn j7_the_list_has_the_order_and_the_shape() {
    for value in ["newest-first", "oldest-first", "jobs", "data"] {
        let sim = switched(&[&format!("j7={value}")]).await;
        let client = Client::new(&sim).await;
        let (first, second) =
            (client.create("delta", WEEK.0, WEEK.1).await, client.create("delta", WEEK.0, WEEK.1).await);
        assert!(first.parse::<u64>().unwrap() < second.parse::<u64>().unwrap(), "ids increase");
        let list = client.get(JOBS).await.json();
        let array = if value == "jobs" || value == "data" { &list[value] } else { &list };
        let ids: Vec<&str> =
            array.as_array().unwrap().iter().map(|job| job["job_id"].as_str().unwrap()).collect();
        if value == "oldest-first" {
            assert_eq!(ids, [first, second]);
        } else {
            assert_eq!(ids, [second, first]);
        }
    }
}

#[tokio::test]
async fn j9_early_data_is_refused_with_the_status() {
    for value in ["404", "400", "409", "425", "200"] {
        let sim = small()
            .job_time(Duration::from_secs(3_600))
            .switch(Switch::parse(&format!("j9={value}")).unwrap())
            .start()
            .await
            .unwrap();
        let client = Client::new(&sim).await;
        let reply = client.export("delta", WEEK.0, WEEK.1).await;
        assert_eq!(reply.status.to_string(), value);
        assert_eq!(reply.body.is_empty(), value == "200");
    }
}

#[tokio::test]
async fn j11_an_old_file_is_not_found_or_gone() {
    for value in ["404", "410"] {
        let sim = switched(&[&format!("j11={value}")]).await;
        let mut client = Client::new(&sim).await;
        let id = client.create("delta", WEEK.0, WEEK.1).await;
        sim.clock().advance(SignedDuration::from_hours(241));
        client.bearer = Some(client.token("/auth/v1/tokens", "sim-key").await);
        assert_eq!(client.get(&format!("{JOBS}/{id}/data")).await.status.to_string(), value);
    }
}

#[tokio::test]
async fn j13_fragments_are_counted_from_0_or_1() {
    for (value, zero) in [("0", 200), ("1", 404)] {
        let sim = switched(&[&format!("j13={value}")]).await;
        let client = Client::new(&sim).await;
        let id = client.create("delta", WEEK.0, WEEK.1).await;
        assert_eq!(client.get(&format!("{JOBS}/{id}/data?fragment=0")).await.status, zero);
        assert_eq!(client.get(&format!("{JOBS}/{id}/data?fragment=1")).await.status, 604 - zero);
    }
}

#[tokio::test]
async fn j14_a_small_file_has_1_or_0_or_no_fragments() {
    for (value, fragments) in [("1", Some(1)), ("0", Some(0)), ("absent", None)] {
        let sim = switched(&[&format!("j14={value}")]).await;
        let client = Client::new(&sim).await;
        let id = client.create("delta", WEEK.0, WEEK.1).await;
        assert_eq!(client.get(&format!("{JOBS}/{id}")).await.json()["fragments"].as_u64(), fragments);
    }
    let sim = small().activities(0).start().await.unwrap();
    let client = Client::new(&sim).await;
    let id = client.create("delta", WEEK.0, WEEK.1).await;
    assert_eq!(client.get(&format!("{JOBS}/{id}")).await.json()["fragments"], 0, "an empty file has none");
}

#[tokio::test]
async fn j15_the_header_is_in_each_fragment_or_in_the_first() {
    for (value, headers) in [("each", 2), ("first", 1)] {
        let sim = small()
            .records_per_fragment(60)
            .switch(Switch::parse(&format!("j15={value}")).unwrap())
            .start()
            .await
            .unwrap();
        let client = Client::new(&sim).await;
        let whole = client.export_contacts("2025-07-01", "2026-06-18", "").await.body;
        let id = sim.report().jobs_created.len();
        assert_eq!(id, 1);
        let body = r#"{"start_date":"2025-07-01","end_date":"2026-06-18","include_historical":true,"include_existing":true}"#;
        let job = client.post(CONTACT_JOBS, body).await.json();
        let path =
            |fragment| format!("{CONTACT_JOBS}/{}/data?fragment={fragment}", job["job_id"].as_str().unwrap());
        let (first, second) = (client.get(&path(0)).await.body, client.get(&path(1)).await.body);
        let count = [&first, &second].iter().filter(|part| part.starts_with(b"first_name,")).count();
        assert_eq!(count, headers);
        assert!(whole.starts_with(&first));
    }
}

#[tokio::test]
async fn j16_results_size_is_bytes_or_records() {
    for value in ["bytes", "records"] {
        let sim = switched(&[&format!("j16={value}")]).await;
        let client = Client::new(&sim).await;
        let id = client.create("delta", WEEK.0, WEEK.1).await;
        let size = client.get(&format!("{JOBS}/{id}")).await.json()["results_size"].as_u64().unwrap();
        let file = client.get(&format!("{JOBS}/{id}/data")).await.body;
        let expected = if value == "bytes" { file.len() } else { records(&file).len() };
        assert_eq!(size, expected as u64);
    }
}

#[tokio::test]
async fn j17_an_empty_result_is_200_or_204() {
    for value in ["200", "204"] {
        let sim = small()
            .activities(0)
            .contacts(0)
            .switch(Switch::parse(&format!("j17={value}")).unwrap())
            .start()
            .await
            .unwrap();
        let client = Client::new(&sim).await;
        let file = client.export("delta", WEEK.0, WEEK.1).await;
        assert_eq!((file.status.to_string().as_str(), file.body.len()), (value, 0));
        let csv = client.export_contacts(WEEK.0, WEEK.1, "").await;
        assert_eq!(csv.status.to_string(), value);
        assert_eq!(csv.body.starts_with(b"first_name,"), value == "200", "a header is all");
        let job = sim.jobs().list()[0].id;
        for fragment in [0, 7] {
            let part = client.get(&format!("{JOBS}/{job}/data?fragment={fragment}")).await;
            assert_eq!(part.status, 404, "an empty file has no fragments");
        }
    }
}

#[tokio::test]
async fn j18_gzip_is_sent_when_it_is_asked_for_and_switched() {
    for (value, gzip) in [("none", false), ("gzip", true)] {
        let sim = switched(&[&format!("j18={value}")]).await;
        let client = Client::new(&sim).await;
        let id = client.create("snapshot", "2026-01-01", "2026-06-18").await;
        let path = format!("{JOBS}/{id}/data");
        let plain = client.get(&path).await;
        assert_eq!(plain.header("content-encoding"), None);
        let asked = client.send("GET", &path, &[("accept-encoding", "br, gzip")], "").await;
        assert_eq!(asked.header("content-encoding"), gzip.then_some("gzip"));
        if gzip {
            let mut text = Vec::new();
            flate2::read::GzDecoder::new(&asked.body[..]).read_to_end(&mut text).unwrap();
            assert!(asked.body.len() * 2 < text.len());
            assert_eq!(text, plain.body);
        } else {
            assert_eq!(asked.body, plain.body);
        }
        assert_eq!(plain.header("vary"), gzip.then_some("Accept-Encoding"));
        let starred = client.send("GET", &path, &[("accept-encoding", "*")], "").await;
        assert_eq!(starred.header("content-encoding"), gzip.then_some("gzip"));
        let refused = client.send("GET", &path, &[("accept-encoding", "gzip;q=0, identity")], "").await;
        assert_eq!((refused.header("content-encoding"), &refused.body), (None, &plain.body));
    }
}

#[tokio::test]
async fn j19_a_range_is_ignored_or_honoured() {
    for value in ["ignore", "206"] {
        let sim = small()
            .records_per_fragment(40)
            .switch(Switch::parse(&format!("j19={value}")).unwrap())
            .start()
            .await
            .unwrap();
        let client = Client::new(&sim).await;
        let id = client.create("snapshot", "2026-01-01", "2026-06-18").await;
        let path = format!("{JOBS}/{id}/data");
        let whole = client.get(&path).await.body;
        for start in [0, 1, whole.len() / 3, whole.len() / 2, whole.len() - 1] {
            let range = format!("bytes={start}-");
            let part = client.send("GET", &path, &[("range", &range)], "").await;
            if value == "206" {
                assert_eq!(part.status, 206);
                let stated = format!("bytes {start}-{}/{}", whole.len() - 1, whole.len());
                assert_eq!(part.header("content-range"), Some(stated.as_str()));
                assert_eq!(part.body, whole[start..]);
            } else {
                assert_eq!((part.status, &part.body), (200, &whole));
            }
        }
    }
}

#[tokio::test]
async fn j19_a_range_of_a_file_or_a_fragment_is_honoured_as_http_has_it() {
    let sim =
        small().records_per_fragment(40).switch(Switch::parse("j19=206").unwrap()).start().await.unwrap();
    let client = Client::new(&sim).await;
    let body = r#"{"start_date":"2026-01-01","end_date":"2026-06-18","include_historical":true,"include_existing":true}"#;
    let contacts = client.post(CONTACT_JOBS, body).await.json()["job_id"].as_str().unwrap().to_owned();
    let activities = client.create("snapshot", "2026-01-01", "2026-06-18").await;
    for path in [
        format!("{JOBS}/{activities}/data"),
        format!("{JOBS}/{activities}/data?fragment=1"),
        format!("{CONTACT_JOBS}/{contacts}/data?fragment=0"),
        format!("{CONTACT_JOBS}/{contacts}/data?fragment=1"),
    ] {
        let whole = client.get(&path).await.body;
        let size = whole.len();
        for (range, start, end) in [
            ("bytes=-5".to_owned(), size - 5, size),
            ("Bytes=0-9".to_owned(), 0, 10),
            (format!("bytes=300-{}", size / 2), 300, size / 2 + 1),
            (format!("bytes={}-", size / 2), size / 2, size),
        ] {
            let part = client.send("GET", &path, &[("range", &range)], "").await;
            assert_eq!((part.status, part.cut), (206, false), "{path} {range}");
            let stated = format!("bytes {start}-{}/{size}", end - 1);
            assert_eq!(part.header("content-range"), Some(stated.as_str()));
            assert_eq!(part.header("content-length"), Some((end - start).to_string().as_str()));
            assert!(part.body == whole[start..end], "{path} {range}");
        }
        let beyond = client.send("GET", &path, &[("range", &format!("bytes={size}-"))], "").await;
        assert_eq!(beyond.status, 416);
        assert_eq!(beyond.header("content-range"), Some(format!("bytes */{size}").as_str()));
        assert_eq!(beyond.json()["error"], "RangeNotSatisfiableException");
        let conditional = [("range", "bytes=5-"), ("if-range", "\"an-etag\"")];
        for headers in [&conditional[..], &[("range", "bytes=0-1,4-5")]] {
            let all = client.send("GET", &path, headers, "").await;
            assert_eq!((all.status, all.body == whole), (200, true), "{path} {headers:?}");
        }
    }
}

#[tokio::test]
async fn j20_the_length_is_stated_or_not() {
    for value in ["chunked", "length"] {
        let sim = switched(&[&format!("j20={value}")]).await;
        let file = Client::new(&sim).await.export("delta", WEEK.0, WEEK.1).await;
        let length = file.body.len().to_string();
        assert_eq!(file.header("content-length"), (value == "length").then_some(length.as_str()));
        // Of fragments as well, a repeated header counted.
        let sim = small()
            .records_per_fragment(10)
            .switch(Switch::parse(&format!("j20={value}")).unwrap())
            .start()
            .await
            .unwrap();
        let client = Client::new(&sim).await;
        client.export_contacts("2026-04-01", "2026-06-18", "").await;
        for fragment in 0..2 {
            let job = sim.jobs().list()[0].id;
            let part = client.get(&format!("{CONTACT_JOBS}/{job}/data?fragment={fragment}")).await;
            let length = part.body.len().to_string();
            assert!(part.status == 200 && !part.cut);
            assert_eq!(part.header("content-length"), (value == "length").then_some(length.as_str()));
        }
    }
}

#[tokio::test]
async fn j21_the_last_chunk_is_sent_or_missing() {
    let whole = Client::new(&switched(&[]).await).await.export("delta", WEEK.0, WEEK.1).await;
    for (value, cut) in [("sent", false), ("missing", true)] {
        let sim = switched(&[&format!("j21={value}")]).await;
        let file = Client::new(&sim).await.export("delta", WEEK.0, WEEK.1).await;
        assert_eq!(file.cut, cut);
        assert_eq!(file.body, whole.body, "all of the data came");
    }
}

#[tokio::test]
async fn j22_data_is_sent_or_redirected_to_another_host() {
    for (value, status) in [("none", 200), ("302", 302)] {
        let sim = switched(&[&format!("j22={value}")]).await;
        let mut client = Client::new(&sim).await;
        let file = client.export("delta", WEEK.0, WEEK.1).await;
        assert_eq!(file.status, status);
        if value == "302" {
            let location = file.header("location").unwrap();
            assert!(location.starts_with("http://localhost:"));
            let path = location.splitn(4, '/').last().unwrap();
            client.bearer = None;
            let stored = client.get(&format!("/{path}")).await;
            assert_eq!(stored.status, 200);
            assert!(sim.report().findings.is_empty());
            client.bearer = Some("given-away".to_owned());
            client.get(&format!("/{path}")).await;
            assert_eq!(sim.report().findings.len(), 1, "a token that is sent there is a finding");
        }
    }
}

#[tokio::test]
async fn j23_json_is_an_array_an_object_or_lines() {
    for value in ["array", "object", "lines"] {
        let sim = switched(&[&format!("j23={value}")]).await;
        let client = Client::new(&sim).await;
        let file = client.export_contacts("2026-01-01", "2026-06-18", r#","output_format":"JSON""#).await;
        let contacts: Vec<Value> = match value {
            "array" => serde_json::from_slice(&file.body).unwrap(),
            "object" => {
                let object: Value = serde_json::from_slice(&file.body).unwrap();
                object["data"].as_array().unwrap().clone()
            }
            _ => records(&file.body),
        };
        assert!(contacts.len() > 20);
    }
}

#[tokio::test]
async fn j24_records_are_sorted_shuffled_or_duplicated() {
    for value in ["sorted", "shuffled", "duplicated"] {
        let sim = switched(&[&format!("j24={value}")]).await;
        let client = Client::new(&sim).await;
        let file = records(&client.export("delta", "2026-06-01", "2026-06-14").await.body);
        let times: Vec<&str> =
            file.iter().map(|record| &record["timestamp"].as_str().unwrap()[..19]).collect();
        assert_eq!(times.is_sorted(), value != "shuffled");
        let (from, to) = ("2026-06-01".parse().unwrap(), "2026-06-14".parse().unwrap());
        let due = sim.truth().window(WindowKind::Delta, None, from, to, sim.clock().now()).count;
        assert_eq!(file.len() as u64 == due, value != "duplicated");
    }
}

#[tokio::test]
async fn j24_a_shuffled_file_mixes_its_days_and_is_the_same_in_fragments() {
    let start = |seed| {
        let switch = Switch::parse("j24=shuffled").unwrap();
        small().seed(seed).records_per_fragment(40).switch(switch).start()
    };
    let mut files = Vec::new();
    for seed in [7, 7, 8] {
        let sim = start(seed).await.unwrap();
        let client = Client::new(&sim).await;
        let id = client.create("snapshot", "2026-03-01", "2026-06-18").await;
        let job = client.get(&format!("{JOBS}/{id}")).await.json();
        let whole = client.get(&format!("{JOBS}/{id}/data")).await.body;
        assert_eq!(job["results_size"].as_u64(), Some(whole.len() as u64));
        let mut joined = Vec::new();
        for fragment in 0..job["fragments"].as_u64().unwrap() {
            joined.extend(client.get(&format!("{JOBS}/{id}/data?fragment={fragment}")).await.body);
        }
        assert!(joined == whole);
        let file = records(&whole);
        let mut days: Vec<&str> =
            file.iter().map(|record| &record["timestamp"].as_str().unwrap()[..10]).collect();
        days.dedup();
        let back = days.windows(2).filter(|pair| pair[0] > pair[1]).count();
        assert!(back > days.len() / 4, "{days:?}");
        files.push(days.iter().map(|day| (*day).to_owned()).collect::<Vec<_>>());
    }
    assert_eq!(files[0], files[1]);
    assert_ne!(files[0], files[2], "another seed, another order");
}

#[tokio::test]
async fn j26_a_future_end_is_allowed_or_refused() {
    for (value, status) in [("allowed", 200), ("future-400", 400)] {
        let sim = switched(&[&format!("j26={value}")]).await;
        let client = Client::new(&sim).await;
        assert_eq!(client.post(JOBS, &create("2026-06-15", "2026-06-18")).await.status, 200, "today");
        assert_eq!(client.post(JOBS, &create("2026-06-15", "2026-06-19")).await.status, status);
    }
}

#[tokio::test]
async fn j29_a_key_of_another_type_is_refused_with_the_status() {
    for value in ["403", "401", "404"] {
        let sim = switched(&[&format!("j29={value}")]).await;
        let mut client = Client::new(&sim).await;
        client.bearer = Some(client.token("/auth/v1/tokens", "sim-object").await);
        assert_eq!(client.get(JOBS).await.status.to_string(), value);
    }
}

#[tokio::test]
async fn j30_tokens_of_a_paused_key_die_or_live_on() {
    for (value, status) in [("dead", 401), ("live", 200)] {
        let sim = switched(&[&format!("j30={value}")]).await;
        let client = Client::new(&sim).await;
        assert!(sim.keys().pause("sim-key"));
        assert_eq!(client.get(JOBS).await.status, status);
        let body = "client_id=sim-key&client_secret=sim-secret";
        assert_eq!(client.post("/auth/v1/tokens", body).await.status, 401);
        client.post("/_sim/keys", r#"{"unpause":"sim-key"}"#).await;
        assert_eq!(client.get(JOBS).await.status, 200);
    }
}

#[tokio::test]
async fn j31_a_refused_token_call_has_the_body() {
    for value in ["message", "description", "html"] {
        let sim = switched(&[&format!("j31={value}")]).await;
        let client = Client { sim: &sim, bearer: None };
        let reply = client.post("/auth/v1/tokens", "client_id=sim-key&client_secret=wrong").await;
        assert_eq!(reply.status, 401);
        match value {
            "message" => assert!(reply.json()["message"].is_string()),
            "description" => assert!(reply.json()["error_description"].is_string()),
            _ => assert!(reply.body.starts_with(b"<html>")),
        }
    }
}

#[tokio::test]
async fn j32_the_other_endpoints_token_is_rejected_or_accepted() {
    for (value, status) in [("rejected", 401), ("accepted", 200)] {
        let sim = switched(&[&format!("j32={value}")]).await;
        let mut client = Client::new(&sim).await;
        client.bearer = Some(client.token("/v3/auth/tokens", "sim-key").await);
        assert_eq!(client.get(JOBS).await.status, status);
    }
}

#[tokio::test]
async fn j33_a_new_job_is_visible_hidden_or_stateless() {
    for value in ["visible", "hidden:3600", "stateless:3600"] {
        let sim = switched(&[&format!("j33={value}")]).await;
        let client = Client::new(&sim).await;
        let id = client.create("delta", WEEK.0, WEEK.1).await;
        let reply = client.get(&format!("{JOBS}/{id}")).await;
        assert_eq!(reply.status, if value == "hidden:3600" { 404 } else { 200 });
        assert_eq!(reply.json()["state"].is_string(), value == "visible");
        sim.clock().set_speed(1.0);
        sim.clock().advance(SignedDuration::from_secs(3_601));
        assert_eq!(client.get(&format!("{JOBS}/{id}")).await.json()["state"], "Completed");
    }
}

#[tokio::test]
async fn j35_jobs_end_or_are_stuck() {
    for (value, state) in [("never", "Completed"), ("queued", "Queued"), ("running", "Running")] {
        let sim = switched(&[&format!("j35={value}")]).await;
        let client = Client::new(&sim).await;
        let id = client.create("delta", WEEK.0, WEEK.1).await;
        assert_eq!(client.get(&format!("{JOBS}/{id}")).await.json()["state"], state);
    }
}

#[tokio::test]
async fn j36_job_ids_are_strings_or_numbers() {
    for value in ["string", "number"] {
        let sim = switched(&[&format!("j36={value}")]).await;
        let client = Client::new(&sim).await;
        let id = client.post(JOBS, &create(WEEK.0, WEEK.1)).await.json()["job_id"].clone();
        assert_eq!(id.is_string(), value == "string");
        assert_eq!(id.is_u64(), value == "number");
    }
}

#[tokio::test]
async fn j38_the_csv_is_plain_has_a_bom_or_title_booleans() {
    for value in ["plain", "bom", "title-booleans"] {
        let sim = switched(&[&format!("j38={value}")]).await;
        let client = Client::new(&sim).await;
        let csv = client.export_contacts("2026-01-01", "2026-06-18", "").await.body;
        let text = std::str::from_utf8(&csv).unwrap();
        assert_eq!(text.starts_with('\u{feff}'), value == "bom");
        assert_eq!(text.contains(",False,"), value == "title-booleans");
        assert_eq!(text.contains(",false,"), value != "title-booleans");
    }
}

#[tokio::test]
async fn j41_ingest_timestamp_is_that_of_the_processing_or_of_the_first() {
    let mut earlier = Vec::new();
    for value in ["processing", "first"] {
        let sim = switched(&[&format!("j41={value}")]).await;
        let file = records(&Client::new(&sim).await.export("delta", "2026-06-01", "2026-06-14").await.body);
        let before = |record: &&Value| record["ingest_timestamp"].as_str().unwrap() < "2026-06-01";
        earlier.push(file.iter().filter(before).count());
    }
    assert_eq!(earlier[0], 0);
    assert!(earlier[1] > 0);
}

#[tokio::test]
async fn j42_a_delta_shows_the_state_at_the_start_or_at_the_processing() {
    let mut later = Vec::new();
    for value in ["start", "processing"] {
        let sim = switched(&[&format!("j42={value}")]).await;
        let file = records(&Client::new(&sim).await.export("delta", "2026-05-01", "2026-05-14").await.body);
        let after = |record: &&Value| &record["ingest_timestamp"].as_str().unwrap()[..10] > "2026-05-14";
        later.push(file.iter().filter(after).count());
    }
    assert!(later[0] > 0);
    assert_eq!(later[1], 0);
}

#[tokio::test]
async fn j43_a_delta_holds_a_record_once_or_once_per_processing() {
    let mut counts = Vec::new();
    for value in ["once", "each"] {
        let sim = switched(&[&format!("j43={value}")]).await;
        let file = records(&Client::new(&sim).await.export("delta", "2026-05-01", "2026-05-14").await.body);
        let mut ids: Vec<String> = file.iter().map(|record| record["source_id"].to_string()).collect();
        ids.sort();
        let all = ids.len();
        ids.dedup();
        assert_eq!(ids.len() == all, value == "once");
        counts.push(all);
    }
    assert!(counts[1] > counts[0]);
}

#[tokio::test]
async fn j44_a_record_stays_under_every_day_or_under_the_latest() {
    let mut counts = Vec::new();
    for value in ["every", "latest"] {
        let sim = switched(&[&format!("j44={value}")]).await;
        let file = records(&Client::new(&sim).await.export("delta", "2026-05-01", "2026-05-14").await.body);
        let after = |record: &&Value| &record["ingest_timestamp"].as_str().unwrap()[..10] > "2026-05-14";
        assert_eq!(file.iter().filter(after).count() > 0, value == "every");
        counts.push(file.len());
    }
    assert!(counts[1] < counts[0]);
}

#[tokio::test]
async fn switches_are_listed_and_set_while_it_runs() {
    let sim = small().start().await.unwrap();
    let client = Client::new(&sim).await;
    let rows = client.post("/_sim/switches", r#"{"j36":"number","j33":"hidden:5"}"#).await.json();
    let value = |row: &str| {
        let found = rows.as_array().unwrap().iter().find(|known| known["row"] == row).unwrap();
        found["value"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        (value("j36").as_str(), value("j33").as_str(), value("j1").as_str()),
        ("number", "hidden:5", "429")
    );
    let refused = client.post("/_sim/switches", r#"{"j36":"roman"}"#).await;
    assert_eq!(refused.status, 400);
    assert!(refused.json()["message"].as_str().unwrap().contains("string or number"));
}

#[test]
fn every_row_with_alternatives_has_a_switch_and_every_switch_a_test() {
    let rows: Vec<&str> = Switch::list().iter().map(|row| row.row).collect();
    assert_eq!(rows, SHOWN, "a row without a test, or a test without a row");
    let tests = include_str!("switches.rs");
    for row in rows {
        assert!(tests.contains(&format!("async fn {row}_")), "no test is named after {row}");
    }
    // Rows of the contract's table whose middle column offers a choice.
    let contract = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/contract.md");
    let contract = std::fs::read_to_string(contract).expect("the contract beside the crates");
    for line in contract.lines().filter(|line| line.starts_with("| ") && line.contains("switch")) {
        let number = line[2..].split(' ').next().unwrap();
        if number.chars().all(|c| c.is_ascii_digit()) {
            assert!(SHOWN.contains(&format!("j{number}").as_str()), "row {number} offers a switch: {line}");
        }
    }
}
