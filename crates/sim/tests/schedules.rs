//! Random schedules of clients, clock jumps and faults: the limits hold at every step, every job is accounted for, and
//! what was delivered, merged by the short reference merge below, is the truth.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::time::Duration;

use backstory_sim::{Faults, Sim};
use jiff::SignedDuration;
use jiff::civil::Date;
use proptest::prelude::*;
use serde_json::Value;
use support::{Client, Reply};

const JOBS: &str = "/pull/v1/export/activities/jobs";
const TOKEN: &str = "grant_type=client_credentials&client_id=sim-key&client_secret=sim-secret";
const START: &str = "2026-06-18T12:00:00Z";

#[derive(Clone, Debug)]
enum Step {
    CreateDelta { ago: i64, days: i64 },
    CreateSnapshot { ago: i64, days: i64 },
    Advance { minutes: i64 },
    List,
    Download { job: usize },
    Faults { chaos: bool },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..30_i64, 1..14_i64).prop_map(|(ago, days)| Step::CreateDelta { ago, days }),
        2 => (-300..900_i64, 1..365_i64).prop_map(|(ago, days)| Step::CreateSnapshot { ago, days }),
        3 => prop_oneof![1..5_i64, 1..4_000_i64].prop_map(|minutes| Step::Advance { minutes }),
        2 => Just(Step::List),
        4 => (0..40_usize).prop_map(|job| Step::Download { job }),
        1 => any::<bool>().prop_map(|chaos| Step::Faults { chaos }),
    ]
}

/// The reference merge: of each record the version that was processed last, and of equal ones the later delivery.
#[derive(Default)]
struct Merged(BTreeMap<String, (String, usize, Value)>);

impl Merged {
    fn add(&mut self, delivery: usize, file: &[u8]) {
        for line in std::str::from_utf8(file).unwrap().split('\n').filter(|line| !line.is_empty()) {
            let mut record: Value = serde_json::from_str(line).unwrap();
            // A null is an absent key.
            record.as_object_mut().unwrap().retain(|_, value| !value.is_null());
            let key = match record["uid"].as_str() {
                Some(uid) => uid.to_owned(),
                None => format!("{}/{}", record["type"], record["source_id"]),
            };
            let ingested = record["ingest_timestamp"].as_str().unwrap()[..19].to_owned();
            let newer = self.0.get(&key).is_none_or(|(at, from, _)| (&ingested, delivery) >= (at, *from));
            if newer {
                self.0.insert(key, (ingested, delivery, record));
            }
        }
    }

    fn records(&self) -> BTreeSet<String> {
        self.0.values().map(|(_, _, record)| record.to_string()).collect()
    }
}

/// A client that is as stubborn as it has to be.
struct Stubborn<'a> {
    client: Client<'a>,
    jobs: Vec<String>,
    merged: Merged,
}

impl Stubborn<'_> {
    async fn call(&mut self, method: &str, path: &str, body: &str) -> Option<Reply> {
        for _ in 0..40 {
            if self.client.bearer.is_none()
                && let Some(reply) = self.client.try_send("POST", "/auth/v1/tokens", &[], TOKEN).await
                && reply.status == 200
            {
                self.client.bearer = Some(reply.json()["access_token"].as_str().unwrap().to_owned());
            }
            match self.client.try_send(method, path, &[], body).await {
                Some(reply) if reply.status == 401 => self.client.bearer = None,
                Some(reply) if reply.status >= 500 || reply.cut => {}
                Some(reply) => return Some(reply),
                None if method == "POST" => return None,
                None => {}
            }
        }
        panic!("{method} {path} never succeeded");
    }

    async fn create(&mut self, kind: &str, from: Date, to: Date) -> Option<String> {
        let body = format!(r#"{{"start_date":"{from}","end_date":"{to}","export_type":"{kind}"}}"#);
        let reply = self.call("POST", JOBS, &body).await?;
        if reply.status == 429 {
            return None;
        }
        assert_eq!(reply.status, 200, "{reply:?}");
        let id = reply.json()["job_id"].as_str().unwrap().to_owned();
        self.jobs.push(id.clone());
        Some(id)
    }

    /// Downloads and merges; false when there is nothing to download (any more).
    async fn download(&mut self, id: &str) -> bool {
        let Some(reply) = self.call("GET", &format!("{JOBS}/{id}/data"), "").await else { return false };
        if reply.status != 200 {
            return false;
        }
        let mut file = reply.body.to_vec();
        if file.starts_with(&[0x1f, 0x8b]) {
            file.clear();
            flate2::read::GzDecoder::new(&reply.body[..]).read_to_end(&mut file).unwrap();
        }
        self.merged.add(self.jobs.iter().position(|job| job == id).unwrap(), &file);
        true
    }

    /// Sees one export through, whatever it takes.
    async fn export(&mut self, kind: &str, from: Date, to: Date) {
        loop {
            if let Some(id) = self.create(kind, from, to).await {
                for _ in 0..60 {
                    self.client.sim.clock().advance(SignedDuration::from_secs(5));
                    if self.download(&id).await {
                        return;
                    }
                }
            } else {
                self.client.sim.clock().advance(SignedDuration::from_secs(30));
            }
        }
    }
}

fn today(sim: &Sim) -> Date {
    jiff::tz::Offset::UTC.to_datetime(sim.clock().now()).date()
}

fn plus(date: Date, days: i64) -> Date {
    date.checked_add(SignedDuration::from_hours(24 * days)).unwrap()
}

fn check_limits(sim: &Sim, running: u64, queued: u64) {
    let report = sim.report();
    assert!(report.most_running <= 2 && report.most_queued <= 10, "{report:?}");
    assert!(running <= 2 && queued <= 10);
}

async fn run(seed: u64, steps: Vec<Step>) {
    let sim = Sim::builder()
        .seed(seed)
        .activities(300)
        .now(START.parse().unwrap())
        .speed(1.0)
        .job_time(Duration::from_secs(20))
        .rate_limit(false)
        .start()
        .await
        .unwrap();
    let first = today(&sim);
    let client = Client { sim: &sim, bearer: None };
    let mut stubborn = Stubborn { client, jobs: Vec::new(), merged: Merged::default() };
    // All of the history, as it stands before anything else happens.
    for year in -3..2 {
        let from = plus(first, 365 * year);
        stubborn.export("snapshot", from, plus(from, 364)).await;
    }
    for step in steps {
        match step {
            Step::CreateDelta { ago, days } => {
                let to = plus(today(&sim), -ago);
                stubborn.create("delta", plus(to, 1 - days), to).await;
            }
            Step::CreateSnapshot { ago, days } => {
                let to = plus(today(&sim), -ago);
                stubborn.create("snapshot", plus(to, 1 - days), to).await;
            }
            Step::Advance { minutes } => sim.clock().advance(SignedDuration::from_mins(minutes)),
            Step::Faults { chaos } => {
                let plan = Faults::preset(if chaos { "chaos" } else { "none" }).unwrap();
                sim.set_faults(plan);
            }
            Step::List => {
                let list = stubborn.call("GET", JOBS, "").await.unwrap();
                let list = list.json();
                let count = |state: &str| {
                    list.as_array().unwrap().iter().filter(|job| job["state"] == state).count() as u64
                };
                check_limits(&sim, count("Running"), count("Queued"));
            }
            Step::Download { job } => {
                if let Some(id) = stubborn.jobs.get(job).cloned() {
                    stubborn.download(&id).await;
                }
            }
        }
        check_limits(&sim, 0, 0);
    }
    sim.set_faults(Faults::none());
    // Everything that was processed since the start.
    let mut from = first;
    let last = today(&sim);
    while from <= last {
        let to = plus(from, 13).min(last);
        stubborn.export("delta", from, to).await;
        from = plus(to, 1);
    }
    // Whatever still runs ends; nothing is lost count of.
    sim.clock().advance(SignedDuration::from_hours(1));
    let report = sim.report();
    let ended = ["Completed", "Failed", "Canceled"].map(|state| report.jobs.get(state).copied().unwrap_or(0));
    assert_eq!(ended.iter().sum::<u64>(), report.jobs_created.values().sum::<u64>());
    assert_eq!(ended.iter().sum::<u64>(), report.jobs.values().sum::<u64>());
    // Catch up with what was processed in the meantime, then compare.
    stubborn.export("delta", plus(today(&sim), -1), today(&sim)).await;
    let through = plus(today(&sim), -1);
    let truth = sim.truth();
    let due: BTreeSet<String> = truth
        .activity_records(sim.clock().now(), Some(through))
        .map(|record| serde_json::from_slice::<Value>(&record).unwrap().to_string())
        .collect();
    let held = stubborn.merged.records();
    let missing: Vec<&String> = due.difference(&held).collect();
    assert!(missing.is_empty(), "seed {seed}: {} of {} are missing: {missing:?}", missing.len(), due.len());
    let more = held.difference(&due).filter(|record| {
        let record: Value = serde_json::from_str(record).unwrap();
        record["ingest_timestamp"].as_str().unwrap()[..10] <= *through.to_string()
    });
    assert_eq!(more.count(), 0, "seed {seed}: more than the truth");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn limits_hold_and_the_merge_is_the_truth_under_any_schedule(
        seed in 0..1_000_u64,
        steps in prop::collection::vec(step(), 5..50),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(seed, steps));
    }
}
