//! After every sync the lake is the truth: at ten moments, with the simulator playing each way in which the service may
//! behave, and with what goes wrong.

mod syncing;

use std::collections::BTreeMap;

use backstory_destination::DeliveryKind;
use backstory_sim::{Faults, Switch, WindowKind};
use backstory_tables::{OutputFormat, Resource};
use jiff::SignedDuration;
use serde_json::Value;
use syncing::{Scene, world};

/// How far the clock moves before each of the ten moments: within a day, over midnights, over a weekend, over a holiday.
const STEPS: [i64; 10] = [0, 5, 16, 24, 30, 72, 20 * 24, 12, 48, 7];

async fn ten_moments(scene: Scene, what: &str) {
    moments(scene, &STEPS, what).await;
}

async fn moments(mut scene: Scene, steps: &[i64], what: &str) {
    scene.settings.contacts_every = SignedDuration::from_hours(12);
    let mut watermark = None;
    for (moment, &hours) in steps.iter().enumerate() {
        scene.sim.clock().advance(SignedDuration::from_hours(hours));
        let report = scene.sync_until_whole().await;
        let what = format!("{what}, moment {moment}: {report:?}");
        assert!(report.watermark >= watermark, "{what}");
        watermark = report.watermark;
        // The clock stands while a sync runs, so everything there is has been processed, today included.
        assert_eq!(scene.digest(Resource::Activities, None).await, scene.truth(None).await, "{what}");
        if report.committed.iter().any(|job| job.job.kind == DeliveryKind::Contacts) {
            assert_eq!(scene.digest(Resource::Contacts, None).await, scene.contacts_truth().await, "{what}");
        }
    }
    let now = scene.sim.clock().now();
    let yesterday = jiff::tz::Offset::UTC.to_datetime(now).date().yesterday().unwrap();
    assert_eq!(watermark, Some(yesterday), "{what}: by then, yesterday has settled");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lake_is_the_truth_at_ten_moments_and_up_to_each_watermark() {
    let mut scene = Scene::new(world()).await;
    scene.settings.through = backstory_sync::Through::Yesterday;
    for hours in STEPS {
        scene.sim.clock().advance(SignedDuration::from_hours(hours));
        let report = scene.sync_until_whole().await;
        let through = report.watermark;
        assert!(through.is_some());
        let (found, due) = (scene.digest(Resource::Activities, through).await, scene.truth(through).await);
        assert_eq!(found, due, "{report:?}");
        // Whatever was processed later is no older than it was at the watermark.
        let midnight =
            jiff::tz::Offset::UTC.to_timestamp(through.unwrap().tomorrow().unwrap().at(0, 0, 0, 0)).unwrap();
        let held = ingested(&current(&scene));
        let truth = scene.sim.truth();
        for record in truth.activity_records(midnight - SignedDuration::from_secs(1), None) {
            let record: Value = serde_json::from_slice(&record).unwrap();
            let Some(uid) = record["uid"].as_str() else { continue };
            let then = record["ingest_timestamp"].as_str().unwrap();
            assert!(held.get(uid).is_some_and(|held| held.as_str() >= then.trim_end_matches('Z')), "{uid}");
        }
    }
    ten_moments(Scene::new(world()).await, "the defaults").await;
}

/// The current activities, as canonical JSON.
fn current(scene: &Scene) -> Vec<Value> {
    let out = tempfile::tempdir().unwrap();
    let exported = scene.lake().export_current(OutputFormat::JsonLines, out.path()).unwrap();
    let text = std::fs::read_to_string(&exported.files[0]).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn ingested(records: &[Value]) -> BTreeMap<String, String> {
    // A few records have no uid (contract (e.3)); the hashes cover them.
    let of = |record: &Value, name: &str| Some(record[name].as_str()?.to_owned());
    records.iter().filter_map(|record| Some((of(record, "uid")?, of(record, "ingest_timestamp")?))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lake_is_the_truth_however_deltas_and_ingest_times_behave() {
    for switches in [
        &["j41=first"][..],
        &["j42=processing"],
        &["j43=each"],
        &["j44=latest"],
        &["j41=first", "j42=processing", "j43=each", "j44=latest", "j24=duplicated"],
    ] {
        let world =
            switches.iter().fold(world(), |world, text| world.switch(text.parse::<Switch>().unwrap()));
        // Half of the moments, for all of the positions.
        let steps = [0, 16, 30, 20 * 24, 31];
        moments(Scene::new(world).await, &steps, &switches.join(" ")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_refuses_future_dates_is_followed_day_by_day() {
    let scene = Scene::new(world().switch("j26=future-400".parse().unwrap())).await;
    for hours in STEPS {
        scene.sim.clock().advance(SignedDuration::from_hours(hours));
        let report = scene.sync_until_whole().await;
        let now = scene.sim.clock().now();
        let today = jiff::tz::Offset::UTC.to_datetime(now).date();
        assert!(report.watermark.is_some(), "{report:?}");
        // Every activity that has taken place is there, in its latest version.
        let due = scene.sim.truth().window(WindowKind::Snapshot, None, scene.settings.since, today, now);
        let past: Vec<Value> = current(&scene)
            .into_iter()
            .filter(|record| record["timestamp"].as_str().unwrap()[..10] <= *today.to_string())
            .collect();
        assert_eq!(past.len() as u64, due.count, "{report:?}");
        let held = ingested(&past);
        for record in scene.sim.truth().activity_records(now, None) {
            let record: Value = serde_json::from_slice(&record).unwrap();
            if record["timestamp"].as_str().unwrap()[..10] > *today.to_string() {
                continue;
            }
            let Some(uid) = record["uid"].as_str() else { continue };
            let due = record["ingest_timestamp"].as_str().unwrap().trim_end_matches('Z');
            assert!(held[uid].starts_with(due), "{uid}: {} instead of {due}", held[uid]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lake_is_the_truth_under_a_flaky_service_and_under_chaos() {
    for preset in ["flaky", "chaos"] {
        let scene = Scene::new(world().seed(5).faults(Faults::preset(preset).unwrap())).await;
        ten_moments(scene, preset).await;
    }
}
