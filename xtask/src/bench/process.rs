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

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn command(&self) -> Command {
        Command::new(&self.0)
    }
}

/// Runs a command to its end, which must be a good one. Returns its processor seconds and peak memory.
pub(crate) fn watched(command: &mut Command) -> Result<(f64, u64), String> {
    watched_and_heard(command.stdout(Stdio::null()))
}

/// The same, for a command whose output goes somewhere.
pub(crate) fn watched_and_heard(command: &mut Command) -> Result<(f64, u64), String> {
    let mut process = command.spawn().map_err(|error| format!("can't run {command:?}: {error}"))?;
    let (mut processor, mut peak) = (0.0, 0);
    loop {
        peak = peak.max(high_water_mark(&process).unwrap_or(0));
        processor = processor_seconds(&process).unwrap_or(0.0).max(processor);
        match process.try_wait() {
            Ok(Some(status)) if status.success() => return Ok((processor, peak)),
            Ok(Some(status)) => return Err(format!("{command:?} ended with {status}")),
            Ok(None) => std::thread::sleep(EVERY),
            Err(error) => return Err(format!("can't wait for {command:?}: {error}")),
        }
    }
}

/// What a running process has taken of the processors, where the system tells it.
pub(crate) fn processor_seconds(process: &Child) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.id())).ok()?;
    // Behind the name, which may hold anything, the 12th and 13th field, in ticks of a hundredth.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let (user, system): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((user + system) / 100.0)
}

/// `VmHWM` of a running process, where the system tells it.
pub(crate) fn high_water_mark(process: &Child) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kibibytes << 10)
}
