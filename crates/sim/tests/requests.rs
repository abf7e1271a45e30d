//! Requests as clients may write them: encoded or raw, odd, malformed, too long.

mod support;

use support::{Client, small};

const JOBS: &str = "/pull/v1/export/activities/jobs";

#[tokio::test]
async fn raw_and_encoded_credentials_open_a_token_in_each_combination() {
    let key = backstory_sim::Key::new(backstory_sim::KeyType::Any, "k+1", "s3c%41et+x");
    let sim = small().key(key).start().await.unwrap();
    let client = Client { sim: &sim, bearer: None };
    for id in ["k+1", "k%2B1"] {
        for secret in ["s3c%41et+x", "s3c%2541et%2Bx"] {
            let form = format!("client_id={id}&client_secret={secret}");
            assert_eq!(client.post("/auth/v1/tokens", &form).await.status, 200, "{form}");
        }
    }
    assert_eq!(client.post("/auth/v1/tokens", "client_id=k+1&client_secret=s3cAet+x").await.status, 401);
}

#[tokio::test]
async fn names_and_values_of_a_token_call_are_decoded() {
    let sim = small().start().await.unwrap();
    let client = Client { sim: &sim, bearer: None };
    let call = async |form: &str| client.post("/auth/v1/tokens", form).await.status;
    let pair = "client_id=sim-key&client_secret=sim-secret";
    assert_eq!(call(&format!("grant_type=client%5Fcredentials&{pair}")).await, 200);
    assert_eq!(
        call("grant%5ftype=client_credentials&client%5Fid=sim-key&client%5Fsecret=sim-secret").await,
        200
    );
    assert_eq!(call(&format!("grant%5Ftype=password&{pair}")).await, 400);
    assert!(sim.report().findings.is_empty(), "{:?}", sim.report().findings);
}

#[tokio::test]
async fn paths_and_queries_are_decoded() {
    let sim = small().start().await.unwrap();
    let client = Client::new(&sim).await;
    let id = client.create("delta", "2026-06-01", "2026-06-07").await;
    let encoded: String = id.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let path = format!("/pull/v1/export/%61ctivities/jobs/{encoded}");
    assert_eq!(client.get(&path).await.json()["job_id"], id.as_str());
    let whole = client.get(&format!("{JOBS}/{id}/data")).await.body;
    for query in ["", "?fragment=%30", "?%66ragment=0", "?fragment=00"] {
        let file = client.get(&format!("{path}/d%61ta{query}")).await;
        assert_eq!((file.status, file.body == whole), (200, true), "{query}");
    }
    assert!(sim.report().findings.is_empty(), "{:?}", sim.report().findings);
    assert_eq!(client.get(&format!("{JOBS}/{id}%2Fdata")).await.status, 400, "an id that holds a slash");
    assert_eq!(sim.report().requests["GET /pull/v1/export/activities/jobs/{id}/data"][&200], 5);
}

#[tokio::test]
async fn a_fragment_that_is_no_number_is_malformed_and_one_beyond_the_last_is_not_found() {
    let sim = small().start().await.unwrap();
    let client = Client::new(&sim).await;
    let id = client.create("delta", "2026-06-01", "2026-06-07").await;
    for (query, status) in [
        ("fragment", 400),
        ("fragment=", 400),
        ("fragment=x", 400),
        ("fragment=-1", 400),
        ("fragment=+0", 400),
        ("fragment=1", 404),
        ("fragment=4294967296", 404),
        ("fragment=18446744073709551615", 404),
        ("fragment=18446744073709551616", 404),
        ("fragment=999999999999999999999999999999", 404),
    ] {
        assert_eq!(client.get(&format!("{JOBS}/{id}/data?{query}")).await.status, status, "{query}");
    }
}

#[tokio::test]
async fn an_unknown_path_is_found_though_the_rate_limit_or_a_fault_refuses_it() {
    let sim = small().rate_limit(true).start().await.unwrap();
    let client = Client::new(&sim).await;
    let mut refused = 0;
    for _ in 0..30 {
        refused += u64::from(client.get("/v9/strange").await.status == 429);
    }
    assert!(refused > 0);
    assert_eq!(sim.report().findings["GET /v9/strange"], 30);
    client.post("/_sim/faults", "[[rule]]\nroute = \"unknown\"\neffect = \"reset-before\"").await;
    assert!(client.try_send("GET", "/v9/stranger", &[], "").await.is_none());
    assert_eq!(sim.report().findings["GET /v9/stranger"], 1);
}

#[tokio::test]
async fn a_body_that_is_too_long_passes_what_every_request_has_to_pass() {
    let sim = small().start().await.unwrap();
    let mut client = Client::new(&sim).await;
    let body = "x".repeat(1024 * 1024 + 1);
    assert_eq!(client.post(JOBS, &body).await.status, 400);
    assert_eq!(client.send("GET", JOBS, &[], &body).await.status, 400);
    assert_eq!(client.post("/auth/v1/tokens", &body).await.json()["error"], "invalid_request");
    assert_eq!(client.post("/nowhere", &body).await.status, 404);
    assert_eq!(client.post("/_sim/clock", &body).await.status, 400);
    client.bearer = None;
    assert_eq!(client.post(JOBS, &body).await.status, 401);
    let report = sim.report();
    let create = &report.requests["POST /pull/v1/export/activities/jobs"];
    assert_eq!((create[&400], create[&401]), (1, 1));
    assert_eq!(report.findings["a body of more than 1 MiB"], 4);
    assert!(report.jobs_created.is_empty());
    let sim = small().rate_limit(true).start().await.unwrap();
    let client = Client::new(&sim).await;
    let mut statuses = Vec::new();
    for _ in 0..30 {
        statuses.push(client.post(JOBS, &body).await.status);
    }
    assert!(statuses.contains(&400) && statuses.contains(&429), "{statuses:?}");
}

#[tokio::test]
async fn odd_requests_are_played_as_the_contract_says_and_found() {
    let sim = small().start().await.unwrap();
    let client = Client::new(&sim).await;
    assert_eq!(client.get(&format!("{JOBS}?page=2")).await.status, 200);
    assert_eq!(client.send("GET", JOBS, &[("x-api-key", "k")], "").await.status, 200);
    assert_eq!(client.send("PATCH", JOBS, &[], "").await.status, 404);
    let body = r#"{"start_date":"2026-06-01","end_date":"2026-06-02","export_type":"delta","page_size":5}"#;
    assert_eq!(client.send("POST", JOBS, &[("content-type", "text/plain")], body).await.status, 200);
    assert_eq!(client.send("GET", JOBS, &[("output_format", "JSONLines")], "").await.status, 200);
    assert_eq!(client.send("GET", JOBS, &[], "{}").await.status, 200);
    let form = "client_id=sim-key&client_secret=sim-secret&scope=all";
    assert_eq!(client.post("/auth/v1/tokens", form).await.status, 200);
    let basic = Client { sim: &sim, bearer: None };
    assert_eq!(basic.send("GET", JOBS, &[("authorization", "Basic c2ltOnNpbQ==")], "").await.status, 401);
    let findings = sim.report().findings;
    for part in [
        "query parameter: page",
        "odd header: x-api-key",
        "odd header: output_format",
        "PATCH",
        "field in a create: page_size",
        "field in a token call: scope",
        "Content-Type",
        "GET with a body",
        "token call with an Authorization",
        "not a bearer token",
    ] {
        assert!(findings.keys().any(|finding| finding.contains(part)), "{part}: {findings:?}");
    }
    let before = findings.len();
    client.export("delta", "2026-06-01", "2026-06-02").await;
    assert_eq!(sim.report().findings.len(), before, "what is known is no finding");
}
