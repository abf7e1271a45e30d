//! A sync that is killed, at any moment and between any two durable writes, and run again comes to the same tables, and
//! creates no job that it could have taken over.
#![cfg(unix)]

mod syncing;

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use backstory_sim::{Resource as SimResource, Sim};
use backstory_tables::Resource;
use syncing::{Scene, ended, spawn, world};

/// Every named step that a first sync comes by, each of the second kind with what must be done before it can be reached.
const STEPS: &[&str] = &[
    "run-noted",
    "intent-noted",
    "intent-noted:3",
    "job-created",
    "job-created:4",
    "job-noted:2",
    "job-completed",
    "job-completed:3",
    "raw-file-landed",
    "raw-file-landed:3",
    "raw-note-landed",
    "raw-note-landed:4",
    "lake-loaded:2",
    "lake-fragment-landed",
    "lake-committed",
    "lake-committed:5",
    "delivery-committed:3",
    "commit-noted",
    "commit-noted:6",
    "destination-settled",
];

/// What the other tests run in a process of its own: one sync.
#[test]
#[ignore = "the other tests of this file run it, in a process that may be killed"]
fn a_sync_of_its_own() {
    syncing::sync_of_its_own();
}

async fn run(sim: &Sim, folder: &Path, fail_at: Option<&str>) -> ExitStatus {
    ended(spawn(sim, folder, "sim-key", fail_at)).await
}

fn was_killed(status: ExitStatus) -> bool {
    status.signal() == Some(9)
}

/// The lake is the truth, and no job was created that could have been taken over.
async fn is_right(scene: &Scene, what: &str) {
    assert_eq!(scene.digest(Resource::Activities, None).await, scene.truth(None).await, "{what}");
    assert_eq!(scene.digest(Resource::Contacts, None).await, scene.contacts_truth().await, "{what}");
    let today = jiff::tz::Offset::UTC.to_datetime(scene.sim.clock().now()).date();
    let mut asked: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for job in scene.sim.jobs().list() {
        // Today is asked for by every run that was not killed before it came to that; contacts have no list in which a
        // lost job could be found.
        if job.resource == SimResource::Activities && job.end_date != today {
            let spec = format!("{:?} {}..{}", job.export_type, job.start_date, job.end_date);
            asked.entry(spec).or_default().push(job.id);
        }
    }
    assert!(asked.values().all(|jobs| jobs.len() == 1), "{what}: {asked:?}");
    let verified = tokio::task::spawn_blocking({
        let lake = scene.lake();
        move || backstory_sync::verify(&lake, None, None).unwrap()
    });
    let verified = verified.await.unwrap();
    assert!(verified.ok, "{what}: {:?}", verified.findings);
}

fn small() -> backstory_sim::Builder {
    world().activities(250).contacts(80)
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_named_step_it_goes_on_as_if_nothing_had_been() {
    for step in STEPS {
        let scene = Scene::new(small()).await;
        let killed = run(&scene.sim, &scene.folder(), Some(step)).await;
        assert!(was_killed(killed), "{step} is a step that a first sync comes by: {killed}");
        let again = run(&scene.sim, &scene.folder(), None).await;
        assert!(again.success(), "{step}: {again}");
        is_right(&scene, step).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_it_recovers_from_being_killed_it_still_goes_on() {
    for (first, second) in [("job-created:2", "job-adopted"), ("raw-note-landed:2", "delivery-reloaded")] {
        let scene = Scene::new(small()).await;
        let what = format!("{first}, then {second}");
        assert!(was_killed(run(&scene.sim, &scene.folder(), Some(first)).await), "{what}");
        assert!(was_killed(run(&scene.sim, &scene.folder(), Some(second)).await), "{what}");
        assert!(run(&scene.sim, &scene.folder(), None).await.success(), "{what}");
        is_right(&scene, &what).await;
    }
}

/// Kills a run once the service has had so many requests.
async fn kill_after(scene: &Scene, requests: u64) -> ExitStatus {
    let count =
        |sim: &Sim| -> u64 { sim.report().requests.values().flat_map(|by_status| by_status.values()).sum() };
    let before = count(&scene.sim);
    let mut child = spawn(&scene.sim, &scene.folder(), "sim-key", None);
    let mut ticks = tokio::time::interval(Duration::from_millis(1));
    loop {
        ticks.tick().await;
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if count(&scene.sim) - before >= requests {
            // It may just have ended by itself.
            let _ = child.kill();
            return ended(child).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_twice_at_seeded_moments_it_comes_to_the_same_tables() {
    let mut killed = 0;
    for seed in 0..6_u64 {
        let scene = Scene::new(small()).await;
        // Some twenty to forty requests make a first sync; the second kill comes while the first is recovered from.
        let moments = [1 + seed * 5, 1 + (seed * 7) % 11];
        for requests in moments {
            killed += u32::from(was_killed(kill_after(&scene, requests).await));
        }
        let again = run(&scene.sim, &scene.folder(), None).await;
        let what = format!("seed {seed}, killed after {moments:?} requests");
        assert!(again.success(), "{what}: {again}");
        is_right(&scene, &what).await;
    }
    assert!(killed >= 9, "of twelve kills, {killed} met a process that ran");
}
