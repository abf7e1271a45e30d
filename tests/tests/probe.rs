//! The probe tells what the simulator was set to, or says honestly that it can't tell, under every setting of every
//! unknown; it keeps to its budget, and nothing that it reports holds a secret, an id or a record.

use std::sync::Arc;
use std::time::Duration;

use backstory_api::{ActivityType, BaseUrl, Client, ContactsFormat, WaitPolicy, token_flow};
use backstory_auth::{Credentials, TokenCache};
use backstory_limits::{DateRange, ExportKind, UseLimits};
use backstory_probe::{End, Probe, Report};
use backstory_sim::{Builder, Faults, Sim, Switch};
use backstory_transport::{HttpService, NoPause, ReqwestService};
use tokio::sync::Semaphore;

/// What a finding must say where the simulator is set to something.
#[derive(Debug, PartialEq)]
enum Expect {
    /// This word.
    Says(&'static str),
    /// This word, or that it can't be told: what proves it need not have happened in the world.
    MaySay(&'static str),
    /// That it can't be told.
    Open,
}

/// For each setting of each switch. A new switch, or a new value of one, fails here until the probe knows it.
fn expected(row: &str, value: &'static str) -> Expect {
    use Expect::{MaySay, Open, Says};
    match (row, value) {
        // Known after a probe, whichever it is.
        ("a3", "new" | "same")
        | ("j6", "404" | "array")
        | ("j7", "newest-first" | "oldest-first" | "jobs" | "data")
        | ("j9", "404" | "400" | "409" | "425" | "200")
        | ("j11", "404" | "410")
        | ("j13", "0" | "1")
        | ("j14", "1" | "0" | "absent")
        | ("j15", "each" | "first")
        | ("j16", "bytes" | "records")
        | ("j17", "200" | "204")
        | ("j18", "none" | "gzip")
        | ("j19", "ignore" | "206")
        | ("j20", "chunked" | "length")
        | ("j21", "sent" | "missing")
        | ("j22", "none" | "302")
        | ("j23", "array" | "object" | "lines")
        | ("j24", "sorted" | "shuffled" | "duplicated")
        | ("j29", "403" | "401" | "404")
        | ("j31", "message" | "description" | "html")
        | ("j32", "rejected" | "accepted")
        | ("j36", "string" | "number")
        | ("j38", "plain" | "bom" | "title-booleans") => Says(value),
        ("j33", "visible") => Says("visible"),
        ("j33", "hidden:SECONDS") => Says("hidden"),
        ("j33", "stateless:SECONDS") => Says("stateless"),
        ("j35", "queued" | "running") => Says(value),
        // Other programs' jobs prove the one and not the other.
        ("j3", "exclusive") | ("j26", "allowed") => Says(value),
        ("j3", "inclusive" | "365") | ("j26", "future-400") => Open,
        // A day's records may or may not prove it.
        ("j41", "processing" | "first") | ("j42", "start") | ("j43", "each") | ("j44", "every") => {
            MaySay(value)
        }
        ("j42", "processing") | ("j43", "once") | ("j44", "latest") => Open,
        // Asking would fill the queue, take an administrator, or ask for more than a day; two jobs prove nothing.
        ("j1", "429" | "400" | "403" | "409" | "503")
        | ("j2", "organisation" | "resource" | "key")
        | ("j4", "year" | "14-days")
        | ("j30", "dead" | "live")
        | ("j35", "never") => Open,
        _ => panic!("the probe doesn't know {row}={value}: teach it, and say here what it must report"),
    }
}

fn world() -> Builder {
    Sim::builder()
        .seed(11)
        .activities(6_000)
        .contacts(40_000)
        .records_per_fragment(35)
        .now("2026-06-06T12:00:00Z".parse().unwrap())
        .job_time(Duration::from_millis(60))
        .rate_limit(false)
}

/// A client whose deltas may be a day wider than the published limit.
fn client(sim: &Sim) -> Client {
    let mut limits = UseLimits::published();
    limits.delta_range = limits.delta_range.with_max_days(15);
    (limits.requests_per_second, limits.concurrent_requests) = (10_000, 100);
    let adapter: Arc<dyn HttpService> = Arc::new(ReqwestService::builder().no_proxy().build().unwrap());
    let base = BaseUrl::parse(sim.base_url()).unwrap();
    let flow = token_flow(&adapter, &base, Credentials::new("sim-key", "sim-secret")).unwrap();
    let builder = Client::builder(base).adapter(adapter).limits(limits).tokens(TokenCache::new(flow));
    builder.backoff(NoPause).build().unwrap()
}

fn range(text: &str) -> DateRange {
    text.parse().unwrap()
}

/// Lets other programs make jobs on the way to the day of the probe, and answers the id of one whose file has expired.
async fn other_programs(sim: &Sim) -> String {
    let client = client(sim);
    let days = |days: i64| sim.clock().advance(jiff::SignedDuration::from_hours(24 * days));
    let patience = || {
        let mut wait = WaitPolicy::default().with_first_poll(Duration::from_millis(20));
        wait.longest_pause = Duration::from_millis(60);
        wait
    };
    let export = |text: &str, kind| {
        client.activities().export(range(text)).kind(kind).activity_type(ActivityType::Email)
    };
    let old = export("2026-06-01..2026-06-02", ExportKind::Delta).start().await.unwrap();
    old.wait_with(&patience(), |_| {}).await.unwrap();
    days(5);
    // Before the population begins, so that its result is empty.
    let empty = export("2015-01-01..2015-01-02", ExportKind::Snapshot).start().await.unwrap();
    empty.wait_with(&patience(), |_| {}).await.unwrap();
    days(4);
    // Refused under some switches.
    let _ = export("2026-05-01..2026-05-15", ExportKind::Delta).start().await;
    let _ = export("2026-06-01..2026-07-20", ExportKind::Snapshot).start().await;
    while client.activities().list().await.unwrap().iter().any(|job| !job.has_ended()) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    days(3);
    old.id().as_str().to_owned()
}

fn probe(sim: &Sim) -> Probe {
    let adapter = ReqwestService::builder().no_proxy().follow_redirects(false).build().unwrap();
    Probe::new(BaseUrl::parse(sim.base_url()).unwrap(), adapter, sim.clock().now())
        .activities_key(Credentials::new("sim-activity", "sim-secret"))
        .contacts_key(Credentials::new("sim-object", "sim-secret"))
        .requests_per_second(1_000)
        .first_poll(Duration::from_millis(40))
        .deadline(Duration::from_secs(30))
        .backoff(NoPause)
}

/// What holds of every run: few requests, few jobs, nothing that the contract can't explain but the two questions that
/// nobody has asked yet, and nothing in the report that may not be published.
fn is_well_behaved(sim: &Sim, before: u64, report: &Report) {
    let played = sim.report();
    assert!(report.requests <= 30, "{}", report.requests);
    let jobs = played.jobs_created.values().sum::<u64>() - before;
    assert!(jobs <= 2 && u64::from(report.jobs) >= jobs, "{jobs} jobs, {} reported", report.jobs);
    let asked = |finding: &&String| {
        !finding.contains("before the job was Completed")
            && !finding.contains("contacts/jobs, which no source knows")
    };
    assert_eq!(played.findings.keys().filter(asked).collect::<Vec<_>>(), Vec::<&String>::new());
    let shown = format!("{report:?}\n{}\n{}", serde_json::to_string(report).unwrap(), report.to_markdown());
    let port = sim.base_url().rsplit(':').next().unwrap();
    for secret in
        ["sim-secret", "sim-activity", "sim-object", "127.0.0.1", "localhost", "eyJ", "@", "Bearer", port]
    {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}

fn row_of(switch: &str) -> String {
    format!("{}.{}", &switch[..1], &switch[1..])
}

#[tokio::test(flavor = "multi_thread")]
async fn every_switch_is_told_as_it_was_set_or_said_to_be_open() {
    let at_once = Arc::new(Semaphore::new(12));
    let mut runs = tokio::task::JoinSet::new();
    for row in Switch::list() {
        for (value, _) in row.values {
            let expected = expected(row.row, value);
            let at_once = Arc::clone(&at_once);
            runs.spawn(async move {
                let _place = at_once.acquire().await.unwrap();
                let text = format!("{}={}", row.row, value.replace("SECONDS", "1"));
                let switch = Switch::parse(&text).unwrap();
                // Other programs' jobs must not be stuck, or the probe waits for them.
                let late = row.row == "j35";
                let builder = if late { world() } else { world().switch(switch) };
                // However slow the machine is, the job must be under way when its result is asked for too early.
                let builder =
                    if row.row == "j9" { builder.job_time(Duration::from_millis(1_500)) } else { builder };
                let sim = builder.start().await.unwrap();
                let old = other_programs(&sim).await;
                if late {
                    sim.set_switch(switch);
                }
                let before = sim.report().jobs_created.values().sum();
                let mut probe = probe(&sim).expired_job(old).refused_token(true);
                if row.row == "j23" {
                    probe = probe.contacts_format(ContactsFormat::Json);
                }
                let report = probe.run().await.unwrap();
                is_well_behaved(&sim, before, &report);
                let finding = report.finding(&row_of(row.row)).unwrap();
                let observed = finding.observed.as_deref();
                let right = match expected {
                    Expect::Says(word) => observed == Some(word),
                    Expect::MaySay(word) => observed.is_none_or(|observed| observed == word),
                    Expect::Open => observed.is_none(),
                };
                assert!(right, "{text}: expected {expected:?}, found {finding:?}");
                let stuck = late && *value != "never";
                assert_eq!(report.end == End::Complete, !stuck, "{text}: {}", report.end);
                (text, observed.is_some())
            });
        }
    }
    let mut told = 0;
    let mut failures = Vec::new();
    while let Some(run) = runs.join_next().await {
        match run {
            Ok((_, observed)) => told += usize::from(observed),
            Err(error) => failures.push(error.to_string()),
        }
    }
    assert!(failures.is_empty(), "{} settings are told wrongly:\n{}", failures.len(), failures.join("\n"));
    assert!(told > 60, "only {told} settings are told");
}

/// Under faults a run may tell less, and never anything else.
#[tokio::test(flavor = "multi_thread")]
async fn a_flaky_service_makes_it_tell_less_and_nothing_wrong() {
    let mut runs = tokio::task::JoinSet::new();
    for seed in 0..16 {
        runs.spawn(async move {
            let sim = world().seed(seed).start().await.unwrap();
            let old = other_programs(&sim).await;
            let before = sim.report().jobs_created.values().sum();
            sim.set_faults(Faults::preset(if seed < 12 { "flaky" } else { "outage" }).unwrap());
            let report = match probe(&sim).expired_job(old).run().await {
                Ok(report) => report,
                // Without a token nothing can be asked.
                Err(error) => {
                    assert_eq!(error.kind(), backstory_probe::ErrorKind::Unavailable, "{error}");
                    return 0;
                }
            };
            is_well_behaved(&sim, before, &report);
            for row in Switch::list() {
                let finding = report.finding(&row_of(row.row)).unwrap();
                let Some(observed) = finding.observed.as_deref() else { continue };
                let (default, _) = row.values[0];
                match expected(row.row, default) {
                    Expect::Says(word) | Expect::MaySay(word) => {
                        assert_eq!(observed, word, "seed {seed}: {finding:?}");
                    }
                    // Jobs that the budget of polls didn't see end, and limits that the faults made up.
                    Expect::Open => assert!(["j35", "j1"].contains(&row.row), "seed {seed}: {finding:?}"),
                }
            }
            report.told()
        });
    }
    let told: Vec<usize> = runs.join_all().await;
    assert!(told.iter().any(|told| *told > 20), "{told:?}");
}
