//! `cargo xtask bench tables`: conversions of a generated export beside what other tools do with it, in turn on the same
//! machine, and what came out as a section of `docs/benchmarks.md`.

mod contenders;
mod marks;
mod report;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use self::contenders::{CONTACTS, Contender, NESTED, RELATIONAL, SIZES};
use super::process::Binary;
use super::{generate, page};

/// Options of `cargo xtask bench tables`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many MiB of activities
    #[arg(long, default_value_t = 1024)]
    mebibytes: u64,
    /// How many MiB of contacts
    #[arg(long, default_value_t = 256)]
    contacts: u64,
    /// How often each is run; medians are shown
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// How often those are run that take ten times as long
    #[arg(long, default_value_t = 5)]
    slow_runs: usize,
    /// Which other tools to run
    #[arg(long, value_delimiter = ',', default_value = "duckdb,chdb,polars,dlt")]
    peers: Vec<String>,
    /// How often the activities are repeated for the run that shows whether memory grows
    #[arg(long, default_value_t = 8)]
    repeats: u64,
    /// Something to be said of the machine during the run
    #[arg(long)]
    note: Option<String>,
    /// Where data, results and the Python environments go; some GiB
    #[arg(long)]
    folder: Option<PathBuf>,
}

/// What a run took.
#[derive(Clone, Copy)]
pub(crate) struct Figures {
    wall: f64,
    processor: f64,
    mebibytes: f64,
}

/// Where everything lies.
struct Places {
    folder: PathBuf,
    peers: PathBuf,
    python: PathBuf,
}

pub(crate) fn run(args: &Args, root: &Path) -> Result<(), String> {
    let folder = args.folder.clone().unwrap_or_else(|| std::env::temp_dir().join("backstory-bench"));
    std::fs::create_dir_all(&folder).map_err(|error| format!("can't make {}: {error}", folder.display()))?;
    let peers = root.join("xtask/src/bench/peers");
    let in_process: Vec<_> = args.peers.iter().map(String::as_str).filter(|&peer| peer != "dlt").collect();
    let python = environment(&folder.join("python"), &in_process)?;
    let mut versions = versions(&python, &in_process)?;
    if args.peers.iter().any(|peer| peer == "dlt") {
        // In an environment of its own, since it asks for versions of libraries that others have too.
        let python = environment(&folder.join("python-dlt"), &["dlt[filesystem,parquet]"])?;
        versions = format!("{versions}, {}", self::versions(&python, &["dlt"])?);
    }
    let binary = Binary::release(root)?;
    let (activities, contacts) = (folder.join("activities.jsonl"), folder.join("contacts.csv"));
    let rows = generated(&activities, |file| generate::activities(1, args.mebibytes << 20, file))?;
    generated(&contacts, |file| generate::contacts(1, args.contacts << 20, file))?;
    let small = folder.join("activities-eighth.jsonl");
    generated(&small, |file| generate::activities(1, args.mebibytes << 17, file))?;

    let places = Places { folder, peers, python };
    let inputs = contenders::Inputs { activities: &activities, contacts: &contacts, small: &small };
    let contenders = contenders::all(&places, binary.path(), &inputs, &args.peers, args.repeats)?;
    let mut figures: Vec<Vec<Figures>> = vec![Vec::new(); contenders.len()];
    for turn in 1..=args.runs.max(args.slow_runs) {
        for (contender, figures) in contenders.iter().zip(&mut figures) {
            if turn > if contender.is_slow { args.slow_runs } else { args.runs } {
                continue;
            }
            figures.push(measure(&places, contender)?);
            eprintln!("run {turn}: {} {:.2} s", contender.name, figures[figures.len() - 1].wall);
        }
    }
    let checked = compare(&places, &contenders)?;
    let decoding = marks::decoding(root, &activities, &contacts, args.runs)?;
    let mut report = report::head(args, rows, &versions, &checked);
    report += &marks::table(&contenders, &figures, &decoding);
    for work in [NESTED, RELATIONAL, CONTACTS, SIZES] {
        report += &report::work(work, &contenders, &figures);
    }
    report += &decoding.section();
    print!("{report}");
    page::put(root, &report)
}

/// Fails unless all results of the same work hold the same rows, as DuckDB reads them. Returns what has been compared.
fn compare(places: &Places, contenders: &[Contender]) -> Result<String, String> {
    if contenders.iter().all(|contender| contender.name != "duckdb_nested") {
        // DuckDB isn't there.
        return Ok(String::new());
    }
    let compare = |what: &str, ours: &Path, theirs: &Path| {
        let script = places.peers.join("compare.py");
        call(Command::new(&places.python).arg(script).arg(what).args([ours, theirs]).stdout(Stdio::null()))
    };
    let ours = |file: &str| places.folder.join(file);
    for contender in contenders {
        match (contender.name, contender.results.as_slice()) {
            ("duckdb_nested", [theirs]) => compare("nested", &ours("backstory.parquet"), theirs)?,
            ("duckdb_contacts", [theirs]) => compare("flat", &ours("backstory-contacts.parquet"), theirs)?,
            ("duckdb_relational", theirs) => {
                for (table, theirs) in ["activities", "participants", "campaigns"].iter().zip(theirs) {
                    compare("flat", &ours(&format!("backstory-flat/{table}/{table}.parquet")), theirs)?;
                }
            }
            ("dlt_files", [theirs]) => {
                compare(
                    "rows",
                    &ours("backstory.parquet"),
                    &theirs.join("files/bench/activities/*.parquet"),
                )?;
            }
            ("chdb_nested" | "polars_nested", [theirs]) => {
                compare("rows", &ours("backstory.parquet"), theirs)?;
            }
            _ => {}
        }
    }
    Ok("DuckDB reads the same rows with the same content from our files as from its own, nested, flat and of contacts; the \
        other tools' results have as many rows.\n"
        .to_owned())
}

/// A Python environment with packages in it.
pub(super) fn environment(folder: &Path, packages: &[&str]) -> Result<PathBuf, String> {
    let python = folder.join("bin/python");
    if !python.exists() {
        call(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
    }
    call(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(packages))?;
    Ok(python)
}

/// Makes data, and says how many rows it has.
fn generated(
    path: &Path,
    write: impl FnOnce(&mut std::io::BufWriter<std::fs::File>) -> std::io::Result<u64>,
) -> Result<u64, String> {
    let failed = |error: std::io::Error| format!("can't write {}: {error}", path.display());
    let mut file = std::io::BufWriter::with_capacity(1 << 20, std::fs::File::create(path).map_err(failed)?);
    let rows = write(&mut file).map_err(failed)?;
    std::io::Write::flush(&mut file).map_err(failed)?;
    Ok(rows)
}

fn call(command: &mut Command) -> Result<(), String> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{:?} failed: {status}", command.get_program())),
        Err(error) => Err(format!("{:?} can't be run: {error}", command.get_program())),
    }
}

fn measure(places: &Places, contender: &Contender) -> Result<Figures, String> {
    for result in &contender.results {
        // What isn't there need not be taken away.
        let _ = std::fs::remove_file(result);
        let _ = std::fs::remove_dir_all(result);
    }
    // Whoever comes next would wait for the disk to take what the one before has written.
    call(&mut Command::new("sync"))?;
    let output =
        Command::new(&places.python).arg(places.peers.join("measure.py")).args(&contender.command).output();
    let output = output.map_err(|error| format!("{} can't be run: {error}", contender.name))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    let &[wall, processor, mebibytes] = numbers.as_slice() else {
        return Err(format!("{} failed: {}", contender.name, String::from_utf8_lossy(&output.stderr)));
    };
    Ok(Figures { wall, processor, mebibytes })
}

fn versions(python: &Path, packages: &[&str]) -> Result<String, String> {
    let output = Command::new(python).args(["-m", "pip", "list", "--format", "freeze"]).output();
    let output = output.map_err(|error| format!("pip can't be run: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let named = |line: &&str| packages.iter().any(|package| line.starts_with(&format!("{package}==")));
    Ok(text.lines().filter(named).collect::<Vec<_>>().join(", ").replace("==", " "))
}
