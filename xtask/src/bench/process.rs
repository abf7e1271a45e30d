//! Running a program to be measured: the release binary, and how much memory a process took at the most.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How often the system is asked for the peak of a running process. Its own high-water mark loses nothing in between, but
/// what was reached after the last question.
const EVERY: Duration = Duration::from_millis(5);

/// The release binary.
pub(crate) struct Binary(PathBuf);

impl Binary {
    /// Builds it as it stands.
    pub(crate) fn release(root: &Path) -> Result<Self, String> {
        let built = Command::new("cargo")
            .args(["build", "--release", "--quiet", "--package", "backstory-cli"])
            .current_dir(root)
            .status()
            .map_err(|error| format!("can't run cargo: {error}"))?;
        if !built.success() {
            return Err("the release build failed".to_owned());
        }
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        Ok(Self(target.join("release/backstory")))
    }

    pub(crate) fn command(&self) -> Command {
        Command::new(&self.0)
    }
}

/// The most memory that a process held, in bytes.
pub(crate) struct PeakMemory;

impl PeakMemory {
    /// Runs a command to its end, which must be a good one.
    pub(crate) fn of(command: &mut Command) -> Result<u64, String> {
        let mut process = command
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| format!("can't run {command:?}: {error}"))?;
        let mut peak = 0;
        loop {
            peak = peak.max(high_water_mark(&process).unwrap_or(0));
            match process.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(peak),
                Ok(Some(status)) => return Err(format!("{command:?} ended with {status}")),
                Ok(None) => std::thread::sleep(EVERY),
                Err(error) => return Err(format!("can't wait for {command:?}: {error}")),
            }
        }
    }
}

/// `VmHWM` of a running process, where the system tells it.
fn high_water_mark(process: &Child) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kibibytes << 10)
}
