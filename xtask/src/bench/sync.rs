//! `cargo xtask bench sync`: a first sync beside what its stages take by themselves, a daily sync of a large lake, and the
//! views of that lake before and after compaction; its section of `docs/benchmarks.md`.

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
    /// Activities of the world of the first sync; 480,000 make about 1 GiB
    #[arg(long, default_value_t = 480_000)]
    activities: u64,
    /// Activities of the lake of the daily sync; none leaves that part out
    #[arg(long, default_value_t = 5_000_000)]
    lake: u64,
    /// The instant of the daily sync, which decides how much has changed
    #[arg(long, default_value = "2026-06-19T12:00:00Z")]
    daily: String,
    /// Something to be said of the machine during the run
    #[arg(long)]
    note: Option<String>,
}

/// The first activity date; the simulated world begins later.
const SINCE: &str = "2023-05-01";

pub(crate) fn run(args: &Args, root: &Path) -> Result<(), String> {
    let binary = Binary::release(root)?;
    let folder = root.join("target/bench-sync");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).map_err(|error| format!("can't use {}: {error}", folder.display()))?;
    let bench = Bench { binary, folder, cores: std::thread::available_parallelism().map_or(1, usize::from) };
    let note = args.note.as_ref().map(|note| format!("{note}\n")).unwrap_or_default();
    let mut section = format!(
        "# Benchmarks of syncs\n\nWritten by `cargo xtask bench sync`, on {} cores that the simulator shares; its jobs end at once.\n{note}",
        bench.cores
    );
    section += &bench.first(args.activities)?;
    if args.lake > 0 {
        section += &bench.daily(args.lake, &args.daily)?;
    }
    print!("{section}");
    let _ = std::fs::remove_dir_all(&bench.folder);
    page::put(root, &section)
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
        let mut sync = simulator.client(self.binary.path(), now);
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
        let jobs = run.told["committed"].as_array().cloned().unwrap_or_default();
        let (mut download, mut zstd, mut hash, mut convert) = (0.0, 0.0, 0.0, 0.0);
        for job in &jobs {
            let id = job["job_id"].as_str().unwrap_or_default();
            let file = self.folder.join(format!("{id}.jsonl"));
            let mut fetch = simulator.client(self.binary.path(), NOW);
            fetch.args(["jobs", "download", id, "--quiet", "--out"]).arg(&file);
            // It hashes what it fetches, which a sync does once as well.
            download += watched(&mut fetch)?.0;
            hash += watched(Command::new("sha256sum").arg(&file))?.0;
            zstd += watched(Command::new("zstd").args(["-q", "-1", "-T1", "-c"]).arg(&file))?.0;
            let mut tables = Command::new(self.binary.path());
            tables.args(["convert", "--quiet", "--format", "parquet", "--resource", "activities", "--out"]);
            convert += watched(tables.arg(self.folder.join("converted")).arg("--force").arg(&file))?.0;
            let _ = std::fs::remove_file(&file);
        }
        let _ = std::fs::remove_dir_all(&lake);
        let stages = run.service + download + zstd + convert;
        let bound = stages / self.cores as f64;
        let mut text = String::from(
            "\n| first sync | delivered, MiB | wall, s | client's processor, s | stages by themselves, processor s | wall against the bound | peak memory, MiB |\n|---|---|---|---|---|---|---|\n",
        );
        let _ = writeln!(
            text,
            "| {} activities | {} | {:.2} | {:.2} | {stages:.2} | {:.2} | {:.0} |",
            run.told["rows"],
            run.told["bytes"].as_u64().unwrap_or(0) >> 20,
            run.wall,
            run.client,
            run.wall / bound,
            run.peak as f64 / f64::from(1 << 20),
        );
        let _ = writeln!(
            text,
            "\nThe stages: the simulator serving {:.2}, the download {download:.2} (of which hashing about {hash:.2}), zstd for the raw\nfiles {zstd:.2}, decoding and Parquet {convert:.2}. The bound is their sum by the cores.",
            run.service
        );
        Ok(text)
    }

    /// A daily sync of a large lake, and the lake's views.
    fn daily(&self, activities: u64, now: &str) -> Result<String, String> {
        let simulator = self.simulator(activities)?;
        let lake = self.folder.join("daily");
        let first = self.sync(&simulator, &lake, NOW, &["--keep-raw", "none"])?;
        simulator.set_clock(now)?;
        let run = self.sync(&simulator, &lake, now, &[])?;
        let mut text = format!(
            "\nThe first sync of {} activities ({} MiB) took {:.0} s and {:.0} MiB.\n",
            first.told["rows"],
            first.told["bytes"].as_u64().unwrap_or(0) >> 20,
            first.wall,
            first.peak as f64 / f64::from(1 << 20)
        );
        text += "\n| daily sync | wall, s | client's processor, s | simulator's processor, s | peak memory, MiB |\n|---|---|---|---|---|\n";
        let _ = writeln!(
            text,
            "| {} changes in a lake of {} | {:.2} | {:.2} | {:.2} | {:.0} |",
            run.told["rows"],
            first.told["rows"],
            run.wall,
            run.client,
            run.service,
            run.peak as f64 / f64::from(1 << 20)
        );
        let python = super::tables::environment(&self.folder.join("python"), &["duckdb"])?;
        let overlaid = self.read(&python, &lake)?;
        let mut compact = Command::new(self.binary.path());
        compact.args(["lake", "compact", "--quiet", "--to"]).arg(&lake).env("BACKSTORY_NOW", now);
        watched(&mut compact)?;
        let compacted = self.read(&python, &lake)?;
        let _ = writeln!(
            text,
            "\nReading the current activities through the view with DuckDB takes {overlaid:.2} s with the day's changes beside the base, {compacted:.2} s\nonce they are compacted: {:.2} times as long.",
            overlaid / compacted
        );
        Ok(text)
    }

    /// The best of five readings of the view.
    fn read(&self, python: &Path, lake: &Path) -> Result<f64, String> {
        let program = "import duckdb, sys, time\nd = duckdb.connect()\nd.execute(open(sys.argv[1]).read())\nbest = 1e9\nfor _ in range(5):\n  t = time.time()\n  d.execute('SELECT type, count(*), max(subject), max(_version), sum(stats_total_participants) FROM activities GROUP BY type').fetchall()\n  best = min(best, time.time() - t)\nprint(best)";
        let output = Command::new(python).args(["-c", program]).arg(lake.join("views.duckdb.sql")).output();
        let output = output.map_err(|error| format!("can't run Python: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        text.trim()
            .parse()
            .map_err(|_| format!("DuckDB can't read the view: {}", String::from_utf8_lossy(&output.stderr)))
    }
}
