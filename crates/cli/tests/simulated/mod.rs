//! The binary against a simulator in the test's own process, whose truth, jobs and report the test can see.
#![allow(dead_code, unreachable_pub)]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use backstory_sim::{Builder, Sim, WindowKind};
use serde_json::Value;

use crate::program::{Said, backstory, run};

/// The key that opens everything.
pub const KEY: &str = "sim-key";

/// A small world on 18 June 2026 with a standing clock, instant jobs and no rate limit.
pub fn small() -> Builder {
    Sim::builder()
        .seed(11)
        .activities(3_000)
        .contacts(900)
        .now("2026-06-18T12:00:00Z".parse().unwrap())
        .job_time(Duration::ZERO)
        .rate_limit(false)
}

/// What is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub kind: WindowKind,
    pub from: &'static str,
    pub to: &'static str,
}

pub const SNAPSHOT: Wanted = Wanted { kind: WindowKind::Snapshot, from: "2026-05-15", to: "2026-06-17" };
pub const DELTA: Wanted = Wanted { kind: WindowKind::Delta, from: "2026-06-04", to: "2026-06-17" };
pub const CONTACTS: Wanted = Wanted { kind: WindowKind::Contacts, from: "2026-06-04", to: "2026-06-17" };

/// A simulator that serves while the test looks on.
pub struct Service {
    pub sim: Sim,
    // Dropped last: the simulator lives on it.
    runtime: tokio::runtime::Runtime,
}

impl Service {
    pub fn start(builder: Builder) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let sim = runtime.block_on(builder.start()).unwrap();
        Self { sim, runtime }
    }

    /// The binary, pointed at this service.
    pub fn client(&self) -> Command {
        let mut command = backstory();
        command
            .env("BACKSTORY_BASE_URL", self.sim.base_url())
            .env("BACKSTORY_CLIENT_ID", KEY)
            .env("BACKSTORY_CLIENT_SECRET", "sim-secret")
            .env("BACKSTORY_POLL_INTERVAL", "5ms");
        command
    }

    /// An export of JSON Lines into `out`.
    pub fn export(&self, wanted: Wanted, out: &Path) -> Command {
        let mut command = self.client();
        command.arg("export");
        match wanted.kind {
            WindowKind::Delta => command.args(["activities", "--kind", "delta"]),
            WindowKind::Snapshot => command.args(["activities", "--kind", "snapshot"]),
            _ => command.args(["contacts", "--include-historical", "--include-existing"]),
        };
        command.args(["--from", wanted.from, "--to", wanted.to, "--format", "jsonl", "--quiet", "--out"]);
        command.arg(out);
        command
    }

    /// Runs an export that must end well and bring exactly what is due; answers how many rows came.
    #[track_caller]
    pub fn export_is_whole(&self, wanted: Wanted, about: &str) -> usize {
        let folder = tempfile::tempdir().unwrap();
        // A job that never ends fails the test instead of holding it up.
        let said = run(self.export(wanted, folder.path()).args(["--deadline", "60s"]));
        assert_eq!(said.code, 0, "{about}, {wanted:?}: {}", said.stderr);
        let rows = rows(folder.path());
        let (held, due) = (set(&rows), self.due(wanted));
        assert!(held == due, "{about}, {wanted:?}: {} are held and {} are due", held.len(), due.len());
        let findings = self.sim.report().findings;
        assert!(findings.is_empty(), "{about}, {wanted:?}: {findings:?}");
        rows.len()
    }

    /// Runs an export that must end with an error and leave nothing behind.
    #[track_caller]
    pub fn export_fails(&self, wanted: Wanted, more: &[&str], about: &str) -> Said {
        let folder = tempfile::tempdir().unwrap();
        let said = run(self.export(wanted, folder.path()).args(more));
        assert_ne!(said.code, 0, "{about}, {wanted:?}");
        assert!(said.stderr.contains("error: "), "{about}, {wanted:?}: {}", said.stderr);
        assert_eq!(rows(folder.path()).len(), 0, "{about}, {wanted:?}: something landed all the same");
        said
    }

    /// The records that are due, as comparable text.
    pub fn due(&self, wanted: Wanted) -> BTreeSet<String> {
        let day = |text: &str| text.parse().unwrap();
        let (from, to) = (day(wanted.from), day(wanted.to));
        let records = self.sim.truth().window_records(wanted.kind, None, from, to, self.sim.clock().now());
        let parsed: Vec<Value> = records.map(|record| serde_json::from_slice(&record).unwrap()).collect();
        set(&parsed)
    }
}

/// All rows of the JSON Lines files below a folder.
pub fn rows(folder: &Path) -> Vec<Value> {
    let files = crate::program::files(folder);
    let lines = files.iter().filter(|name| name.ends_with(".jsonl"));
    let texts: Vec<String> = lines.map(|name| std::fs::read_to_string(folder.join(name)).unwrap()).collect();
    let lines = texts.iter().flat_map(|text| text.split('\n')).filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Distinct rows as comparable text; a null is an absent key.
fn set(rows: &[Value]) -> BTreeSet<String> {
    let plain = |row: &Value| {
        let mut row = row.clone();
        if let Some(fields) = row.as_object_mut() {
            fields.retain(|_, value| !value.is_null());
        }
        row.to_string()
    };
    rows.iter().map(plain).collect()
}
