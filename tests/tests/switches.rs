//! An export ends well, or with an error that tells the truth, under every setting of every unknown of the contract
//! (section (j)).

mod service;

use std::time::Duration;

use backstory_limits::ExportKind;
use backstory_sim::{Switch, WindowKind};
use backstory_sync::{ErrorKind, OutputFormat};
use service::{activities, client, everybody, range, run_for, world};

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_whole_under_every_switch() {
    let mut checked = 0;
    for row in Switch::list() {
        for (value, meaning) in row.values {
            let text = format!("{}={}", row.row, value.replace("SECONDS", "1"));
            let sim = world()
                .activities(1_500)
                .contacts(500)
                .switch(Switch::parse(&text).unwrap())
                .start()
                .await
                .unwrap();
            let client = client(&sim, "sim-key");
            for (selection, kind, window) in [
                (activities(ExportKind::Snapshot), WindowKind::Snapshot, "2025-04-01..2026-06-17"),
                (activities(ExportKind::Delta), WindowKind::Delta, "2026-06-04..2026-06-17"),
                (everybody(), WindowKind::Contacts, "2026-06-04..2026-06-17"),
            ] {
                let (window, now) = (range(window), sim.clock().now());
                let due = sim.truth().window(kind, None, window.start(), window.end(), now).count;
                let folder = tempfile::tempdir().unwrap();
                let format = OutputFormat::JsonLines;
                let patience = Duration::from_secs(if row.row == "j35" { 1 } else { 30 });
                let report =
                    run_for(&client, selection, window, format, folder.path(), patience).await.unwrap();
                let about = format!("{text} ({meaning}), {kind:?}: {:?}", report.failures);
                match text.as_str() {
                    // A result whose end can't be proven is refused, and nothing of it lands.
                    "j21=missing" => {
                        assert!(
                            report.failures.iter().all(|error| error.kind() == ErrorKind::Unavailable),
                            "{about}"
                        );
                        assert_eq!((report.rows(), report.failures.is_empty()), (0, false), "{about}");
                    }
                    // The jobs are left to themselves, and nothing is said to have landed.
                    "j35=queued" | "j35=running" => {
                        assert!(
                            report.failures.iter().all(|error| error.kind() == ErrorKind::DeadlinePassed),
                            "{about}"
                        );
                        assert_eq!((report.rows(), report.failures.is_empty()), (0, false), "{about}");
                    }
                    // Files with repetitions are delivered as they are; merging is for whoever keeps tables.
                    "j24=duplicated" => assert!(report.rows() >= due, "{about}"),
                    _ => {
                        assert!(report.failures.is_empty(), "{about}");
                        assert_eq!(report.rows(), due, "{about}");
                    }
                }
                checked += 1;
            }
        }
    }
    assert!(checked > 60, "{checked}");
}
