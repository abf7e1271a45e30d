//! `cargo xtask bench sim`: how fast the simulator is with one processor core to itself, over loopback: a large export to
//! curl, status calls by wrk, how soon a delta of the largest world starts, and the memory that it took for all of it.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use serde_json::{Value, json};

use super::page;
use super::process::{high_water_mark, processor_seconds};

/// Options of `cargo xtask bench sim`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Activities in the simulated world
    #[arg(long, default_value_t = 10_000_000)]
    activities: u64,
    /// How often each is measured; medians are shown
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long wrk runs each time, in seconds
    #[arg(long, default_value_t = 3)]
    seconds: u32,
}

/// Days of a snapshot of the largest world, up to yesterday, that hold a little more than 1 GiB.
const LARGE: (&str, i64) = ("snapshot", 36);
/// The longest delta that is legal, up to today.
const DELTA: (&str, i64) = ("delta", 14);
const JSON: &str = "Content-Type: application/json";
/// The core of the simulator, and that of whoever measures it.
const CORES: (&str, &str) = ("0", "1");

pub(crate) fn run(args: &Args, root: &Path) -> Result<(), String> {
    let service = Service::start(root, args.activities)?;
    let mut figures = Figures::default();
    let large = service.create(LARGE)?;
    figures.bytes = service.status(&large)?["results_size"].as_u64().ok_or("the job has no size")?;
    for _ in 0..args.rounds {
        let (speed, busy) = service.busy(|| service.download(&large))?;
        figures.speed.add(speed / 1e6, figures.bytes as f64 / 1e6 / busy);
        let (start, busy) = service.busy(|| service.delta_starts_after())?;
        figures.start.add(start * 1e3, busy * 1e3);
        let (calls, busy) = service.busy(|| service.status_calls(&large, args.seconds))?;
        figures.calls.add(calls, calls * f64::from(args.seconds) / busy);
    }
    let memory = high_water_mark(&service.process).ok_or("the system doesn't tell the simulator's memory")?;
    let section = section(args, &figures, memory);
    print!("{section}");
    page::put(root, &section)
}

#[derive(Debug, Default)]
struct Figures {
    /// Size of the large export.
    bytes: u64,
    /// MB a second.
    speed: Measured,
    /// Milliseconds.
    start: Measured,
    /// Calls a second.
    calls: Measured,
}

/// Figures by the clock on the wall, and by the simulator's processor time, which others on the machine disturb less.
#[derive(Debug, Default)]
struct Measured {
    wall: Vec<f64>,
    processor: Vec<f64>,
}

impl Measured {
    fn add(&mut self, wall: f64, processor: f64) {
        self.wall.push(wall);
        self.processor.push(processor);
    }
}

fn section(args: &Args, figures: &Figures, memory: u64) -> String {
    let mut section = format!(
        "# Benchmarks of the simulator\n\n\
         Written by `cargo xtask bench sim --activities {} --rounds {} --seconds {}`: one core for the simulator, another for\n\
         whoever measures, over loopback; medians, in brackets the least and the most. The first figures are by the clock, the\n\
         second by the processor time that the simulator itself took, which a busy machine changes less.\n\n\
         | what | by the clock | by processor time | mark |\n|---|---|---|---|\n",
        args.activities, args.rounds, args.seconds
    );
    let size = figures.bytes >> 20;
    let mut row = |what: &str, measured: &Measured, unit: &str, mark: &str| {
        let (wall, processor) = (spread(&measured.wall), spread(&measured.processor));
        let _ = writeln!(section, "| {what} | {wall} {unit} | {processor} {unit} | {mark} |");
    };
    row(
        &format!("an export of {size} MiB to `curl -o /dev/null`"),
        &figures.speed,
        "MB/s",
        "500 MB/s or more",
    );
    row("status calls, `wrk` with 8 connections", &figures.calls, "a second", "20,000 a second or more");
    row(
        &format!("a delta of 14 days of {} activities, from its creation to its first byte", args.activities),
        &figures.start,
        "ms",
        "200 ms or less",
    );
    let _ = writeln!(section, "| peak memory of all of it | {} MiB | | 100 MiB or less |", memory >> 20);
    section
}

/// The median, and in brackets the least and the most.
fn spread(values: &[f64]) -> String {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.first(), sorted.get(sorted.len() / 2), sorted.last()) {
        (Some(least), Some(median), Some(most)) => format!("{median:.0} ({least:.0} to {most:.0})"),
        _ => String::new(),
    }
}

/// The simulator on its own core, which ends with the measurement.
struct Service {
    process: Child,
    jobs: String,
    authorization: String,
}

impl Service {
    /// The crate's own example: the whole binary, which serves the same, takes minutes to build.
    fn start(root: &Path, activities: u64) -> Result<Self, String> {
        let mut build = Command::new("cargo");
        build.args(["build", "--release", "--quiet", "--package", "backstory-sim", "--example", "serve"]);
        output(build.current_dir(root))?;
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        let mut process = on_core(CORES.0, &target.join("release/examples/serve"))
            .arg(activities.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("can't start the simulator with taskset: {error}"))?;
        let mut url = String::new();
        if let Some(stdout) = process.stdout.as_mut() {
            let read = BufReader::new(stdout).read_line(&mut url);
            read.map_err(|error| format!("the simulator doesn't say where it serves: {error}"))?;
        }
        let url = url.trim();
        let jobs = format!("{url}/pull/v1/export/activities/jobs");
        let mut service = Self { process, jobs, authorization: String::new() };
        let form = "grant_type=client_credentials&client_id=sim-key&client_secret=sim-secret";
        let token = json_of(&curl(&["--data", form, &format!("{url}/auth/v1/tokens")])?)?;
        let token = token["access_token"].as_str().ok_or("no token came")?;
        service.authorization = format!("Authorization: Bearer {token}");
        curl(&["--data", r#"{"job_time":"0s"}"#, &format!("{url}/_sim/jobs")])?;
        Ok(service)
    }

    /// curl with the token; answers what it prints.
    fn call(&self, arguments: &[&str]) -> Result<String, String> {
        curl(&[&["--header", &self.authorization], arguments].concat())
    }

    /// Creates a job, which ends at once; answers its address.
    fn create(&self, what: (&str, i64)) -> Result<String, String> {
        let body = body(what)?;
        let job = json_of(&self.call(&["--header", JSON, "--data", &body, &self.jobs])?)?;
        let id = job["job_id"].as_str().ok_or("the job has no id")?;
        Ok(format!("{}/{id}", self.jobs))
    }

    fn status(&self, job: &str) -> Result<Value, String> {
        json_of(&self.call(&[job])?)
    }

    /// What `measure` answers, and the processor seconds that the simulator took meanwhile.
    fn busy(&self, measure: impl FnOnce() -> Result<f64, String>) -> Result<(f64, f64), String> {
        let so_far = || processor_seconds(&self.process).ok_or("the system doesn't tell processor times");
        let before = so_far()?;
        let figure = measure()?;
        Ok((figure, so_far()? - before))
    }

    /// Bytes a second of a download.
    fn download(&self, job: &str) -> Result<f64, String> {
        let data = format!("{job}/data");
        number(&self.call(&["--output", "/dev/null", "--write-out", "%{speed_download}", &data])?)
    }

    /// Seconds from the creation of a delta to the first byte of its file. The reply to the creation describes a job that
    /// has ended, with its size, so the time to measure the file is in it.
    fn delta_starts_after(&self) -> Result<f64, String> {
        let body = body(DELTA)?;
        let timed = ["--write-out", "\n%{time_total}"];
        let created = self.call(&[&timed[..], &["--header", JSON, "--data", &body, &self.jobs]].concat())?;
        let (job, seconds) = created.rsplit_once('\n').ok_or("curl printed no time")?;
        let id = json_of(job)?["job_id"].as_str().ok_or("the job has no id")?.to_owned();
        Ok(number(seconds)? + self.first_byte(&id).map_err(|error| format!("no file came: {error}"))?)
    }

    /// Seconds until the first byte of a file; the rest is not waited for.
    fn first_byte(&self, id: &str) -> std::io::Result<f64> {
        let address = self.jobs.trim_start_matches("http://");
        let (host, path) = address.split_at(address.find('/').unwrap_or(address.len()));
        let begun = Instant::now();
        let mut stream = TcpStream::connect(host)?;
        let authorization = &self.authorization;
        write!(stream, "GET {path}/{id}/data HTTP/1.1\r\nhost: {host}\r\n{authorization}\r\n\r\n")?;
        let (mut received, mut piece) = (Vec::new(), [0; 4096]);
        // The head ends with an empty line; whatever comes behind it is the file.
        while received
            .windows(4)
            .position(|bytes| bytes == b"\r\n\r\n")
            .is_none_or(|at| at + 4 == received.len())
        {
            match stream.read(&mut piece)? {
                0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                length => received.extend_from_slice(&piece[..length]),
            }
        }
        Ok(begun.elapsed().as_secs_f64())
    }

    /// Calls a second for a job's status.
    fn status_calls(&self, job: &str, seconds: u32) -> Result<f64, String> {
        let duration = format!("-d{seconds}");
        let mut wrk = on_core(CORES.1, Path::new("wrk"));
        wrk.args(["-t1", "-c8", &duration, "-H", &self.authorization, job]);
        let said = output(&mut wrk).map_err(|error| format!("{error} (Debian: apt-get install wrk)"))?;
        let line = said.lines().find_map(|line| line.trim().strip_prefix("Requests/sec:"));
        if said.contains("Non-2xx") {
            return Err(format!("some status calls failed:\n{said}"));
        }
        number(line.ok_or("wrk printed no rate")?)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The body of a create: so many days up to yesterday, or of a delta up to today.
fn body((kind, days): (&str, i64)) -> Result<String, String> {
    let failed = |error: jiff::Error| format!("today can't be told: {error}");
    let today = jiff::tz::Offset::UTC.to_datetime(jiff::Timestamp::now()).date();
    let end = if kind == "delta" { today } else { today.yesterday().map_err(failed)? };
    let start = end.checked_sub(jiff::Span::new().days(days - 1)).map_err(failed)?;
    Ok(json!({"start_date": start.to_string(), "end_date": end.to_string(), "export_type": kind}).to_string())
}

fn on_core(core: &str, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", core]).arg(program);
    command
}

fn curl(arguments: &[&str]) -> Result<String, String> {
    output(on_core(CORES.1, Path::new("curl")).args(["--silent", "--show-error", "--fail"]).args(arguments))
}

fn output(command: &mut Command) -> Result<String, String> {
    let run = command.stderr(Stdio::inherit()).output();
    let output = run.map_err(|error| format!("can't run {command:?}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{command:?} ended with {}", output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn json_of(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("`{text}` is not JSON: {error}"))
}

fn number(text: &str) -> Result<f64, String> {
    text.trim().parse().map_err(|_| format!("`{text}` is not a number"))
}
