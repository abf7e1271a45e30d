//! What a sync does, against a service in memory that does whatever a test wants, and a destination in memory.

mod memory;
mod service;

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use backstory_destination::{DeliveryKind, Destination};
use backstory_sync::{
    Error, ErrorKind, JobOrigin, KeepRaw, Stop, SyncEvent, SyncObserver, SyncOptions, SyncReport,
    SyncSettings, sync,
};
use backstory_transport::{Scripted, ScriptedService};
use jiff::civil::date;
use memory::Memory;
use service::{Service, client};

const NOW: &str = "2026-03-06T12:00:00Z";

fn settings() -> SyncSettings {
    let mut settings = SyncSettings::new(date(2025, 1, 1));
    settings.contacts = false;
    settings
}

fn options() -> SyncOptions {
    let mut options = SyncOptions::new(|| NOW.parse().unwrap());
    options.wait = options.wait.with_first_poll(Duration::from_millis(10));
    options
}

#[derive(Default)]
struct Log(Mutex<Vec<String>>);

impl SyncObserver for Log {
    fn on_event(&self, event: &SyncEvent<'_>) {
        self.0.lock().unwrap().push(serde_json::to_string(event).unwrap());
    }
}

impl Log {
    fn count(&self, name: &str) -> usize {
        let start = format!(r#"{{"event":"{name}""#);
        self.0.lock().unwrap().iter().filter(|event| event.starts_with(&start)).count()
    }
}

async fn run(
    scripted: &ScriptedService,
    destination: &Arc<Memory>,
    settings: &SyncSettings,
    options: &SyncOptions,
) -> Result<SyncReport, Error> {
    run_watched(scripted, destination, settings, options, &Arc::default()).await
}

async fn run_watched(
    scripted: &ScriptedService,
    destination: &Arc<Memory>,
    settings: &SyncSettings,
    options: &SyncOptions,
    log: &Arc<Log>,
) -> Result<SyncReport, Error> {
    let destination: Arc<dyn Destination> = Arc::clone(destination) as _;
    let observer: Arc<dyn SyncObserver> = Arc::clone(log) as _;
    sync(&client(scripted), destination, settings, options, observer, &Stop::new()).await
}

fn posts(scripted: &ScriptedService) -> usize {
    scripted.requests().iter().filter(|request| request.method() == "POST").count()
}

fn raw_files(home: &Path, ending: &str) -> usize {
    if !home.join("raw").exists() {
        return 0;
    }
    service::files(&home.join("raw")).keys().filter(|name| name.ends_with(ending)).count()
}

#[tokio::test(start_paused = true)]
async fn a_first_sync_lays_the_history_and_a_second_finds_only_today_to_do() {
    let home = tempfile::tempdir().unwrap();
    let destination = Memory::new(home.path());
    let scripted = Service::new().scripted();
    let mut settings = settings();
    settings.contacts = true;
    let report = run(&scripted, &destination, &settings, &options()).await.unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(report.watermark, Some(date(2026, 3, 5)));
    let kinds = |kind| destination.records().iter().filter(|record| record.delivery.kind == kind).count();
    assert_eq!((kinds(DeliveryKind::Snapshot), kinds(DeliveryKind::Delta)), (3, 1));
    assert!(kinds(DeliveryKind::Contacts) >= 2);
    assert_eq!(raw_files(home.path(), ".zst"), destination.records().len());
    let before = posts(&scripted);
    let report = run(&scripted, &destination, &settings, &options()).await.unwrap();
    assert_eq!(posts(&scripted) - before, 1, "today's delta: {report:?}");
    settings.through = backstory_sync::Through::Yesterday;
    let before = scripted.requests().len();
    let report = run(&scripted, &destination, &settings, &options()).await.unwrap();
    assert!(report.committed.is_empty() && report.is_complete());
    assert_eq!(scripted.requests().len(), before, "nothing to do is done without a request");
}

#[tokio::test(start_paused = true)]
async fn a_failed_job_is_asked_for_in_halves() {
    let home = tempfile::tempdir().unwrap();
    let destination = Memory::new(home.path());
    let service = Service::new();
    let mut failed = 0;
    service.twist(move |request, reply| {
        let path = request.uri().path();
        let first = path.ends_with("/jobs/100") && failed == 0;
        if first {
            failed += 1;
            return Scripted::ok(r#"{"job_id":"100","state":"Failed"}"#);
        }
        reply
    });
    let scripted = service.scripted();
    let log = Arc::default();
    let report = run_watched(&scripted, &destination, &settings(), &options(), &log).await.unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(log.count("divided"), 1);
    assert_eq!(report.committed.len(), 5, "three windows, one of them in halves, and a delta");
    assert_eq!(report.watermark, Some(date(2026, 3, 5)));
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_is_found_in_the_list_and_nothing_is_created_twice() {
    let home = tempfile::tempdir().unwrap();
    let destination = Memory::new(home.path());
    let service = Service::new();
    let mut lost = 0;
    service.twist(move |request, reply| {
        if request.method() == "POST" && lost < 2 {
            lost += 1;
            return Scripted::fail_after_send();
        }
        reply
    });
    let scripted = service.scripted();
    let report = run(&scripted, &destination, &settings(), &options()).await.unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!((report.adopted, report.created), (2, 2));
    assert_eq!(posts(&scripted), 4);
}

#[tokio::test(start_paused = true)]
async fn a_creation_that_never_arrived_is_made_again_once_the_list_proves_it() {
    let home = tempfile::tempdir().unwrap();
    let destination = Memory::new(home.path());
    let service = Service::new();
    let (mut lost, mut seen) = (false, 0);
    service.twist(move |request, reply| {
        if request.method() == "POST" && !std::mem::replace(&mut lost, true) {
            return Scripted::fail_after_send();
        }
        // The job that this service has made of it is not shown.
        if request.uri().path().ends_with("/jobs") && request.method() == "GET" && seen < 20 {
            seen += 1;
            return Scripted::ok("[]").header("date", "Fri, 06 Mar 2026 12:00:00 GMT");
        }
        reply
    });
    let report = run(&service.scripted(), &destination, &settings(), &options()).await.unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!((report.adopted, report.created), (0, 4));
}

#[tokio::test(start_paused = true)]
async fn jobs_of_a_run_that_was_stopped_are_taken_over() {
    let home = tempfile::tempdir().unwrap();
    let destination = Memory::new(home.path());
    let service = Service::new();
    let scripted = service.scripted();
    let stop = Stop::new();
    let stopper = stop.clone();
    service.twist(move |request, reply| {
        let path = request.uri().path();
        if request.method() == "GET" && path.contains("/jobs/") && !path.ends_with("/data") {
            stopper.stop();
            return Scripted::ok(format!(
                r#"{{"job_id":"{}","state":"Running"}}"#,
                path.rsplit('/').next().unwrap()
            ));
        }
        reply
    });
    let into: Arc<dyn Destination> = Arc::clone(&destination) as _;
    let observer = Arc::new(backstory_sync::Silent);
    let report = sync(&client(&scripted), into, &settings(), &options(), observer, &stop).await.unwrap();
    assert!(report.interrupted && report.committed.is_empty());
    assert_eq!(report.outcome(), "interrupted");
    let begun = posts(&scripted);
    assert!(begun > 0);
    service.twist(|_, reply| reply);
    let report = run(&scripted, &destination, &settings(), &options()).await.unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!((report.taken_over as usize, posts(&scripted)), (begun, 4));
}

#[tokio::test(start_paused = true)]
async fn a_job_of_an_earlier_run_that_is_gone_is_asked_for_again_in_the_same_run() {
    let home = tempfile::tempdir().unwrap();
    let destination = Memory::new(home.path());
    let service = Service::new();
    let scripted = service.scripted();
    // The first run can't download anything.
    service.twist(|request, reply| {
        if request.uri().path().ends_with("/data") {
            return Scripted::reply(503, r#"{"error":"Unavailable","message":"HTTP 503"}"#);
        }
        reply
    });
    let report = run(&scripted, &destination, &settings(), &options()).await.unwrap();
    assert_eq!((report.failures.len(), report.outcome()), (4, "failed"), "{report:?}");
    // The second finds that two of its jobs are gone.
    service.twist(|request, reply| {
        let path = request.uri().path();
        if path.ends_with("/jobs/100") || path.ends_with("/jobs/101") {
            return Scripted::reply(404, r#"{"error":"NotFoundException","message":"HTTP 404 Not Found"}"#);
        }
        reply
    });
    let report = run(&scripted, &destination, &settings(), &options()).await.unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!((report.taken_over, report.created, report.committed.len()), (4, 2, 4));
}

#[tokio::test(start_paused = true)]
async fn what_the_destination_has_lost_comes_back_from_the_raw_files() {
    let home = tempfile::tempdir().unwrap();
    let destination = Memory::new(home.path());
    let scripted = Service::new().scripted();
    run(&scripted, &destination, &settings(), &options()).await.unwrap();
    let lines = destination.lines();
    destination.lose("101");
    let before = posts(&scripted);
    let report = run(&scripted, &destination, &settings(), &options()).await.unwrap();
    assert_eq!((report.reloaded, posts(&scripted) - before), (1, 1), "the one job is today's delta");
    assert!(lines.iter().all(|(job, lines)| destination.lines().get(job) == Some(lines)));
    // Damaged, it is fetched again.
    destination.lose("101");
    let files = service::files(&home.path().join("raw"));
    let name = files.keys().find(|name| name.contains("job-101.") && name.ends_with(".zst")).unwrap();
    std::fs::write(home.path().join("raw").join(name), b"garbage").unwrap();
    let report = run(&scripted, &destination, &settings(), &options()).await.unwrap();
    assert!(report.is_complete() && report.reloaded == 0, "{report:?}");
    assert_eq!(report.watermark, Some(date(2026, 3, 5)));
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_is_deleted_loses_nothing() {
    let home = tempfile::tempdir().unwrap();
    let destination = Memory::new(home.path());
    let scripted = Service::new().scripted();
    run(&scripted, &destination, &settings(), &options()).await.unwrap();
    std::fs::remove_dir_all(home.path().join("_backstory")).unwrap();
    let before = posts(&scripted);
    let report = run(&scripted, &destination, &settings(), &options()).await.unwrap();
    assert_eq!(posts(&scripted) - before, 1, "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn an_expired_file_is_asked_for_again_and_not_in_halves() {
    let home = tempfile::tempdir().unwrap();
    let destination = Memory::new(home.path());
    let service = Service::new();
    service.twist(|request, reply| {
        if request.uri().path().ends_with("/jobs/100/data") {
            return Scripted::reply(410, r#"{"error":"Gone","message":"HTTP 410 Gone"}"#);
        }
        reply
    });
    let log = Arc::default();
    let report = run_watched(&service.scripted(), &destination, &settings(), &options(), &log).await.unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!((log.count("divided"), report.committed.len(), report.created), (0, 4, 5));
}

#[tokio::test(start_paused = true)]
async fn one_key_may_fail_without_the_other_being_lost() {
    let home = tempfile::tempdir().unwrap();
    let destination = Memory::new(home.path());
    let mut settings = settings();
    settings.contacts = true;
    let service = Service::new();
    for broken in ["/contacts/", "/activities/"] {
        service.twist(move |request, reply| {
            if request.uri().path().contains(broken) {
                return Scripted::reply(403, r#"{"error":"ForbiddenException","message":"HTTP 403"}"#);
            }
            reply
        });
        let report = run(&service.scripted(), &destination, &settings, &options()).await.unwrap();
        assert!(!report.committed.is_empty(), "{broken}: {report:?}");
        assert_eq!(report.outcome(), "partial");
        assert!(report.failures.iter().all(|failure| failure.error.kind() == ErrorKind::Authentication));
    }
    service.twist(|_, reply| reply);
    assert_eq!(
        run(&service.scripted(), &destination, &settings, &options()).await.unwrap().outcome(),
        "done"
    );
}

/// Ids are a service's own, so they tell nothing of another one's jobs.
#[tokio::test(start_paused = true)]
async fn a_service_that_gives_the_id_of_a_delivery_to_another_job_is_refused_and_nothing_is_displaced() {
    let home = tempfile::tempdir().unwrap();
    let destination = Memory::new(home.path());
    let (service, other) = (Service::new(), Service::new());
    assert!(run(&service.scripted(), &destination, &settings(), &options()).await.unwrap().is_complete());
    let (before, raw) = (destination.records(), raw_files(home.path(), ""));
    // Also with more to do than a job, some of which is slow.
    let mut more = settings();
    more.since = date(2019, 1, 1);
    for settings in [settings(), more] {
        let error = run(&other.scripted(), &destination, &settings, &options()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(error.to_string().contains("holds a delivery of a job 10"), "{error}");
        assert!(error.hint().unwrap().contains("another service"), "{error:?}");
        assert_eq!((destination.records(), raw_files(home.path(), "")), (before.clone(), raw));
    }
    // The right one goes on as if nothing had been.
    let report = run(&service.scripted(), &destination, &settings(), &options()).await.unwrap();
    assert!(report.is_complete() && report.created == 1, "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn a_job_to_be_taken_over_that_is_another_than_was_asked_for_is_asked_for_anew() {
    for lie in [
        r#""start_date":"2020-01-01""#,
        r#""end_date":"2020-01-01""#,
        r#""export_type":"DELTA""#,
        r#""activity_type":"Email""#,
        r#""job_created_time":"2026-03-06T12:00:07Z""#,
    ] {
        let home = tempfile::tempdir().unwrap();
        let destination = Memory::new(home.path());
        let service = Service::new();
        service.twist(|request, reply| {
            let is_data = request.uri().path().ends_with("/data");
            if is_data {
                Scripted::reply(503, r#"{"error":"Unavailable","message":"HTTP 503"}"#)
            } else {
                reply
            }
        });
        let report = run(&service.scripted(), &destination, &settings(), &options()).await.unwrap();
        assert_eq!(report.outcome(), "failed", "{report:?}");
        service.twist(move |request, reply| {
            if request.uri().path().ends_with("/jobs/100") {
                return Scripted::ok(format!(r#"{{"job_id":"100","state":"Completed",{lie}}}"#));
            }
            reply
        });
        let report = run(&service.scripted(), &destination, &settings(), &options()).await.unwrap();
        assert!(report.is_complete(), "{lie}: {report:?}");
        assert_eq!((report.created, report.committed.len()), (1, 4), "{lie}: {report:?}");
        assert!(report.committed.iter().all(|job| job.job_id != "100"), "{lie}: {report:?}");
        assert_eq!(report.watermark, Some(date(2026, 3, 5)));
    }
}

#[tokio::test(start_paused = true)]
async fn work_of_a_kind_whose_key_is_bad_is_not_planned_over_and_over() {
    let mut settings = settings();
    settings.contacts = true;
    settings.since = date(2020, 1, 1);
    for broken in ["/contacts/", "/activities/"] {
        let home = tempfile::tempdir().unwrap();
        let service = Service::new();
        service.twist(move |request, reply| {
            if request.uri().path().contains(broken) {
                return Scripted::reply(403, r#"{"error":"ForbiddenException","message":"HTTP 403"}"#);
            }
            reply
        });
        let (destination, log) = (Memory::new(home.path()), Arc::default());
        let report = run_watched(&service.scripted(), &destination, &settings, &options(), &log).await;
        assert_eq!(report.unwrap().outcome(), "partial");
        assert_eq!(log.count("planned"), 1, "{broken}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_runs_too_long_is_given_up_and_still_counts_as_a_slot() {
    let home = tempfile::tempdir().unwrap();
    let destination = Memory::new(home.path());
    let service = Service::new();
    service.twist(|request, reply| {
        let path = request.uri().path();
        if path.ends_with("/jobs/100") {
            return Scripted::ok(r#"{"job_id":"100","state":"Running"}"#);
        }
        reply
    });
    let mut options = options();
    options.run_limit = Duration::from_secs(60);
    let log = Arc::default();
    let scripted = service.scripted();
    let report = run_watched(&scripted, &destination, &settings(), &options, &log).await.unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(log.count("divided"), 1);
    let facts =
        backstory_sync::LedgerFacts::read(&home.path().join("_backstory/ledger.sqlite")).unwrap().unwrap();
    assert_eq!(facts.open_jobs.len(), 1, "it may still run");
    // Later it has ended, and the next run sees that.
    service.twist(|_, reply| reply);
    run(&scripted, &destination, &settings(), &options).await.unwrap();
    let facts =
        backstory_sync::LedgerFacts::read(&home.path().join("_backstory/ledger.sqlite")).unwrap().unwrap();
    assert!(facts.open_jobs.is_empty());
    assert_eq!(facts.runs.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn contacts_jobs_that_nobody_knows_of_leave_a_slot_to_go_on_with() {
    let home = tempfile::tempdir().unwrap();
    let destination = Memory::new(home.path());
    let service = Service::new();
    let mut settings = settings();
    settings.contacts = true;
    // Killed twice while contacts are asked for.
    for _ in 0..2 {
        service.twist(|request, reply| {
            let is_creation = request.method() == "POST" && request.uri().path().contains("/contacts/");
            if is_creation { Scripted::never() } else { reply }
        });
        let scripted = service.scripted();
        let (options, run_time) = (options(), Duration::from_secs(20));
        let run = tokio::time::timeout(run_time, run(&scripted, &destination, &settings, &options)).await;
        assert!(run.is_err(), "{run:?}");
    }
    let facts =
        backstory_sync::LedgerFacts::read(&home.path().join("_backstory/ledger.sqlite")).unwrap().unwrap();
    assert_eq!(facts.open_jobs.len(), 4, "as many as there are slots of ours: {facts:?}");
    service.twist(|_, reply| reply);
    let begun = tokio::time::Instant::now();
    let report = run(&service.scripted(), &destination, &settings, &options()).await.unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert!(begun.elapsed() < Duration::from_secs(600), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn slots_that_never_become_free_end_the_run_at_its_deadline() {
    let home = tempfile::tempdir().unwrap();
    let destination = Memory::new(home.path());
    let service = Service::new();
    service.twist(|request, reply| {
        if request.method() == "GET" && !request.uri().path().ends_with("/jobs") {
            let id = request.uri().path().rsplit('/').next().unwrap().to_owned();
            return Scripted::ok(format!(r#"{{"job_id":"{id}","state":"Running"}}"#));
        }
        if request.method() == "GET" { Scripted::ok("[]") } else { reply }
    });
    let mut options = options();
    options.wait = options.wait.with_deadline(Some(Duration::from_secs(600)));
    let mut settings = settings();
    settings.since = date(2019, 1, 1);
    let begun = tokio::time::Instant::now();
    let report = run(&service.scripted(), &destination, &settings, &options).await.unwrap();
    assert!(!report.is_complete() && report.committed.is_empty(), "{report:?}");
    assert!(report.failures.iter().all(|failure| failure.error.kind() == ErrorKind::DeadlinePassed));
    assert!(begun.elapsed() < Duration::from_secs(1_300), "{:?}", begun.elapsed());
    let failed: HashSet<_> = report.failures.iter().map(|failure| failure.job.clone()).collect();
    assert_eq!(failed.len(), report.failures.len(), "no job waits for a slot that it has waited for already");
}

/// However many jobs there are to do: none of them waits for the service once more.
#[tokio::test(start_paused = true)]
async fn a_service_that_is_away_is_waited_for_once_and_no_longer_than_the_deadline() {
    // Whole, or where jobs are created only: then the list can be had.
    for only_creations in [false, true] {
        for (deadline, most) in [(None, 700), (Some(Duration::from_secs(30)), 60)] {
            let home = tempfile::tempdir().unwrap();
            let destination = Memory::new(home.path());
            let service = Service::new();
            service.twist(move |request, reply| {
                let is_away = !only_creations || request.method() == "POST";
                if is_away { Scripted::fail_before_send() } else { reply }
            });
            let mut options = options();
            options.wait = options.wait.with_deadline(deadline);
            let mut settings = settings();
            settings.since = date(2019, 1, 1);
            let scripted = service.scripted();
            let begun = tokio::time::Instant::now();
            let report = run(&scripted, &destination, &settings, &options).await.unwrap();
            let took = begun.elapsed();
            assert_eq!(report.outcome(), "failed", "{report:?}");
            assert!(report.failures.iter().all(|failure| failure.error.kind() == ErrorKind::Unavailable));
            assert!(took < Duration::from_secs(most), "{took:?}, {only_creations}, {deadline:?}");
            assert!(
                deadline.is_some() || took > Duration::from_secs(500),
                "an outage is waited for: {took:?}"
            );
            // Nothing is lost by it.
            service.twist(|_, reply| reply);
            let report = run(&scripted, &destination, &settings, &options).await.unwrap();
            assert!(report.is_complete(), "{report:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn future_dates_that_are_refused_make_a_plan_without_them() {
    let home = tempfile::tempdir().unwrap();
    let destination = Memory::new(home.path());
    let service = Service::new();
    // Two jobs are asked for at the same time, and the second is refused when the first refusal is known already.
    let refused = Arc::new(AtomicU64::new(0));
    let refusals = Arc::clone(&refused);
    service.twist(move |request, reply| {
        let body = String::from_utf8_lossy(request.body()).into_owned();
        let end = body.split(r#""end_date":""#).nth(1).map(|rest| rest[..10].to_owned());
        if end.is_some_and(|end| end.as_str() > "2026-03-06") {
            let before = refusals.fetch_add(1, Ordering::Relaxed);
            let refusal = r#"{"error":"BadRequestException","message":"the range lies in the future"}"#;
            return Scripted::reply(400, refusal).after(Duration::from_secs(1 + before));
        }
        reply
    });
    let scripted = service.scripted();
    let report = run(&scripted, &destination, &settings(), &options()).await.unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(refused.load(Ordering::Relaxed), 2, "nothing in the future is asked for once that is refused");
    assert_eq!(report.watermark, Some(date(2026, 3, 5)));
}

#[tokio::test(start_paused = true)]
async fn a_second_run_is_told_who_the_first_is_or_waits_for_it() {
    let home = tempfile::tempdir().unwrap();
    let destination = Memory::new(home.path());
    let scripted = Service::new().scripted();
    let (settings, impatient) = (settings(), options());
    let mut patient = options();
    patient.wait_for_lock = true;
    let first = run(&scripted, &destination, &settings, &impatient);
    let second = run(&scripted, &destination, &settings, &impatient);
    let third = run(&scripted, &destination, &settings, &patient);
    let (first, second, third) = tokio::join!(first, second, third);
    assert!(first.unwrap().is_complete());
    let error = second.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
    assert_eq!(third.unwrap().committed.len(), 1, "today's delta");
}

#[tokio::test(start_paused = true)]
async fn raw_files_are_kept_for_as_long_as_is_asked() {
    let home = tempfile::tempdir().unwrap();
    let destination = Memory::new(home.path());
    let scripted = Service::new().scripted();
    let mut options = options();
    options.keep_raw = KeepRaw::No;
    run(&scripted, &destination, &settings(), &options).await.unwrap();
    assert_eq!(raw_files(home.path(), ".zst"), 0);
    options.keep_raw = KeepRaw::For(jiff::SignedDuration::from_hours(24 * 90));
    run(&scripted, &destination, &settings(), &options).await.unwrap();
    assert_eq!(raw_files(home.path(), ".zst"), 1);
}

#[tokio::test(start_paused = true)]
async fn how_a_job_came_to_a_run_is_told_in_words() {
    assert_eq!(serde_json::to_string(&JobOrigin::TakenOver).unwrap(), r#""taken_over""#);
}

#[tokio::test(start_paused = true)]
async fn verify_reads_every_raw_file_and_names_the_one_that_is_not_what_it_was() {
    let home = tempfile::tempdir().unwrap();
    let destination = Memory::new(home.path());
    let scripted = Service::new().scripted();
    run(&scripted, &destination, &settings(), &options()).await.unwrap();
    let found = backstory_sync::verify(&*destination, None, None).unwrap();
    assert!(found.ok, "{found:?}");
    assert_eq!((found.deliveries, found.raw.proven), (4, 4));
    // The same length, another content.
    let files = service::files(&home.path().join("raw"));
    let name = files.keys().find(|name| name.contains("job-101.") && name.ends_with(".zst")).unwrap();
    let other = service::lines(101).replace("email", "eMail");
    std::fs::write(home.path().join("raw").join(name), zstd::encode_all(other.as_bytes(), 1).unwrap())
        .unwrap();
    let found = backstory_sync::verify(&*destination, None, None).unwrap();
    assert_eq!((found.ok, found.findings.len(), found.raw.proven), (false, 1, 3));
    assert_eq!(found.findings[0].job_id.as_deref(), Some("101"));
    // One that is kept and not in the tables.
    destination.lose("102");
    let found = backstory_sync::verify(&*destination, None, None).unwrap();
    assert_eq!(found.findings.len(), 2, "{found:?}");
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_is_gone_with_all_its_traces_is_named_and_comes_again() {
    let home = tempfile::tempdir().unwrap();
    let destination = Memory::new(home.path());
    let service = Service::new();
    let scripted = service.scripted();
    let mut options = options();
    options.keep_raw = KeepRaw::No;
    run(&scripted, &destination, &settings(), &options).await.unwrap();
    let whole = destination.records().len();
    destination.lose("101");
    let found = backstory_sync::verify(&*destination, None, None).unwrap();
    assert_eq!(found.findings.len(), 1, "{found:?}");
    assert_eq!(found.findings[0].job_id.as_deref(), Some("101"));
    assert!(run(&scripted, &destination, &settings(), &options).await.unwrap().is_complete());
    assert!(destination.records().len() >= whole);
    let found = backstory_sync::verify(&*destination, None, None).unwrap();
    assert!(found.ok, "{found:?}");
}

#[tokio::test(start_paused = true)]
async fn rebuild_loads_what_is_kept_and_names_what_is_not() {
    let home = tempfile::tempdir().unwrap();
    let destination = Memory::new(home.path());
    let scripted = Service::new().scripted();
    let mut options = options();
    options.keep_raw = KeepRaw::No;
    run(&scripted, &destination, &settings(), &options).await.unwrap();
    options.keep_raw = KeepRaw::Forever;
    run(&scripted, &destination, &settings(), &options).await.unwrap();
    let lines = destination.lines();
    destination.lose("104");
    let into: Arc<dyn Destination> = Arc::clone(&destination) as _;
    let observer = Arc::new(backstory_sync::Silent);
    let rebuilt = backstory_sync::rebuild(into, &options, observer, &Stop::new()).await.unwrap();
    assert_eq!((rebuilt.deliveries, rebuilt.not_covered.len()), (1, 4), "{rebuilt:?}");
    assert!(rebuilt.not_covered[0].reason.contains("not kept"));
    assert_eq!(destination.lines(), lines);
}

#[tokio::test(start_paused = true)]
async fn rows_that_cannot_be_read_end_neither_a_verification_nor_a_rebuild() {
    let home = tempfile::tempdir().unwrap();
    let destination = Memory::new(home.path());
    run(&Service::new().scripted(), &destination, &settings(), &options()).await.unwrap();
    destination.damage();
    let found = backstory_sync::verify(&*destination, None, None).unwrap();
    assert_eq!((found.ok, found.raw.proven, &found.activities), (false, 4, &None));
    assert_eq!(found.findings.len(), 2, "{found:?}");
    assert_eq!(found.findings[0].what, Path::new("activities"));
    let into: Arc<dyn Destination> = Arc::clone(&destination) as _;
    let observer = Arc::new(backstory_sync::Silent);
    let rebuilt = backstory_sync::rebuild(into, &options(), observer, &Stop::new()).await.unwrap();
    assert_eq!((rebuilt.deliveries, rebuilt.not_covered.len()), (4, 0));
    assert_eq!((&rebuilt.activities.before, &rebuilt.activities.after), (&None, &None));
}

#[tokio::test(start_paused = true)]
async fn a_damaged_note_is_named_and_keeps_nothing_else_from_being_proven_loaded_or_fetched() {
    let home = tempfile::tempdir().unwrap();
    let destination = Memory::new(home.path());
    let service = Service::new();
    let scripted = service.scripted();
    run(&scripted, &destination, &settings(), &options()).await.unwrap();
    let raw = home.path().join("raw");
    let files = service::files(&raw);
    for id in ["101", "102"] {
        std::fs::write(raw.join(note_of(&files, id)), b"{\"deliv").unwrap();
    }
    // One of a delivery that is in the tables, one of a delivery that isn't.
    destination.lose("102");
    let found = backstory_sync::verify(&*destination, None, None).unwrap();
    assert_eq!((found.ok, found.raw.proven), (false, 2), "{found:?}");
    for id in ["101", "102"] {
        let mut damaged = found.findings.iter().filter(|finding| finding.what.ends_with(note_of(&files, id)));
        let damaged = damaged.next().unwrap_or_else(|| panic!("{id}: {found:?}"));
        assert_eq!(damaged.job_id.as_deref(), Some(id));
        assert!(damaged.problem.contains("damaged"), "{damaged:?}");
    }

    let into: Arc<dyn Destination> = Arc::clone(&destination) as _;
    let observer = Arc::new(backstory_sync::Silent);
    let rebuilt = backstory_sync::rebuild(into, &options(), observer, &Stop::new()).await.unwrap();
    let mut missing: Vec<_> = rebuilt.not_covered.iter().map(|missing| missing.job_id.as_str()).collect();
    missing.sort_unstable();
    assert_eq!((rebuilt.deliveries, missing), (2, vec!["101", "102"]), "{rebuilt:?}");
    assert!(rebuilt.not_covered.iter().all(|missing| missing.reason.contains("damaged")), "{rebuilt:?}");

    let mut options = options();
    options.keep_raw = KeepRaw::For(jiff::SignedDuration::ZERO);
    let report = run(&scripted, &destination, &settings(), &options).await.unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert!(report.committed.iter().any(|job| job.job.window.from == rebuilt.not_covered[0].job.window.from));
}

/// The note of a job's delivery.
fn note_of(files: &std::collections::BTreeMap<String, Vec<u8>>, id: &str) -> String {
    let end = format!("job-{id}.json");
    files.keys().find(|name| name.ends_with(&end)).unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn a_note_that_tells_of_its_delivery_otherwise_than_the_destination_is_named() {
    let home = tempfile::tempdir().unwrap();
    let destination = Memory::new(home.path());
    run(&Service::new().scripted(), &destination, &settings(), &options()).await.unwrap();
    let raw = home.path().join("raw");
    let name = note_of(&service::files(&raw), "101");
    let mut note: serde_json::Value =
        serde_json::from_slice(&std::fs::read(raw.join(&name)).unwrap()).unwrap();
    note["delivery"]["extracted_at"] = "2026-03-07T00:00:00Z".into();
    std::fs::write(raw.join(&name), note.to_string()).unwrap();
    let found = backstory_sync::verify(&*destination, None, None).unwrap();
    assert_eq!((found.findings.len(), found.raw.proven), (1, 3), "{found:?}");
    let finding = &found.findings[0];
    assert_eq!((finding.job_id.as_deref(), &finding.what), (Some("101"), &raw.join(&name)));
    assert!(finding.problem.contains("`extracted_at`: 2026-03-07T00:00:00Z"), "{finding:?}");
}

#[tokio::test(start_paused = true)]
async fn what_was_kept_and_is_gone_is_named_until_a_run_has_taken_note_of_it() {
    let home = tempfile::tempdir().unwrap();
    let destination = Memory::new(home.path());
    let scripted = Service::new().scripted();
    let verify = || backstory_sync::verify(&*destination, None, None).unwrap();
    run(&scripted, &destination, &settings(), &options()).await.unwrap();
    let raw = home.path().join("raw");
    let note = note_of(&service::files(&raw), "101");
    std::fs::remove_file(raw.join(&note)).unwrap();
    let found = verify();
    let named: Vec<_> = found.findings.iter().map(|finding| finding.what.clone()).collect();
    let orphan = raw.join(note.replace(".json", ".0.jsonl.zst"));
    assert_eq!(named, [raw.join(&note), orphan], "{found:?}");
    assert_eq!((found.raw.lost, found.raw.never_kept), (1, 0));

    std::fs::remove_dir_all(&raw).unwrap();
    let found = verify();
    assert_eq!((found.ok, found.findings.len(), found.raw.lost), (false, 1, 4), "{found:?}");
    assert_eq!(found.findings[0].what, raw);
    assert!(found.findings[0].problem.contains("4 deliveries"), "{found:?}");

    // What is known to be gone is no news.
    run(&scripted, &destination, &settings(), &options()).await.unwrap();
    let found = verify();
    assert!(found.ok, "{found:?}");
    assert_eq!((found.raw.lost, found.raw.proven), (4, 1));
    let into: Arc<dyn Destination> = Arc::clone(&destination) as _;
    let observer = Arc::new(backstory_sync::Silent);
    let rebuilt = backstory_sync::rebuild(into, &options(), observer, &Stop::new()).await.unwrap();
    assert_eq!(rebuilt.not_covered.iter().filter(|missing| missing.reason.contains("is gone")).count(), 4);
}

#[tokio::test(start_paused = true)]
async fn what_was_never_kept_is_not_missed() {
    let home = tempfile::tempdir().unwrap();
    let destination = Memory::new(home.path());
    let mut options = options();
    options.keep_raw = KeepRaw::No;
    run(&Service::new().scripted(), &destination, &settings(), &options).await.unwrap();
    let found = backstory_sync::verify(&*destination, None, None).unwrap();
    assert_eq!((found.ok, found.raw.never_kept, found.raw.lost), (true, 4, 0), "{found:?}");
}
