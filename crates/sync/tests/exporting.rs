//! Exports against a service in memory: what lands, what a second run keeps, and what happens when things go wrong.

mod service;

use std::sync::Arc;
use std::time::Duration;

use backstory_api::{BaseUrl, ContactsFormat};
use backstory_sync::{BadRowPolicy, ErrorKind, MANIFEST, Manifest, OutputFormat, Report, Silent, export};
use backstory_transport::Scripted;
use service::{Service, activities, client, contacts, files, lines, options, plan};

const RANGE: &str = "2025-01-01..2026-03-01";

async fn run(
    service: &Arc<Service>,
    folder: &std::path::Path,
    change: impl FnOnce(&mut backstory_sync::ExportOptions),
) -> Report {
    let mut options = options(folder, OutputFormat::JsonLines);
    change(&mut options);
    export(&client(&service.scripted()), &plan(activities(), RANGE), &options, Arc::new(Silent))
        .await
        .unwrap()
}

fn posts(asked: &[backstory_transport::Request]) -> usize {
    asked.iter().filter(|request| request.method() == "POST").count()
}

#[tokio::test]
async fn json_lines_land_as_they_were_delivered() {
    let (service, folder) = (Service::new(), tempfile::tempdir().unwrap());
    let report = run(&service, folder.path(), |_| {}).await;
    assert!(report.is_complete());
    assert_eq!((report.rows(), report.windows.len(), report.reused), (6, 2, 0));
    assert_eq!(report.rows_by_month()["2026-01"], 4);
    let files = files(folder.path());
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "activities/activities_snapshot_all_2025-01-01_2025-12-31.jsonl",
            "activities/activities_snapshot_all_2026-01-01_2026-03-01.jsonl",
            MANIFEST
        ]
    );
    let mut delivered: Vec<&[u8]> = files.values().take(2).map(Vec::as_slice).collect();
    delivered.sort_unstable();
    assert_eq!(delivered, [lines(100).as_bytes(), lines(101).as_bytes()]);
}

#[tokio::test]
async fn every_format_lands_the_same_rows() {
    for (format, tables) in [
        (OutputFormat::Parquet, vec![("activities", 6)]),
        (OutputFormat::Csv, vec![("activities", 6), ("campaigns", 2), ("participants", 10)]),
    ] {
        let (service, folder) = (Service::new(), tempfile::tempdir().unwrap());
        let report = run(&service, folder.path(), |options| options.format = format).await;
        let found: Vec<(String, u64)> = report.rows_by_table().into_iter().collect();
        let expected: Vec<(String, u64)> =
            tables.into_iter().map(|(name, rows)| (name.to_owned(), rows)).collect();
        assert_eq!(found, expected);
    }
}

#[tokio::test]
async fn contacts_land_in_every_format_beside_activities() {
    for (format, ending) in
        [(OutputFormat::JsonLines, "jsonl"), (OutputFormat::Csv, "csv"), (OutputFormat::Parquet, "parquet")]
    {
        let (service, folder) = (Service::new(), tempfile::tempdir().unwrap());
        run(&service, folder.path(), |options| options.format = format).await;
        let plan = plan(contacts(), "2026-01-01..2026-02-01");
        let options = options(folder.path(), format);
        let report = export(&client(&service.scripted()), &plan, &options, Arc::new(Silent)).await.unwrap();
        assert_eq!(report.rows(), 2);
        let name = format!("contacts/contacts_2026-01-01_2026-02-01.{ending}");
        let content = &files(folder.path())[&name];
        if format == OutputFormat::JsonLines {
            let expected = "{\"email\":\"a@x.example\",\"total_meetings\":1}\n{\"email\":\"b@x.example\"}\n";
            assert_eq!(std::str::from_utf8(content).unwrap(), expected);
        }
        assert_eq!(Manifest::read(folder.path()).unwrap().exports.len(), 2);
    }
}

#[tokio::test]
async fn contacts_are_asked_for_in_the_form_that_is_chosen_and_land_the_same() {
    for format in [OutputFormat::JsonLines, OutputFormat::Csv] {
        let mut landed = Vec::new();
        for (wire, word) in [(ContactsFormat::Csv, "CSV"), (ContactsFormat::Json, "JSON")] {
            let (service, folder) = (Service::new(), tempfile::tempdir().unwrap());
            let scripted = service.scripted();
            let mut options = options(folder.path(), format);
            options.contacts_wire = Some(wire);
            let plan = plan(contacts(), "2026-01-01..2026-02-01");
            export(&client(&scripted), &plan, &options, Arc::new(Silent)).await.unwrap();
            let asked = scripted.requests().iter().any(|request| {
                let body = String::from_utf8_lossy(request.body()).into_owned();
                body.contains(&format!(r#""output_format":"{word}""#))
            });
            assert!(asked, "{word}");
            let files = files(folder.path());
            let (_, content) = files.iter().find(|(name, _)| name.starts_with("contacts/")).unwrap();
            landed.push(String::from_utf8(content.clone()).unwrap());
        }
        if format == OutputFormat::JsonLines {
            assert_eq!(landed[0], landed[1]);
        } else {
            assert_eq!(landed[0].lines().count(), landed[1].lines().count());
        }
    }
}

#[tokio::test]
async fn a_second_run_asks_for_nothing_and_a_damaged_window_is_fetched_again() {
    let (service, folder) = (Service::new(), tempfile::tempdir().unwrap());
    run(&service, folder.path(), |_| {}).await;
    let before = files(folder.path());

    let scripted = service.scripted();
    let again = options(folder.path(), OutputFormat::JsonLines);
    let report =
        export(&client(&scripted), &plan(activities(), RANGE), &again, Arc::new(Silent)).await.unwrap();
    assert_eq!((report.reused, report.rows()), (2, 6));
    assert!(scripted.requests().is_empty());
    assert_eq!(files(folder.path()), before);

    let damaged = before.keys().next().unwrap();
    std::fs::write(folder.path().join(damaged), "x").unwrap();
    let report = run(&service, folder.path(), |_| {}).await;
    assert_eq!((report.reused, report.rows()), (1, 6));
}

#[tokio::test]
async fn another_exports_folder_is_left_alone_unless_told_otherwise() {
    let (service, folder) = (Service::new(), tempfile::tempdir().unwrap());
    run(&service, folder.path(), |_| {}).await;
    let before = files(folder.path());
    let other = plan(activities(), "2024-01-01..2024-02-01");
    let mut options = options(folder.path(), OutputFormat::JsonLines);
    let error = export(&client(&service.scripted()), &other, &options, Arc::new(Silent)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Occupied);
    assert!(error.hint().unwrap().contains("--force"));
    assert_eq!(files(folder.path()), before);

    options.overwrite = true;
    export(&client(&service.scripted()), &other, &options, Arc::new(Silent)).await.unwrap();
    let after = files(folder.path());
    let names: Vec<&str> = after.keys().map(String::as_str).collect();
    assert_eq!(names, ["activities/activities_snapshot_all_2024-01-01_2024-02-01.jsonl", MANIFEST]);
}

#[tokio::test]
async fn a_strangers_file_is_never_overwritten() {
    let (service, folder) = (Service::new(), tempfile::tempdir().unwrap());
    let path = folder.path().join("activities/activities_snapshot_all_2025-01-01_2025-12-31.jsonl");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, "mine").unwrap();
    let options = options(folder.path(), OutputFormat::JsonLines);
    let outcome =
        export(&client(&service.scripted()), &plan(activities(), RANGE), &options, Arc::new(Silent)).await;
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Occupied);
    assert_eq!(std::fs::read(&path).unwrap(), b"mine");
}

#[tokio::test]
async fn two_exports_at_once_into_one_folder_are_kept_apart() {
    let (service, folder) = (Service::new(), tempfile::tempdir().unwrap());
    let lock = std::fs::File::create(folder.path().join(".backstory.lock")).unwrap();
    lock.lock().unwrap();
    let options = options(folder.path(), OutputFormat::JsonLines);
    let outcome =
        export(&client(&service.scripted()), &plan(activities(), RANGE), &options, Arc::new(Silent)).await;
    assert!(outcome.unwrap_err().to_string().contains("another export is writing"));
}

#[tokio::test]
async fn a_download_that_never_comes_whole_lands_nothing() {
    let (service, folder) = (Service::new(), tempfile::tempdir().unwrap());
    service.twist(
        |request, reply| if request.uri().path().ends_with("100/data") { reply.cut_at(120) } else { reply },
    );
    let report = run(&service, folder.path(), |_| {}).await;
    assert_eq!((report.failures.len(), report.windows.len()), (1, 1));
    assert_eq!(report.failures[0].kind(), ErrorKind::Unavailable);
    assert_eq!(files(folder.path()).len(), 2, "one window and the manifest, and nothing half-written");
}

#[tokio::test]
async fn a_later_run_takes_over_the_jobs_of_an_earlier_one() {
    let (service, folder) = (Service::new(), tempfile::tempdir().unwrap());
    service.twist(
        |request, reply| if request.uri().path().ends_with("/data") { reply.cut_at(120) } else { reply },
    );
    let report = run(&service, folder.path(), |_| {}).await;
    assert_eq!((report.failures.len(), report.windows.len()), (2, 0));
    service.twist(|_, reply| reply);
    let scripted = service.scripted();
    let options = options(folder.path(), OutputFormat::JsonLines);
    let report =
        export(&client(&scripted), &plan(activities(), RANGE), &options, Arc::new(Silent)).await.unwrap();
    assert_eq!(report.rows(), 6);
    assert_eq!(posts(&scripted.requests()), 0);
}

/// Another service behind the same address, or a simulator that was started anew, has another job under the same id.
#[tokio::test]
async fn a_job_that_asks_for_something_else_is_not_taken_over() {
    let (service, folder) = (Service::new(), tempfile::tempdir().unwrap());
    service.twist(
        |request, reply| if request.uri().path().ends_with("/data") { reply.cut_at(120) } else { reply },
    );
    run(&service, folder.path(), |_| {}).await;
    let anew = Service::new();
    let other_folder = tempfile::tempdir().unwrap();
    let other = options(other_folder.path(), OutputFormat::JsonLines);
    let january = plan(activities(), "2024-01-01..2024-01-31");
    export(&client(&anew.scripted()), &january, &other, Arc::new(Silent)).await.unwrap();
    // Job 100 is of January now, and 101 isn't there.
    let scripted = anew.scripted();
    let options = options(folder.path(), OutputFormat::JsonLines);
    let report =
        export(&client(&scripted), &plan(activities(), RANGE), &options, Arc::new(Silent)).await.unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(posts(&scripted.requests()), 2);
    assert!(report.windows.iter().all(|window| window.job.id != "100"), "{report:?}");
}

#[tokio::test]
async fn the_same_export_of_another_service_is_another_export() {
    let (service, folder) = (Service::new(), tempfile::tempdir().unwrap());
    run(&service, folder.path(), |_| {}).await;
    let scripted = service.scripted();
    let elsewhere = backstory_api::Client::builder(BaseUrl::parse("http://other.example").unwrap())
        .adapter(scripted.clone())
        .tokens(backstory_auth::FixedToken::new("t").unwrap())
        .build()
        .unwrap();
    let options = options(folder.path(), OutputFormat::JsonLines);
    let error = export(&elsewhere, &plan(activities(), RANGE), &options, Arc::new(Silent)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Occupied);
    let words =
        "a snapshot of all activities, 2025-01-01 to 2026-03-01, as jsonl from http://service.example";
    assert!(error.to_string().contains(words), "{error}");
    assert!(scripted.requests().is_empty());
    // A manifest of the time before services were noted goes on.
    let manifest = folder.path().join(MANIFEST);
    let mut text: serde_json::Value = serde_json::from_slice(&std::fs::read(&manifest).unwrap()).unwrap();
    text["exports"][0]["request"].as_object_mut().unwrap().remove("service");
    std::fs::write(&manifest, text.to_string()).unwrap();
    assert_eq!(run(&service, folder.path(), |_| {}).await.reused, 2);
}

#[tokio::test]
async fn a_replacement_that_fails_leaves_what_it_would_replace() {
    let (service, folder) = (Service::new(), tempfile::tempdir().unwrap());
    run(&service, folder.path(), |_| {}).await;
    let before = files(folder.path());
    let other = plan(activities(), "2024-01-01..2024-02-01");
    let mut forced = options(folder.path(), OutputFormat::JsonLines);
    forced.overwrite = true;
    // Nothing is begun: all is as it was.
    service.twist(|_, _| Scripted::reply(401, "{}"));
    let report = export(&client(&service.scripted()), &other, &forced, Arc::new(Silent)).await.unwrap();
    assert!(!report.is_complete());
    assert_eq!(files(folder.path()), before);
    service.twist(|_, reply| reply);
    assert_eq!(run(&service, folder.path(), |_| {}).await.reused, 2);
    // A job is begun and nothing lands: what is to be replaced stays, and goes when the replacement is there.
    service.twist(
        |request, reply| if request.uri().path().ends_with("/data") { reply.cut_at(120) } else { reply },
    );
    export(&client(&service.scripted()), &other, &forced, Arc::new(Silent)).await.unwrap();
    let names = |files: std::collections::BTreeMap<String, Vec<u8>>| files.into_keys().collect::<Vec<_>>();
    assert_eq!(names(files(folder.path())), names(before));
    service.twist(|_, reply| reply);
    for overwrite in [false, true] {
        forced.overwrite = overwrite;
        let report = export(&client(&service.scripted()), &other, &forced, Arc::new(Silent)).await.unwrap();
        assert!(report.is_complete());
        assert_eq!(
            names(files(folder.path())),
            ["activities/activities_snapshot_all_2024-01-01_2024-02-01.jsonl", MANIFEST]
        );
    }
}

#[tokio::test]
async fn an_export_that_has_fetched_nothing_claims_no_folder() {
    let (service, folder) = (Service::new(), tempfile::tempdir().unwrap());
    service.twist(|_, _| Scripted::reply(403, "{}"));
    assert!(!run(&service, folder.path(), |_| {}).await.is_complete());
    assert!(files(folder.path()).is_empty());
    service.twist(|_, reply| reply);
    let other = plan(activities(), "2024-01-01..2024-02-01");
    let options = options(folder.path(), OutputFormat::JsonLines);
    let report = export(&client(&service.scripted()), &other, &options, Arc::new(Silent)).await.unwrap();
    assert!(report.is_complete());
}

/// They are in no list, but the service counts them with those that are.
#[tokio::test(start_paused = true)]
async fn contacts_wait_for_room_too_where_the_list_can_be_had() {
    let (service, folder) = (Service::new(), tempfile::tempdir().unwrap());
    let full: Vec<String> = (0..10)
        .map(|id| format!(r#"{{"job_id":"{id}","state":"{}"}}"#, if id < 2 { "Running" } else { "Queued" }))
        .collect();
    let full = format!("[{}]", full.join(","));
    service.twist(move |request, reply| {
        let is_list = request.method() == "GET" && request.uri().path().ends_with("/jobs");
        if is_list { Scripted::ok(full.clone()) } else { reply }
    });
    let plan = plan(contacts(), "2026-01-01..2026-02-01");
    let mut options = options(folder.path(), OutputFormat::JsonLines);
    options.wait = options.wait.with_deadline(Some(Duration::from_secs(60)));
    let scripted = service.scripted();
    let report = export(&client(&scripted), &plan, &options, Arc::new(Silent)).await.unwrap();
    assert_eq!(report.failures[0].kind(), ErrorKind::DeadlinePassed, "{report:?}");
    assert_eq!(posts(&scripted.requests()), 0);
    // Who may not see the list goes on without.
    service.twist(|request, reply| {
        let is_list = request.method() == "GET" && request.uri().path().ends_with("/jobs");
        if is_list { Scripted::reply(403, "{}") } else { reply }
    });
    let report = export(&client(&service.scripted()), &plan, &options, Arc::new(Silent)).await.unwrap();
    assert!(report.is_complete(), "{report:?}");
}

#[tokio::test]
async fn a_manifest_that_names_files_elsewhere_is_not_believed() {
    let (service, folder) = (Service::new(), tempfile::tempdir().unwrap());
    let victim = folder.path().join("victim.txt");
    let exports = folder.path().join("exports");
    for path in [victim.to_str().unwrap(), "../victim.txt", "activities/../../victim.txt"] {
        std::fs::write(&victim, "mine").unwrap();
        let _ = std::fs::remove_dir_all(&exports);
        run(&service, &exports, |_| {}).await;
        let manifest = exports.join(MANIFEST);
        let mut text: serde_json::Value = serde_json::from_slice(&std::fs::read(&manifest).unwrap()).unwrap();
        text["exports"][0]["windows"][0]["files"][0]["path"] = path.into();
        std::fs::write(&manifest, text.to_string()).unwrap();
        let mut options = options(&exports, OutputFormat::JsonLines);
        let other = plan(activities(), "2024-01-01..2024-02-01");
        let error =
            export(&client(&service.scripted()), &other, &options, Arc::new(Silent)).await.unwrap_err();
        assert!(error.to_string().contains("is not in the folder"), "{error}");
        options.overwrite = true;
        export(&client(&service.scripted()), &other, &options, Arc::new(Silent)).await.unwrap();
        assert_eq!(std::fs::read(&victim).unwrap(), b"mine");
    }
}

#[tokio::test]
async fn bad_rows_are_set_apart_with_their_raw_bytes_or_refused() {
    let twist = |service: &Arc<Service>| {
        service.twist(|request, reply| {
            if request.uri().path().ends_with("100/data") {
                Scripted::ok(format!("{}{{\"uid\":,}}\n", lines(100)))
            } else {
                reply
            }
        });
    };
    let (service, folder) = (Service::new(), tempfile::tempdir().unwrap());
    twist(&service);
    let report = run(&service, folder.path(), |_| {}).await;
    assert_eq!((report.rows(), report.bad_rows(), report.failures.len()), (6, 1, 0));
    assert!(!report.is_complete());
    let files = files(folder.path());
    let quarantine = files.iter().find(|(name, _)| name.contains("quarantine")).unwrap();
    assert!(std::str::from_utf8(quarantine.1).unwrap().contains(r#"{\"uid\":,}"#), "{quarantine:?}");
    assert!(
        files.iter().any(|(_, content)| *content == lines(100).into_bytes()),
        "the good rows are as delivered"
    );

    for policy in [BadRowPolicy::Fail, BadRowPolicy::Quarantine { most: 0 }] {
        let (service, folder) = (Service::new(), tempfile::tempdir().unwrap());
        twist(&service);
        let report = run(&service, folder.path(), |options| options.bad_rows = policy).await;
        assert_eq!((report.windows.len(), report.failures[0].kind()), (1, ErrorKind::BadData));
        assert!(
            !service::files(folder.path())
                .keys()
                .any(|name| name.contains("quarantine") || name.contains("partial"))
        );
    }
}

#[tokio::test]
async fn html_in_place_of_a_result_is_no_result() {
    let (service, folder) = (Service::new(), tempfile::tempdir().unwrap());
    service.twist(|request, reply| {
        if request.uri().path().ends_with("/data") { Scripted::ok("<html>Sign in</html>") } else { reply }
    });
    let report = run(&service, folder.path(), |_| {}).await;
    assert_eq!((report.windows.len(), report.failures.len()), (0, 2));
    assert_eq!(report.failures[0].kind(), ErrorKind::BadData);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_fails_or_never_ends_leaves_the_other_window_whole() {
    for (state, kind) in
        [("Failed", ErrorKind::Job), ("Canceled", ErrorKind::Job), ("Running", ErrorKind::DeadlinePassed)]
    {
        let (service, folder) = (Service::new(), tempfile::tempdir().unwrap());
        service.twist(move |request, reply| match request.uri().path() {
            "/pull/v1/export/activities/jobs/100" => {
                Scripted::ok(format!(r#"{{"job_id":"100","state":"{state}"}}"#))
            }
            _ => reply,
        });
        let report = run(&service, folder.path(), |options| {
            options.wait = options.wait.clone().with_deadline(Some(Duration::from_secs(600)));
        })
        .await;
        assert_eq!((report.windows.len(), report.failures[0].kind()), (1, kind), "{state}");
        assert!(report.failures[0].window().is_some());
    }
}

#[tokio::test]
async fn refused_credentials_end_the_export_at_once() {
    let (service, folder) = (Service::new(), tempfile::tempdir().unwrap());
    service.twist(|_, _| Scripted::reply(401, r#"{"error":"UnauthorizedException","message":"no"}"#));
    let report = run(&service, folder.path(), |_| {}).await;
    assert_eq!(report.failures[0].kind(), ErrorKind::Authentication);
}

#[tokio::test]
async fn never_more_jobs_are_outstanding_than_the_slots_allow() {
    let (service, folder) = (Service::new(), tempfile::tempdir().unwrap());
    let scripted = service.scripted();
    let plan = plan(activities(), "2020-01-01..2026-03-01");
    let options = options(folder.path(), OutputFormat::JsonLines);
    let report = export(&client(&scripted), &plan, &options, Arc::new(Silent)).await.unwrap();
    assert_eq!(report.rows(), 3 * plan.windows().len() as u64);
    let mut outstanding = std::collections::BTreeSet::new();
    let mut most = 0;
    let mut next = 100;
    for request in scripted.requests() {
        let path = request.uri().path().to_owned();
        if request.method() == "POST" {
            outstanding.insert(next.to_string());
            next += 1;
        } else if let Some(id) = path.split('/').nth(6).filter(|_| !path.ends_with("/data")) {
            outstanding.remove(id);
        }
        most = most.max(outstanding.len());
    }
    assert!((2..=4).contains(&most), "{most}");
}

#[test]
fn an_export_that_is_dropped_leaves_no_half_file() {
    let (service, folder) = (Service::new(), tempfile::tempdir().unwrap());
    service.twist(
        |request, reply| if request.uri().path().ends_with("/data") { reply.stall_at(100) } else { reply },
    );
    let scripted = service.scripted();
    let (client, plan) = (client(&scripted), plan(activities(), RANGE));
    let options = options(folder.path(), OutputFormat::JsonLines);
    let (seen, mut downloads) = tokio::sync::mpsc::unbounded_channel();
    struct Watcher(tokio::sync::mpsc::UnboundedSender<()>);
    impl backstory_sync::Observer for Watcher {
        fn on_event(&self, event: backstory_sync::Event<'_>) {
            if let backstory_sync::Event::JobState { job, .. } = event
                && job.has_ended()
            {
                let _ = self.0.send(());
            }
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::select! {
            outcome = export(&client, &plan, &options, Arc::new(Watcher(seen))) => panic!("{outcome:?}"),
            _ = async { downloads.recv().await; downloads.recv().await } => {}
        }
    });
    // The decoding threads notice that nobody feeds them. The runtime's end waits for them, as a process's does: one of them
    // may just be about to begin its file.
    drop(runtime);
    assert_eq!(files(folder.path()).into_keys().collect::<Vec<_>>(), [MANIFEST]);
}
