//! Effects on a body that switches change too: compressed, a range, with its length.

mod support;

use std::io::Read;

use backstory_sim::Faults;
use bytes::Bytes;
use support::{Client, Reply, small};

const JOBS: &str = "/pull/v1/export/activities/jobs";
const WEEK: (&str, &str) = ("2026-06-01", "2026-06-07");

fn rule(text: &str) -> String {
    format!("[[rule]]\n{text}")
}

/// The week as it is without either.
async fn whole() -> Bytes {
    let sim = small().start().await.unwrap();
    Client::new(&sim).await.export("delta", WEEK.0, WEEK.1).await.body
}

/// A download of the week under some switches and a fault, with some headers.
async fn asked(switches: &str, effect: &str, headers: &[(&str, &str)]) -> Reply {
    let plan = Faults::from_toml(&format!("[switches]\n{switches}\n{}", rule(effect))).unwrap();
    let sim = small().faults(plan).start().await.unwrap();
    let client = Client::new(&sim).await;
    let id = client.create("delta", WEEK.0, WEEK.1).await;
    let reply = client.send("GET", &format!("{JOBS}/{id}/data"), headers, "").await;
    assert_eq!(sim.fault_log().len(), 1);
    reply
}

#[tokio::test]
async fn a_compressed_body_breaks_off_where_the_file_would() {
    let whole = whole().await;
    for (effect, kept, cut) in [
        ("effect = \"cut\"\nat_byte = 5000\nclose = \"fin\"", 5_000, true),
        ("effect = \"short\"\nat_byte = 5000\nclose = \"fin\"", 5_000, true),
        ("effect = \"torn\"\nat_byte = 5000", 5_000, false),
        ("effect = \"no-last-chunk\"", whole.len(), true),
    ] {
        let file = asked("j18 = \"gzip\"", effect, &[("accept-encoding", "gzip")]).await;
        assert_eq!((file.header("content-encoding"), file.cut), (Some("gzip"), cut), "{effect}");
        let mut text = Vec::new();
        let read = flate2::read::GzDecoder::new(&file.body[..]).read_to_end(&mut text);
        assert_eq!(read.is_err(), kept < whole.len(), "{effect}");
        assert!(text == whole[..kept], "{effect}: {} bytes", text.len());
    }
    let long = asked("j18 = \"gzip\"", "effect = \"long\"", &[("accept-encoding", "gzip")]).await;
    assert_eq!(long.header("content-length"), Some(whole.len().to_string().as_str()));
}

#[tokio::test]
async fn a_range_breaks_off_within_itself() {
    let whole = whole().await;
    let start = whole.len() - 3_000;
    let range = format!("bytes={start}-{}", start + 999);
    for (effect, kept, cut) in [
        ("effect = \"cut\"\nat_byte = 600\nclose = \"fin\"", Some(600), true),
        ("effect = \"short\"\nat_byte = 600\nclose = \"fin\"", Some(600), true),
        ("effect = \"cut\"\nclose = \"fin\"", None, true),
        ("effect = \"torn\"\nat_byte = 600", Some(600), false),
        ("effect = \"no-last-chunk\"", Some(1_000), true),
    ] {
        let file = asked("j19 = 206", effect, &[("range", &range)]).await;
        assert_eq!((file.status, file.cut), (206, cut), "{effect}");
        let kept = kept.unwrap_or(file.body.len());
        assert!(kept < 1_000 || effect.contains("last"));
        assert!(file.body == whole[start..start + kept], "{effect}: {} bytes", file.body.len());
    }
}

#[tokio::test]
async fn a_position_beyond_the_end_is_that_of_the_last_byte() {
    let whole = whole().await;
    for effect in ["cut", "short", "torn"] {
        let file = asked("", &format!("effect = \"{effect}\"\nat_byte = 100000000"), &[]).await;
        assert_eq!(file.cut, effect != "torn");
        if !file.cut {
            assert_eq!(file.body, whole[..whole.len() - 1]);
        }
    }
    for effect in ["cut", "short", "no-last-chunk"] {
        let plan = Faults::from_toml(&rule(&format!("effect = \"{effect}\"\nclose = \"fin\""))).unwrap();
        let sim = small().activities(0).faults(plan).start().await.unwrap();
        let file = Client::new(&sim).await.export("delta", WEEK.0, WEEK.1).await;
        assert!(file.cut && file.body.is_empty(), "an empty file breaks off too: {effect}");
    }
}

#[tokio::test]
async fn a_twisted_file_is_measured_as_it_is_sent() {
    for effect in ["nulls", "crlf"] {
        let effect = format!("effect = \"{effect}\"");
        let file = asked("j20 = \"length\"", &effect, &[]).await;
        assert_eq!(file.header("content-length"), Some(file.body.len().to_string().as_str()));
        let part = asked("j19 = 206", &effect, &[("range", "bytes=-2000")]).await;
        assert!(part.status == 206 && file.body.ends_with(&part.body) && part.body.len() == 2_000);
    }
}
