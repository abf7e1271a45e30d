//! `cargo xtask torture`: kills the real binary in the middle of a sync, at seeded moments and between any two durable
//! writes, and proves that the run after it comes to the tables of an uninterrupted one, without a job created twice.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;

use crate::simulator::{NOW, Simulator};

/// Options of `cargo xtask torture`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How often to kill at a seeded moment
    #[arg(long, default_value_t = 100)]
    kills: u64,
    /// The same seed gives the same moments
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Activities in the simulated world
    #[arg(long, default_value_t = 4_000)]
    activities: u64,
}

/// The named steps that a first sync comes by; a number means that the step is killed at that time.
const STEPS: &[&str] = &[
    "run-noted",
    "intent-noted",
    "intent-noted:4",
    "job-created",
    "job-created:3",
    "job-noted",
    "job-noted:5",
    "job-completed",
    "job-completed:4",
    "raw-file-landed",
    "raw-file-landed:4",
    "raw-note-landed",
    "raw-note-landed:5",
    "lake-loaded",
    "lake-loaded:3",
    "lake-fragment-landed",
    "lake-fragment-landed:4",
    "lake-committed",
    "lake-committed:5",
    "delivery-committed",
    "delivery-committed:3",
    "commit-noted",
    "commit-noted:6",
    "destination-settled",
];
/// The first activity date; the simulated world begins later.
const SINCE: &str = "2023-05-01";
/// The day that every run asks for again.
const TODAY: &str = "2026-06-18";

pub(crate) fn run(args: &Args, root: &Path) -> Result<(), String> {
    let torture = Torture::new(args, root)?;
    let begun = Instant::now();
    let reference = torture.reference()?;
    let whole = begun.elapsed();
    println!("an uninterrupted sync takes {:.2} s; its tables: {}", whole.as_secs_f64(), reference.hashes);
    for step in STEPS {
        torture.case(&format!("at the step {step}"), &reference, |sync| {
            sync.env("BACKSTORY_FAIL_AT", step);
            let status = sync.status().map_err(|error| format!("can't run a sync: {error}"))?;
            if status.success() {
                Err(format!("{step} is no step that a first sync comes by"))
            } else {
                Ok(true)
            }
        })?;
    }
    let mut rng = SmallRng::seed_from_u64(args.seed);
    let mut met = 0;
    for kill in 0..args.kills {
        let after = whole.mul_f64(rng.random_range(0.0..1.0));
        let hit = torture.case(&format!("kill {kill}, after {after:.0?}"), &reference, |sync| {
            let mut process = sync.spawn().map_err(|error| format!("can't run a sync: {error}"))?;
            std::thread::sleep(after);
            let ran = process.try_wait().map_err(|error| error.to_string())?.is_none();
            // It may have ended just now.
            let _ = process.kill();
            let _ = process.wait();
            Ok(ran)
        })?;
        met += u64::from(hit);
    }
    println!(
        "{} steps and {} seeded moments, {met} of which met a running process: every time the same tables, no job twice",
        STEPS.len(),
        args.kills
    );
    Ok(())
}

/// What an uninterrupted sync comes to.
struct Reference {
    hashes: Value,
}

struct Torture {
    binary: PathBuf,
    folder: PathBuf,
    activities: String,
}

impl Torture {
    fn new(args: &Args, root: &Path) -> Result<Self, String> {
        let built = Command::new("cargo")
            .args([
                "build",
                "--release",
                "--quiet",
                "--package",
                "backstory-cli",
                "--features",
                "fail-points",
            ])
            .current_dir(root)
            .status()
            .map_err(|error| format!("can't run cargo: {error}"))?;
        if !built.success() {
            return Err("the release build failed".to_owned());
        }
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        // A copy, since the next build may well be without fail points.
        let folder = target.join("torture");
        let failed = |error: std::io::Error| format!("can't use {}: {error}", folder.display());
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).map_err(failed)?;
        let binary = folder.join("backstory");
        std::fs::copy(target.join("release/backstory"), &binary).map_err(failed)?;
        Ok(Self { binary, folder, activities: args.activities.to_string() })
    }

    fn simulator(&self) -> Result<Simulator, String> {
        let world =
            ["--activities", &self.activities, "--contacts", "400", "--seed", "5", "--job-time", "20ms"];
        Simulator::start(&self.binary, &world)
    }

    fn sync(&self, simulator: &Simulator, lake: &Path) -> Result<Command, String> {
        // Most of the time would be waiting for the next request, where nothing can go wrong.
        let mut sync = simulator.hasty_client(&self.binary, NOW, &self.folder)?;
        sync.args(["sync", "--quiet", "--since", SINCE, "--list-lag", "500ms", "--to"])
            .arg(lake)
            .env_remove("BACKSTORY_FAIL_AT")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Ok(sync)
    }

    fn reference(&self) -> Result<Reference, String> {
        let simulator = self.simulator()?;
        let lake = self.folder.join("uninterrupted");
        self.to_the_end(&simulator, &lake, "the uninterrupted sync")?;
        Ok(Reference { hashes: self.hashes(&simulator, &lake)? })
    }

    /// One case: a sync that is killed by `kill`, and one that isn't. Returns what `kill` does.
    fn case(
        &self,
        what: &str,
        reference: &Reference,
        kill: impl FnOnce(&mut Command) -> Result<bool, String>,
    ) -> Result<bool, String> {
        let simulator = self.simulator()?;
        let lake = self.folder.join("killed");
        let _ = std::fs::remove_dir_all(&lake);
        let hit = kill(&mut self.sync(&simulator, &lake)?)?;
        self.to_the_end(&simulator, &lake, what)?;
        let hashes = self.hashes(&simulator, &lake)?;
        if hashes != reference.hashes {
            return Err(format!("{what}: the tables are {hashes}; see {}", lake.display()));
        }
        nothing_twice(&simulator).map_err(|problem| format!("{what}: {problem}"))?;
        Ok(hit)
    }

    fn to_the_end(&self, simulator: &Simulator, lake: &Path, what: &str) -> Result<(), String> {
        let status =
            self.sync(simulator, lake)?.status().map_err(|error| format!("can't run a sync: {error}"))?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("{what}: the run that should end it ended with {status}"))
        }
    }

    /// Counts and content hashes, once everything is proven to agree.
    fn hashes(&self, simulator: &Simulator, lake: &Path) -> Result<Value, String> {
        let mut verify = simulator.client(&self.binary, NOW);
        let told = verify.args(["verify", "--json", "--to"]).arg(lake).output();
        let told = told.map_err(|error| format!("can't run a verification: {error}"))?;
        let found: Value =
            serde_json::from_slice(&told.stdout).map_err(|error| format!("no verification: {error}"))?;
        if found["ok"] != true {
            return Err(format!("what is stored doesn't agree: {}", found["findings"]));
        }
        Ok(serde_json::json!({"activities": found["activities"], "contacts": found["contacts"]}))
    }
}

/// No job of activities was created twice, but for today's, which every run asks for. Contacts have no list, so a job of
/// theirs whose reply was lost can't be found again.
fn nothing_twice(simulator: &Simulator) -> Result<(), String> {
    let jobs = simulator.get("/_sim/jobs")?;
    let jobs = jobs.as_array().or(jobs["jobs"].as_array()).ok_or("the simulator tells of no jobs")?;
    let mut asked: BTreeMap<String, u64> = BTreeMap::new();
    for job in jobs.iter().filter(|job| job["export_type"].is_string() && job["end_date"] != TODAY) {
        let spec = format!("{} {}..{}", job["export_type"], job["start_date"], job["end_date"]);
        *asked.entry(spec).or_default() += 1;
    }
    match asked.iter().find(|(_, count)| **count > 1) {
        Some((spec, count)) => Err(format!("{spec} was asked for {count} times")),
        None if asked.is_empty() => Err("no job was created".to_owned()),
        None => Ok(()),
    }
}
