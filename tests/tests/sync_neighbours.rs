//! Three syncs of different destinations and one foreign program share the organisation's job slots: all of them come to
//! their end, nobody's job is touched, and the service is spared.

mod syncing;

use std::time::Duration;

use backstory_api::{ActivityType, WaitPolicy};
use backstory_lake::Lake;
use backstory_limits::ExportKind;
use backstory_sim::Key;
use backstory_tables::Resource;
use syncing::{Scene, client, ended, spawn, world};

/// What the syncs run in a process of its own.
#[test]
#[ignore = "the other test of this file runs it, in a process of its own"]
fn a_sync_of_its_own() {
    let mut settings = syncing::settings();
    // The list shows no contacts jobs, and nothing that others ask for at the same moment. So that all four programs keep
    // to ten whatever the moment, each of the three syncs may have three.
    settings.slots.waiting = 1;
    syncing::sync_of_its_own_with(&settings);
}

/// Another program of the organisation: one export after the other, waiting for each.
async fn foreign_program(url: String) {
    let client = client(&url, "foreign");
    let mut wait = WaitPolicy::default().with_first_poll(Duration::from_millis(20));
    wait.longest_pause = Duration::from_millis(100);
    for month in 1..=5 {
        let range = format!("2026-0{month}-01..2026-0{month}-14").parse().unwrap();
        let export =
            client.activities().export(range).kind(ExportKind::Delta).activity_type(ActivityType::Email);
        let job = export.start_with(&wait).await.unwrap();
        let done = job.wait_with(&wait, |_| {}).await.unwrap();
        job.result_of(&done).to_writer(std::io::sink()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_syncs_and_a_foreign_program_share_the_queue_in_peace() {
    let keys = ["one", "two", "three", "foreign"];
    let world =
        keys.iter().fold(world().activities(400).job_time(Duration::from_millis(150)), |world, key| {
            world.key(format!("any:{key}:sim-secret").parse::<Key>().unwrap())
        });
    let scene = Scene::new(world).await;
    let folders: Vec<_> = keys[..3].iter().map(|key| scene.folder().join(key)).collect();
    let foreign = tokio::spawn(foreign_program(scene.sim.base_url().to_owned()));
    let children: Vec<_> =
        keys.iter().zip(&folders).map(|(key, folder)| spawn(&scene.sim, folder, key, None)).collect();
    for child in children {
        let status = ended(child).await;
        assert!(status.success(), "{status}");
    }
    foreign.await.unwrap();

    let report = scene.sim.report();
    let jobs = scene.sim.jobs().list();
    // Every window is done, in every destination.
    for folder in folders {
        let lake = Lake::open(folder).unwrap();
        let digest = tokio::task::spawn_blocking(move || {
            backstory_destination::Destination::digest(&lake, Resource::Activities, None).unwrap()
        });
        assert_eq!(digest.await.unwrap(), scene.truth(None).await);
    }
    // No job was touched by anybody but who had created it.
    for job in &jobs {
        let users: Vec<&String> = job.used_by.keys().collect();
        assert_eq!((users, job.state), (vec![&job.created_by], "Completed"), "{job:?}");
    }
    // The foreign program waited for no more than what stood before it in the queue, which was never full of ours.
    let waited = jobs.iter().filter(|job| job.created_by == "foreign").map(|job| job.waited).max().unwrap();
    println!("the foreign program waited for {waited:?} at the most");
    assert!(waited < Duration::from_millis(150) * 12, "{waited:?}");
    assert!(report.most_outstanding <= 10 && report.most_running <= 2, "{report:?}");
    let refused: u64 = report.refusals.values().sum();
    println!("the queue refused {refused} creations of {}", jobs.len());
    assert!(refused <= 3, "{:?}", report.refusals);
    // For each job of a sync: its creation, its polls, its file, and looks at the list while it waits.
    for key in &keys[..3] {
        let of = &report.keys[*key];
        println!("{key}: {} requests for {} jobs", of.requests, of.jobs_created);
        assert!(of.requests <= of.jobs_created * 60, "{key}: {of:?}");
        assert!(of.most_outstanding <= 3, "{key}: {of:?}");
    }
    assert!(report.findings.is_empty(), "{:?}", report.findings);
}
