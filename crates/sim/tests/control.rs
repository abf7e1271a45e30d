//! The simulator's own paths: what they take, and what they refuse.

mod support;

use support::{Client, small};

#[tokio::test]
async fn the_clock_refuses_instants_that_it_cannot_show_and_stays_where_it_is() {
    for speed in [0.0, 1.0] {
        let sim = small().speed(speed).start().await.unwrap();
        let client = Client::new(&sim).await;
        for body in [
            r#"{"now":"1677-01-01"}"#,
            r#"{"now":"1950-01-01"}"#,
            r#"{"now":"1979-12-31T23:59:59Z"}"#,
            r#"{"now":"2096-01-01"}"#,
            r#"{"now":"9999-01-01"}"#,
            r#"{"advance":"80 years"}"#,
            r#"{"advance":"30000d"}"#,
            r#"{"advance":"-30000d"}"#,
            r#"{"advance":"7000000d"}"#,
            r#"{"now":"2095-12-31","advance":"1d"}"#,
        ] {
            let reply = client.post("/_sim/clock", body).await;
            assert_eq!(reply.status, 400, "{body}");
            let message = reply.json()["message"].as_str().unwrap().to_owned();
            assert!(message.ends_with("the years are 1980 to 2095") || body.contains("years"), "{message}");
        }
        assert_eq!(&sim.clock().now().to_string()[..10], "2026-06-18");
        assert_eq!(client.get("/_sim/clock").await.status, 200);
    }
}

#[tokio::test]
async fn a_clock_at_either_end_of_its_years_serves_on() {
    for end in ["1980-01-01T00:00:00Z", "2095-12-31T23:59:59Z"] {
        let sim = small().start().await.unwrap();
        let mut client = Client::new(&sim).await;
        let moved = client.post("/_sim/clock", &format!(r#"{{"now":"{end}"}}"#)).await;
        assert_eq!(moved.json()["now"], end);
        client.bearer = Some(client.token("/auth/v1/tokens", "sim-key").await);
        assert_eq!(client.export("snapshot", "2026-06-01", "2026-06-02").await.status, 200);
        assert_eq!(client.get("/_sim/truth/activities").await.status, 200);
    }
}

#[tokio::test]
async fn a_question_about_the_truth_that_is_misspelt_is_refused() {
    let sim = small().start().await.unwrap();
    let client = Client::new(&sim).await;
    let window = "/_sim/truth/window?from=2026-06-01&to=2026-06-07";
    for (path, part) in [
        ("/_sim/truth/activities?records=1".to_owned(), "true or false"),
        ("/_sim/truth/contacts?records".to_owned(), "true or false"),
        (format!("{window}&kind=contacts&type=email"), "contacts have none"),
        (format!("{window}&kind=delta&type=chat"), "email, meeting, call or all"),
        (format!("{window}&kind=delta&page=1"), "`page` is not known"),
    ] {
        let reply = client.get(&path).await;
        assert_eq!(reply.status, 400, "{path}");
        assert!(reply.json()["message"].as_str().unwrap().contains(part), "{reply:?}");
    }
    let counted = client.get("/_sim/truth/activities?records=false").await.json();
    assert_eq!(counted, client.get("/_sim/truth/activities").await.json());
    assert_eq!(client.get(&format!("{window}&kind=contacts&type=all")).await.status, 200);
}

#[tokio::test]
async fn a_window_may_be_wider_than_the_world() {
    let sim = small().start().await.unwrap();
    let client = Client::new(&sim).await;
    for kind in ["delta", "snapshot", "contacts"] {
        let count = async |from: &str, to: &str| {
            let path = format!("/_sim/truth/window?kind={kind}&from={from}&to={to}");
            client.get(&path).await.json()["count"].as_u64().unwrap()
        };
        let all = count("0001-01-01", "9999-12-31").await;
        assert_eq!(all, count("2022-01-01", "2028-12-31").await, "{kind}");
        assert!(all > 0 && count("9999-12-31", "0001-01-01").await == 0);
    }
}

#[tokio::test]
async fn storage_hands_out_files_to_get_only() {
    let sim = small().start().await.unwrap();
    let mut client = Client::new(&sim).await;
    let id = client.create("delta", "2026-06-01", "2026-06-07").await;
    client.bearer = None;
    let path = format!("/_sim/storage/activities/{id}");
    for (method, status) in [("GET", 200), ("POST", 404), ("PUT", 404), ("DELETE", 404)] {
        assert_eq!(client.send(method, &path, &[], "").await.status, status, "{method}");
    }
}
