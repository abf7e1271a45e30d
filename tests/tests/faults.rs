//! Under the simulator's fault presets an export ends whole, or says honestly what is missing; run again, as its errors
//! advise, it comes to the truth.

mod service;

use std::time::Duration;

use backstory_limits::ExportKind;
use backstory_sim::{Faults, WindowKind};
use backstory_sync::OutputFormat;
use service::{activities, client, range, run_for, world};

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
