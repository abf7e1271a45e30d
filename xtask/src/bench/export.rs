//! `cargo xtask bench export`: time and peak memory of whole exports by the release binary, against the simulator in another
//! process, at two sizes, so that a memory that grows with the data shows.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Instant;

use super::process::{Binary, PeakMemory};

/// Options of `cargo xtask bench export`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Activities in the simulated world; about half of them lie in the fifteen months that are exported
    #[arg(long, default_value_t = 900_000)]
    activities: u64,
}

const NOW: &str = "2026-06-18T12:00:00Z";
/// About an eighth of the second range's data.
const RANGES: [(&str, &str); 2] = [("2026-05-01", "2026-06-18"), ("2025-04-01", "2026-06-18")];

pub(crate) fn run(args: &Args, root: &Path) -> Result<(), String> {
    let binary = Binary::release(root)?;
    let folder = root.join("target/bench-export");
    let service = Service::start(&binary, args.activities)?;
    println!("format     delivered        wall      peak memory");
    for (from, to) in RANGES {
        for format in ["jsonl", "parquet", "csv"] {
            let out = folder.join(format);
            let _ = std::fs::remove_dir_all(&out);
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
                .arg(&out)
                .env("BACKSTORY_BASE_URL", &service.url)
                .env("BACKSTORY_CLIENT_ID", "sim-key")
                .env("BACKSTORY_CLIENT_SECRET", "sim-secret")
                .env("BACKSTORY_POLL_INTERVAL", "100ms");
            let peak = PeakMemory::of(&mut export)?;
            let seconds = begun.elapsed().as_secs_f64();
            let mebibytes = delivered(&out)? >> 20;
            println!("{format:<8} {mebibytes:>6} MiB   {seconds:>7.2} s   {:>7} MiB", peak >> 20);
        }
    }
    let _ = std::fs::remove_dir_all(&folder);
    Ok(())
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
