//! `cargo xtask bench sync`: a first sync beside what its stages take by themselves, and a daily sync of a large lake with
//! the lake's views before and after compaction; two sections of `docs/benchmarks.md`.

use std::fmt::Write as _;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use super::page;
use super::process::{Binary, processor_seconds, watched, watched_and_heard};
use crate::simulator::{NOW, Simulator};

/// Options of `cargo xtask bench sync`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Activities of the world of the first sync; of 545,000, a sync since 2023-05-01 fetches 1 GiB
    #[arg(long, default_value_t = 545_000)]
    activities: u64,
    /// Activities of the world of the daily sync; of 5,960,000, a sync since 2023-05-01 fetches 5 million
    #[arg(long, default_value_t = 5_960_000)]
    lake: u64,
    /// Measure one of the two
    #[arg(long)]
    only: Option<Part>,
    /// The instant of the daily sync, which decides how much has changed
    #[arg(long, default_value = "2026-06-19T12:00:00Z")]
    daily: String,
    /// Something to be said of the machine during the run
    #[arg(long)]
    note: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    First,
    Daily,
}

/// The first activity date; the simulated world begins later.
const SINCE: &str = "2023-05-01";

/// What is read through the view.
const READINGS: [(&str, &str); 2] = [
    ("all columns", "SELECT count(COLUMNS(*)) FROM activities"),
    (
        "four columns",
        "SELECT type, count(*), max(subject), max(_version), sum(stats_total_participants) FROM activities GROUP BY type",
    ),
];

pub(crate) fn run(args: &Args, root: &Path) -> Result<(), String> {
    let binary = Binary::release(root)?;
    let folder = root.join("target/bench-sync");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).map_err(|error| format!("can't use {}: {error}", folder.display()))?;
    let bench = Bench { binary, folder, cores: std::thread::available_parallelism().map_or(1, usize::from) };
    let note = args.note.as_ref().map(|note| format!("\n{note}\n")).unwrap_or_default();
    let written = format!(
        "on {} cores that the simulator shares. Its jobs end at once, and\nneither it nor the client keeps to the published request rate, which would only add seconds of waiting.\n{note}",
        bench.cores
    );
    if args.only != Some(Part::Daily) {
        let figures = bench.first(args.activities)?;
        let head = "# Benchmarks of a first sync\n\nWritten by `cargo xtask bench sync --only first`";
        publish(root, &format!("{head}, {written}{figures}"))?;
    }
    if args.only != Some(Part::First) {
        let figures = bench.daily(args.lake, &args.daily)?;
        let head = "# Benchmarks of a daily sync\n\nWritten by `cargo xtask bench sync --only daily`";
        publish(root, &format!("{head}, {written}{figures}"))?;
    }
    let _ = std::fs::remove_dir_all(&bench.folder);
    Ok(())
}

fn publish(root: &Path, section: &str) -> Result<(), String> {
    println!("{section}");
    page::put(root, section)
}

fn mebibytes(bytes: u64) -> u64 {
    bytes >> 20
}

struct Bench {
    binary: Binary,
    folder: PathBuf,
    cores: usize,
}

/// What one run took.
struct Run {
    wall: f64,
    client: f64,
    service: f64,
    peak: u64,
    told: Value,
}

/// What the work of a sync takes when each of its stages is done by itself, in processor seconds.
#[derive(Default)]
struct Stages {
    serving: f64,
    /// Hashing included.
    download: f64,
    hashing: f64,
    raw: f64,
    tables: f64,
}

impl Stages {
    fn sum(&self) -> f64 {
        self.serving + self.download + self.raw + self.tables
    }
}

impl Bench {
    fn simulator(&self, activities: u64) -> Result<Simulator, String> {
        let activities = activities.to_string();
        Simulator::start(
            self.binary.path(),
            &["--activities", &activities, "--contacts", "1000", "--job-time", "0ms"],
        )
    }

    fn sync(&self, simulator: &Simulator, lake: &Path, now: &str, more: &[&str]) -> Result<Run, String> {
        let told = self.folder.join("told.json");
        let out = File::create(&told).map_err(|error| error.to_string())?;
        let mut sync = simulator.hasty_client(self.binary.path(), now, &self.folder)?;
        sync.args(["sync", "--quiet", "--json", "--resources", "activities", "--since", SINCE, "--to"])
            .arg(lake)
            .args(more);
        let served = processor_seconds(&simulator.process).unwrap_or(0.0);
        let begun = Instant::now();
        let (client, peak) = watched_and_heard(sync.stdout(Stdio::from(out)))?;
        let wall = begun.elapsed().as_secs_f64();
        let service = processor_seconds(&simulator.process).unwrap_or(0.0) - served;
        let told = std::fs::read(&told).map_err(|error| error.to_string())?;
        let told =
            serde_json::from_slice(&told).map_err(|error| format!("the sync told nothing: {error}"))?;
        Ok(Run { wall, client, service, peak, told })
    }

    /// The first sync, and its stages by themselves.
    fn first(&self, activities: u64) -> Result<String, String> {
        let simulator = self.simulator(activities)?;
        let lake = self.folder.join("first");
        let run = self.sync(&simulator, &lake, NOW, &[])?;
        let mut stages = Stages { serving: run.service, ..Stages::default() };
        for job in run.told["committed"].as_array().into_iter().flatten() {
            self.stages_of(&simulator, job["job_id"].as_str().unwrap_or_default(), &mut stages)?;
        }
        let _ = std::fs::remove_dir_all(&lake);
        let bound = stages.sum() / self.cores as f64;
        let mut text = String::from(
            "\n| first sync | delivered, MiB | wall, s | client's processor, s | stages by themselves, processor s | wall against the bound (at most 1.3) | peak memory, MiB |\n|---|---|---|---|---|---|---|\n",
        );
        let _ = writeln!(
            text,
            "| {} activities | {} | {:.2} | {:.2} | {:.2} | {:.2} | {} |",
            run.told["rows"],
            mebibytes(run.told["bytes"].as_u64().unwrap_or(0)),
            run.wall,
            run.client,
            stages.sum(),
            run.wall / bound,
            mebibytes(run.peak),
        );
        let _ = writeln!(
            text,
            "\nThe stages, each in processor seconds of a process that does nothing else: the simulator serving {:.2},\n`jobs download` with its SHA-256 {:.2} (`sha256sum` alone: {:.2}), `zstd -1` for the raw files {:.2}, `convert` to Parquet\n{:.2}. The bound is their sum by the cores.",
            stages.serving, stages.download, stages.hashing, stages.raw, stages.tables,
        );
        Ok(text)
    }

    /// What the result of a job takes in each stage.
    fn stages_of(&self, simulator: &Simulator, job: &str, stages: &mut Stages) -> Result<(), String> {
        let file = self.folder.join(format!("{job}.jsonl"));
        let mut fetch = simulator.client(self.binary.path(), NOW);
        fetch.args(["jobs", "download", job, "--quiet", "--out"]).arg(&file);
        stages.download += watched(&mut fetch)?.0;
        // A window without activities is an empty file, of which nothing can be made.
        if std::fs::metadata(&file).is_ok_and(|file| file.len() > 0) {
            stages.hashing += watched(Command::new("sha256sum").arg(&file))?.0;
            stages.raw += watched(Command::new("zstd").args(["-q", "-1", "-T1", "-c"]).arg(&file))?.0;
            let mut tables = Command::new(self.binary.path());
            tables.args(["convert", "--quiet", "--format", "parquet", "--resource", "activities", "--out"]);
            stages.tables += watched(tables.arg(self.folder.join("converted")).arg(&file))?.0;
        }
        std::fs::remove_file(&file).map_err(|error| format!("can't remove {}: {error}", file.display()))
    }

    /// A daily sync of a large lake, and the lake's views.
    fn daily(&self, activities: u64, now: &str) -> Result<String, String> {
        let simulator = self.simulator(activities)?;
        let lake = self.folder.join("daily");
        let first = self.sync(&simulator, &lake, NOW, &["--keep-raw", "none"])?;
        let begun = Instant::now();
        let (_, compacting) = self.compact(&lake, NOW)?;
        let mut text = format!(
            "\nThe first sync of {} activities ({} MiB) took {:.0} s and {} MiB, its compaction {:.0} s and {} MiB.\n",
            first.told["rows"],
            mebibytes(first.told["bytes"].as_u64().unwrap_or(0)),
            first.wall,
            mebibytes(first.peak),
            begun.elapsed().as_secs_f64(),
            mebibytes(compacting),
        );
        simulator.set_clock(now)?;
        let run = self.sync(&simulator, &lake, now, &[])?;
        text += "\n| daily sync | wall, s | client's processor, s (at most 3) | wall less the simulator's processor, s (at most 3) | peak memory, MiB (under 192) |\n|---|---|---|---|---|\n";
        let _ = writeln!(
            text,
            "| {} changes in a lake of {} | {:.2} | {:.2} | {:.2} | {} |",
            run.told["rows"],
            first.told["rows"],
            run.wall,
            run.client,
            run.wall - run.service,
            mebibytes(run.peak),
        );
        let python = super::tables::environment(&self.folder.join("python"), &["duckdb"])?;
        let overlaid = READINGS.map(|(_, query)| self.read(&python, &lake, query));
        self.compact(&lake, now)?;
        text += "\n| reading the current activities through the view, with DuckDB | with the day's changes beside the base, s | compacted, s | times as long (at most 1.5) |\n|---|---|---|---|\n";
        for ((what, query), overlaid) in READINGS.iter().zip(overlaid) {
            let (overlaid, compacted) = (overlaid?, self.read(&python, &lake, query)?);
            let _ =
                writeln!(text, "| {what} | {overlaid:.2} | {compacted:.2} | {:.2} |", overlaid / compacted);
        }
        Ok(text)
    }

    fn compact(&self, lake: &Path, now: &str) -> Result<(f64, u64), String> {
        let mut compact = Command::new(self.binary.path());
        watched(compact.args(["lake", "compact", "--quiet", "--to"]).arg(lake).env("BACKSTORY_NOW", now))
    }

    /// The best of five readings of the view.
    fn read(&self, python: &Path, lake: &Path, query: &str) -> Result<f64, String> {
        let program = "import duckdb, sys, time\nd = duckdb.connect()\nd.execute('SET enable_progress_bar = false')\nd.execute(open(sys.argv[1]).read())\nbest = 1e9\nfor _ in range(5):\n  t = time.time()\n  d.execute(sys.argv[2]).fetchall()\n  best = min(best, time.time() - t)\nprint(best)";
        let views = lake.join("views.duckdb.sql");
        let output = Command::new(python).args(["-c", program]).arg(views).arg(query).output();
        let output = output.map_err(|error| format!("can't run Python: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        text.trim().parse().map_err(|_| {
            let told = String::from_utf8_lossy(&output.stderr);
            format!("DuckDB can't read the view: {}: {told}", output.status)
        })
    }
}
