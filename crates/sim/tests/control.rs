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
