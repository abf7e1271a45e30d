//! `cargo xtask bench export`: time, processor time and peak memory of whole exports by the release binary, against the
//! simulator in another process, at two sizes, so that a memory that grows with the data shows; and its section of
//! `docs/benchmarks.md`.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Instant;

use super::page;
use super::process::{Binary, processor_seconds, watched};

/// Options of `cargo xtask bench export`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Activities in the simulated world; about two fifths of them lie in the year that is exported
    #[arg(long, default_value_t = 900_000)]
    activities: u64,
    /// Something to be said of the machine during the run
    #[arg(long)]
    note: Option<String>,
}

const NOW: &str = "2026-06-18T12:00:00Z";
/// One window each, since two are downloaded at once where there are two (JSON Lines and CSV), and take twice the buffers.
/// The first has about an eighth of the second's data.
const RANGES: [(&str, &str); 2] = [("2026-05-01", "2026-06-18"), ("2025-06-19", "2026-06-18")];
const FORMATS: [&str; 3] = ["jsonl", "parquet", "csv"];

/// What one export took.
struct Export {
    delivered: u64,
    wall: f64,
    /// Processor seconds of the client and of the simulator meanwhile.
    client: f64,
    service: f64,
    peak: u64,
}

pub(crate) fn run(args: &Args, root: &Path) -> Result<(), String> {
    let binary = Binary::release(root)?;
    let folder = root.join("target/bench-export");
    let service = Service::start(&binary, args.activities)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let note = args.note.as_ref().map(|note| format!("{note}\n")).unwrap_or_default();
    let mut section = format!(
        "# Benchmarks of exports\n\nWritten by `cargo xtask bench export --activities {}`, on {cores} cores that the simulator \
         shares. The bound of\nthe time is what all stages take of the processors, the simulator's included, divided by the cores.\n\
         {note}\n| format | delivered, MiB | wall, s | client's processor, s | simulator's processor, s | wall against the bound | \
         peak memory, MiB | growth |\n|---|---|---|---|---|---|---|---|\n",
        args.activities
    );
    let mut least = [0_u64; FORMATS.len()];
    for range in RANGES {
        for (format, least) in FORMATS.into_iter().zip(&mut least) {
            let export = service.export(&binary, range, format, &folder.join(format))?;
            if *least == 0 {
                *least = export.peak;
            }
            let _ = writeln!(
                section,
                "| {format} | {} | {:.2} | {:.2} | {:.2} | {:.2} | {:.1} | {:.3} |",
                export.delivered >> 20,
                export.wall,
                export.client,
                export.service,
                export.wall * cores as f64 / (export.client + export.service),
                export.peak as f64 / f64::from(1 << 20),
                export.peak as f64 / *least as f64,
            );
        }
    }
    section += &stages(&binary, &folder, &service)?;
    print!("{section}");
    let _ = std::fs::remove_dir_all(&folder);
    page::put(root, &section)
}

/// What the stages of the Parquet export take by themselves: the simulator's answer thrown away, the download decoded once
/// and kept as it is, and the conversion of what lies on disk.
fn stages(binary: &Binary, folder: &Path, service: &Service) -> Result<String, String> {
    let out = folder.join("stages");
    let download = service.export(binary, RANGES[1], "jsonl", &out)?;
    let mut files = Vec::new();
    json_lines(&out.join("activities"), &mut files);
    let mut convert = binary.command();
    convert.args(["convert", "--quiet"]).args(&files).arg("--out").arg(out.join("converted"));
    let (conversion, _) = watched(&mut convert)?;
    Ok(format!(
        "\nThe stages of the Parquet export by themselves, in processor seconds: the simulator serving {:.2}, the download to JSON \
         Lines (decoded, hashed,\nwritten) {:.2}, the conversion of those on disk {conversion:.2}.\n",
        download.service, download.client
    ))
}

/// The files that an export left.
fn json_lines(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            json_lines(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "jsonl") {
            files.push(path);
        }
    }
}

/// Bytes that the service delivered, by the manifest.
fn delivered(out: &Path) -> Result<u64, String> {
    let path: PathBuf = out.join("manifest.json");
    let text =
        std::fs::read_to_string(&path).map_err(|error| format!("can't read {}: {error}", path.display()))?;
    // A window's bytes stand beside its checksum; those of its files stand deeper.
    let bytes = text.lines().filter_map(|line| line.strip_prefix("          \"bytes\": "));
    Ok(bytes.filter_map(|rest| rest.trim_end_matches(',').parse::<u64>().ok()).sum())
}

/// The simulator, which ends with the measurement.
struct Service {
    process: Child,
    url: String,
}

impl Service {
    fn export(
        &self,
        binary: &Binary,
        (from, to): (&str, &str),
        format: &str,
        out: &Path,
    ) -> Result<Export, String> {
        let _ = std::fs::remove_dir_all(out);
        let before = processor_seconds(&self.process).unwrap_or(0.0);
        let begun = Instant::now();
        let mut export = binary.command();
        export
            .args([
                "export",
                "activities",
                "--quiet",
                "--json",
                "--from",
                from,
                "--to",
                to,
                "--format",
                format,
            ])
            .arg("--out")
            .arg(out)
            .env("BACKSTORY_BASE_URL", &self.url)
            .env("BACKSTORY_CLIENT_ID", "sim-key")
            .env("BACKSTORY_CLIENT_SECRET", "sim-secret")
            .env("BACKSTORY_POLL_INTERVAL", "100ms");
        let (client, peak) = watched(&mut export)?;
        let wall = begun.elapsed().as_secs_f64();
        let service = processor_seconds(&self.process).unwrap_or(0.0) - before;
        Ok(Export { delivered: delivered(out)?, wall, client, service, peak })
    }

    fn start(binary: &Binary, activities: u64) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("can't start the simulator: {error}");
        let mut process = binary
            .command()
            .args([
                "sim",
                "--port",
                "0",
                "--quiet",
                "--rate-limit",
                "off",
                "--job-time",
                "100ms",
                "--now",
                NOW,
            ])
            .args(["--activities", &activities.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let mut url = String::new();
        if let Some(stdout) = process.stdout.as_mut() {
            BufReader::new(stdout).read_line(&mut url).map_err(failed)?;
        }
        Ok(Self { process, url: url.trim().to_owned() })
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
