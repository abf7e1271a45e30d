//! An export ends well, or with an error that tells the truth, under every effect of the fault engine; each test is named
//! after its effect. Under the presets, run again as its errors advise, it comes to the truth.
//!
//! The runtime's clock is paused, so that nobody waits for retries and polls; but not where a body takes its time, as a
//! paused clock stands while a file is decoded on a thread of its own.

mod service;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use backstory_limits::ExportKind;
use backstory_sim::{Faults, Sim, WindowKind};
use backstory_sync::ErrorKind::{self, Authentication, BadData, DeadlinePassed, Job, Unavailable};
use backstory_sync::{OutputFormat, Report};
use service::{activities, client, everybody, range, run_for, world};

/// What is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Delta,
    Contacts,
}
use Wanted::{Contacts, Delta};

const WEEKS: &str = "2026-06-04..2026-06-17";

/// An export under one rule, and what came of it.
struct Outcome {
    rule: String,
    sim: Sim,
    folder: tempfile::TempDir,
    wanted: Wanted,
    report: Report,
}

/// Runs an export under one rule of the fault engine, which must have fired.
async fn under(wanted: Wanted, rule: &str) -> Outcome {
    let plan = Faults::from_toml(&format!("[[rule]]\n{rule}")).unwrap();
    let sim =
        world().activities(3_000).contacts(900).job_time(Duration::ZERO).faults(plan).start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let selection = match wanted {
        Delta => activities(ExportKind::Delta),
        Contacts => everybody(),
    };
    let client = client(&sim, "sim-key");
    let patience = Duration::from_secs(150);
    let format = OutputFormat::JsonLines;
    let report = run_for(&client, selection, range(WEEKS), format, folder.path(), patience).await.unwrap();
    assert!(!sim.fault_log().is_empty(), "{rule}: it never fired");
    let findings = sim.report().findings;
    assert!(findings.is_empty(), "{rule}: the client did what the contract can't explain: {findings:?}");
    let played = sim.report();
    assert!(played.most_running <= 2 && played.most_outstanding <= 4, "{rule}: {played:?}");
    Outcome { rule: rule.to_owned(), sim, folder, wanted, report }
}

impl Outcome {
    /// All of what is due has landed, and no more jobs were created than this many.
    #[track_caller]
    fn is_whole(&self, jobs: usize) {
        let rule = &self.rule;
        assert!(self.report.failures.is_empty(), "{rule}: {:?}", self.report.failures);
        let due = due(&self.sim, self.wanted);
        assert!(due.len() > 10, "{rule}: proves little");
        let held = rows(self.folder.path());
        assert!(held == due, "{rule}: {} are held and {} are due", held.len(), due.len());
        assert_eq!(self.sim.jobs().list().len(), jobs, "{rule}: jobs");
    }

    /// Nothing has landed, and the error is of this kind.
    #[track_caller]
    fn failed(&self, kind: ErrorKind) {
        let rule = &self.rule;
        let kinds: Vec<ErrorKind> = self.report.failures.iter().map(backstory_sync::Error::kind).collect();
        assert_eq!(kinds, [kind], "{rule}: {:?}", self.report.failures);
        assert!(self.report.windows.is_empty() && rows(self.folder.path()).is_empty(), "{rule}");
    }
}

/// Distinct records as comparable text; a null is an absent key.
fn comparable(line: &[u8]) -> String {
    let mut record: serde_json::Value = serde_json::from_slice(line).unwrap();
    record.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    record.to_string()
}

fn due(sim: &Sim, wanted: Wanted) -> BTreeSet<String> {
    let weeks = range(WEEKS);
    let kind = if wanted == Delta { WindowKind::Delta } else { WindowKind::Contacts };
    let records = sim.truth().window_records(kind, None, weeks.start(), weeks.end(), sim.clock().now());
    records.map(|record| comparable(&record)).collect()
}

fn rows(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for table in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        for file in std::fs::read_dir(table).into_iter().flatten().map(|entry| entry.unwrap().path()) {
            let text = std::fs::read(file).unwrap();
            found.extend(text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(comparable));
        }
    }
    found
}

/// Each route that an export of activities calls.
const ROUTES: [&str; 5] = ["token", "list", "create", "status", "data"];

/// The effect strikes the first call of each route, and the export is whole all the same, with one job.
async fn once_on_each_route(effect: &str) {
    for route in ROUTES {
        under(Delta, &format!("effect = \"{effect}\"\nroute = \"{route}\"\nnth = 1")).await.is_whole(1);
    }
}

/// A file under an effect that strikes it once is whole all the same.
async fn once_on_files(effect: &str) {
    for wanted in [Delta, Contacts] {
        under(wanted, &format!("{effect}\nroute = \"data\"\nnth = 1")).await.is_whole(1);
    }
}

#[tokio::test(start_paused = true)]
async fn reset_before() {
    once_on_each_route("reset-before").await;
    under(Delta, "effect = \"reset-before\"\nroute = \"data\"").await.failed(Unavailable);
}

#[tokio::test(start_paused = true)]
async fn close_before() {
    once_on_each_route("close-before").await;
    under(Delta, "effect = \"close-before\"\nroute = \"token\"").await.failed(Unavailable);
}

/// The lost reply: the job is found in the list, and not created twice. Contacts have no list, so the error says that
/// the outcome is unknown.
#[tokio::test(start_paused = true)]
async fn reset_after() {
    once_on_each_route("reset-after").await;
    let adopted = under(Delta, "effect = \"reset-after\"\nroute = \"create\"\nnth = 1").await;
    assert!(adopted.sim.jobs().list()[0].is_adopted());
    let unknown = under(Contacts, "effect = \"reset-after\"\nroute = \"create\"\nnth = 1").await;
    unknown.failed(Job);
    let told = format!("{:?}", unknown.report.failures);
    assert!(told.contains("OutcomeUnknown") && told.contains("the reply was lost"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn close_after() {
    once_on_each_route("close-after").await;
}

#[tokio::test(start_paused = true)]
async fn cut() {
    for close in ["fin", "rst"] {
        for at in ["", "\nat_byte = 0", "\nat_byte = 1000"] {
            once_on_files(&format!("effect = \"cut\"\nclose = \"{close}\"{at}")).await;
        }
        under(Delta, &format!("effect = \"cut\"\nclose = \"{close}\"")).await.failed(Unavailable);
    }
}

#[tokio::test(start_paused = true)]
async fn short() {
    for close in ["fin", "rst"] {
        once_on_files(&format!("effect = \"short\"\nclose = \"{close}\"")).await;
    }
    under(Delta, "effect = \"short\"").await.failed(Unavailable);
}

#[tokio::test(start_paused = true)]
async fn torn() {
    for wanted in [Delta, Contacts] {
        under(wanted, "effect = \"torn\"\nat_byte = 1500\nnth = 1").await.failed(BadData);
    }
}

#[tokio::test(start_paused = true)]
async fn long() {
    once_on_files("effect = \"long\"").await;
}

#[tokio::test(start_paused = true)]
async fn no_last_chunk() {
    once_on_files("effect = \"no-last-chunk\"").await;
    under(Delta, "effect = \"no-last-chunk\"").await.failed(Unavailable);
}

/// Stalls that last beyond the client's patience are tested where that patience is set: in the transport.
#[tokio::test(flavor = "multi_thread")]
async fn stall() {
    once_on_files("effect = \"stall\"\nat_byte = 1000\nseconds = 0.3").await;
    once_on_files("effect = \"stall\"\nat_byte = 0\nseconds = 0.3").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn drip() {
    under(Delta, "effect = \"drip\"\nbytes_per_second = 500000").await.is_whole(1);
    under(Contacts, "effect = \"drip\"\nbytes_per_second = 50000").await.is_whole(1);
}

#[tokio::test(start_paused = true)]
async fn status_401_early() {
    for route in ["list", "create", "status", "data"] {
        let rule = format!("effect = \"status\"\nstatus = 401\nroute = \"{route}\"");
        under(Delta, &format!("{rule}\nnth = 1")).await.is_whole(1);
        under(Delta, &rule).await.failed(Authentication);
    }
    under(Delta, "effect = \"status\"\nstatus = 401\nroute = \"token\"").await.failed(Authentication);
}

#[tokio::test(start_paused = true)]
async fn status_403() {
    for route in ["list", "create", "status", "data"] {
        let rule = format!("effect = \"status\"\nstatus = 403\nroute = \"{route}\"");
        under(Delta, &rule).await.failed(Authentication);
    }
}

#[tokio::test(start_paused = true)]
async fn status_404() {
    // Just after the creation it means "not visible yet".
    under(Delta, "effect = \"status\"\nstatus = 404\nroute = \"status\"\nfirst = 3").await.is_whole(1);
    for route in ["list", "create", "data"] {
        let rule = format!("effect = \"status\"\nstatus = 404\nroute = \"{route}\"");
        under(Delta, &rule).await.failed(Job);
    }
}

#[tokio::test(start_paused = true)]
async fn status_408() {
    // Of the token endpoint it is the cache that waits before it asks again, which is tested where the cache is.
    for route in ["list", "create", "status", "data"] {
        let rule = format!("effect = \"status\"\nstatus = 408\nroute = \"{route}\"\nnth = 1");
        under(Delta, &rule).await.is_whole(1);
    }
}

#[tokio::test(start_paused = true)]
async fn status_429_with_and_without_each_form_of_retry_after() {
    for after in ["", "retry_after = \"2\"", "retry_after = \"date:3\"", "retry_after = \"garbage\""] {
        for route in ["token", "list", "create", "status"] {
            let rule = format!("effect = \"status\"\nstatus = 429\nroute = \"{route}\"\nnth = 1\n{after}");
            under(Delta, &rule).await.is_whole(1);
        }
    }
}

/// Of files, in the machine's own time.
#[tokio::test(flavor = "multi_thread")]
async fn status_429_of_a_file_with_and_without_each_form_of_retry_after() {
    for after in ["", "retry_after = \"1\"", "retry_after = \"date:1\"", "retry_after = \"garbage\""] {
        let rule = format!("effect = \"status\"\nstatus = 429\nroute = \"data\"\nnth = 1\n{after}");
        under(Delta, &rule).await.is_whole(1);
    }
}

/// Each status with each body, on one route after the other, so that each route meets each body.
#[tokio::test(start_paused = true)]
async fn status_500_502_503_504_with_json_html_and_empty_bodies() {
    let mut turn = 0;
    for status in [500, 502, 503, 504] {
        for body in ["json", "html", "empty"] {
            let rule = format!("effect = \"status\"\nstatus = {status}\nbody = \"{body}\"\nnth = 1");
            for step in [0, 3] {
                let route = ROUTES[(turn + step) % ROUTES.len()];
                under(Delta, &format!("{rule}\nroute = \"{route}\"")).await.is_whole(1);
            }
            let route = ["token", "status", "data"][turn % 3];
            under(Contacts, &format!("{rule}\nroute = \"{route}\"")).await.is_whole(1);
            turn += 1;
        }
        let always = format!("effect = \"status\"\nstatus = {status}\nroute = \"data\"");
        under(Delta, &always).await.failed(Unavailable);
    }
}

/// An error of the gateway after the job was created: it is adopted, and not created twice.
#[tokio::test(start_paused = true)]
async fn status_504_after_it_was_acted_on() {
    let rule = "effect = \"status\"\nstatus = 504\nacted = true\nroute = \"create\"\nnth = 1";
    let outcome = under(Delta, rule).await;
    outcome.is_whole(1);
    assert!(outcome.sim.jobs().list()[0].is_adopted());
}

#[tokio::test(start_paused = true)]
async fn job_fails() {
    for wanted in [Delta, Contacts] {
        under(wanted, "effect = \"job-fails\"").await.failed(Job);
    }
}

#[tokio::test(start_paused = true)]
async fn job_cancelled() {
    for wanted in [Delta, Contacts] {
        under(wanted, "effect = \"job-cancelled\"").await.failed(Job);
    }
}

#[tokio::test(start_paused = true)]
async fn job_hangs() {
    for wanted in [Delta, Contacts] {
        under(wanted, "effect = \"job-hangs\"").await.failed(DeadlinePassed);
    }
}

#[tokio::test(start_paused = true)]
async fn job_invisible() {
    // Job time is the machine's here, so it stays invisible until the client's patience with new jobs has ended.
    under(Delta, "effect = \"job-invisible\"\nseconds = 3600").await.failed(Job);
    under(Delta, "effect = \"job-invisible\"\nseconds = 0").await.is_whole(1);
}

#[tokio::test(start_paused = true)]
async fn job_unknown_state() {
    for wanted in [Delta, Contacts] {
        under(wanted, "effect = \"job-unknown-state\"").await.is_whole(1);
    }
}

#[tokio::test(start_paused = true)]
async fn wrong_echo() {
    for wanted in [Delta, Contacts] {
        under(wanted, "effect = \"wrong-echo\"").await.failed(Job);
    }
}

#[tokio::test(start_paused = true)]
async fn duplicates() {
    for wanted in [Delta, Contacts] {
        under(wanted, "effect = \"duplicates\"").await.is_whole(1);
    }
}

#[tokio::test(start_paused = true)]
async fn shuffled() {
    for wanted in [Delta, Contacts] {
        under(wanted, "effect = \"shuffled\"").await.is_whole(1);
    }
}

#[tokio::test(start_paused = true)]
async fn nulls() {
    under(Delta, "effect = \"nulls\"").await.is_whole(1);
}

#[tokio::test(start_paused = true)]
async fn raw_separators() {
    under(Delta, "effect = \"raw-separators\"").await.is_whole(1);
}

#[tokio::test(start_paused = true)]
async fn crlf() {
    under(Delta, "effect = \"crlf\"").await.is_whole(1);
}

#[tokio::test(start_paused = true)]
async fn gzip() {
    for wanted in [Delta, Contacts] {
        under(wanted, "effect = \"gzip\"").await.is_whole(1);
    }
}

#[tokio::test(start_paused = true)]
async fn gzip_unlabelled() {
    for wanted in [Delta, Contacts] {
        under(wanted, "effect = \"gzip-unlabelled\"").await.is_whole(1);
    }
}

/// Followed, without the token: a token that is sent there is a finding.
#[tokio::test(start_paused = true)]
async fn redirect() {
    for wanted in [Delta, Contacts] {
        under(wanted, "effect = \"redirect\"").await.is_whole(1);
    }
}

#[tokio::test(start_paused = true)]
async fn expired() {
    for wanted in [Delta, Contacts] {
        under(wanted, "effect = \"expired\"").await.failed(Job);
    }
}

#[test]
fn no_effect_is_left_out() {
    let tests = include_str!("faults.rs");
    for effect in Faults::effects() {
        let name = effect.replace('-', "_");
        assert!(tests.contains(&format!("fn {name}")), "no test is named after the effect {effect}");
    }
}

/// Runs an export until it is whole, as a person would; returns how often it had to be run.
async fn until_whole(preset: &str, seed: u64) -> u32 {
    let sim =
        world().seed(seed).activities(600).faults(Faults::preset(preset).unwrap()).start().await.unwrap();
    let months = range("2025-04-01..2026-06-17");
    let due =
        sim.truth().window(WindowKind::Snapshot, None, months.start(), months.end(), sim.clock().now()).count;
    let folder = tempfile::tempdir().unwrap();
    for attempt in 1..=12 {
        // As a process of its own would have one: nothing is remembered from run to run but the folder.
        let client = client(&sim, "sim-key");
        let patience = Duration::from_secs(60);
        let kind = activities(ExportKind::Snapshot);
        let report =
            run_for(&client, kind, months, OutputFormat::Parquet, folder.path(), patience).await.unwrap();
        // What has landed is never more than there is, but for files that repeat records.
        for window in &report.windows {
            assert!(window.complete && window.rows > 0);
        }
        if report.failures.is_empty() {
            assert!(report.rows() >= due, "{preset}, seed {seed}: {} of {due}", report.rows());
            assert!(
                preset == "chaos" || report.rows() == due,
                "{preset}, seed {seed}: {} of {due}",
                report.rows()
            );
            let played = sim.report();
            assert!(
                played.most_running <= 2 && played.most_outstanding <= 4,
                "{preset}, seed {seed}: {played:?}"
            );
            return attempt;
        }
    }
    panic!("{preset}, seed {seed}: not whole after 12 runs");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flaky_service_is_survived() {
    for seed in 1..=3 {
        until_whole("flaky", seed).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn chaos_is_survived_by_running_the_export_again() {
    for seed in 1..=3 {
        until_whole("chaos", seed).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_survived_by_running_the_export_again() {
    until_whole("outage", 1).await;
}
