//! `cargo xtask bench tables`: conversions of a generated export beside what other tools do with it, in turn on the same
//! machine, and what came out as a section of `docs/benchmarks.md`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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
    /// Which other tools to run
    #[arg(long, value_delimiter = ',', default_value = "duckdb,polars,chdb")]
    peers: Vec<String>,
    /// Where data, results and the Python environment go; some GiB
    #[arg(long)]
    folder: Option<PathBuf>,
}

/// Something that is run and measured.
struct Contender {
    /// The work that it does; contenders of the same work are compared.
    work: &'static str,
    name: &'static str,
    command: Vec<String>,
    /// The files that it leaves.
    results: Vec<PathBuf>,
}

/// What a run took.
#[derive(Clone, Copy)]
struct Figures {
    wall: f64,
    processor: f64,
    mebibytes: f64,
}

pub(crate) fn run(args: &Args, root: &Path) -> Result<(), String> {
    let folder = args.folder.clone().unwrap_or_else(|| std::env::temp_dir().join("backstory-bench"));
    std::fs::create_dir_all(&folder).map_err(|error| format!("can't make {}: {error}", folder.display()))?;
    let peers = root.join("xtask/src/bench/peers");
    let python = environment(&folder, &args.peers)?;
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    call(Command::new(cargo).current_dir(root).args([
        "build",
        "--quiet",
        "--release",
        "--package",
        "backstory-tables",
        "--example",
        "convert",
    ]))?;
    let convert = target.join("release/examples/convert");
    let (activities, contacts) = (folder.join("activities.jsonl"), folder.join("contacts.csv"));
    let rows = generated(&activities, |file| generate::activities(1, args.mebibytes << 20, file))?;
    generated(&contacts, |file| generate::contacts(1, args.contacts << 20, file))?;

    let path = |path: &Path| path.display().to_string();
    let ours = |work, name, options: &[&str], input: &Path, results: Vec<PathBuf>| {
        let mut command = vec![path(&convert)];
        command.extend(options.iter().map(|&option| option.to_owned()));
        command.extend([path(input), path(&folder.join(format!("{name}.out")))]);
        Contender { work, name, command, results }
    };
    let theirs = |work, name: &'static str, input: &Path, results: Vec<PathBuf>| {
        let script = peers.join(format!("{name}.py"));
        let command =
            vec![path(&python), path(&script), path(input), path(&folder.join(format!("{name}.out")))];
        Contender { work, name, command, results }
    };
    let out = |name: &str| vec![folder.join(format!("{name}.out"))];
    let three = |name: &str| {
        ["activities", "participants", "campaigns"]
            .map(|table| folder.join(format!("{name}.out.{table}")))
            .to_vec()
    };
    const NESTED: &str = "activities to nested Parquet";
    const RELATIONAL: &str = "activities to three flat Parquet files";
    const CONTACTS: &str = "contacts CSV to Parquet";
    let mut contenders = vec![
        ours(NESTED, "backstory", &[], &activities, out("backstory")),
        ours(NESTED, "backstory, 1 thread", &["--threads", "1"], &activities, out("backstory, 1 thread")),
        ours(RELATIONAL, "backstory (flat)", &["--relational"], &activities, three("backstory (flat)")),
        ours(CONTACTS, "backstory (contacts)", &[], &contacts, out("backstory (contacts)")),
    ];
    for peer in &args.peers {
        match peer.as_str() {
            "duckdb" => {
                contenders.push(theirs(NESTED, "duckdb_nested", &activities, out("duckdb_nested")));
                contenders.push(theirs(
                    RELATIONAL,
                    "duckdb_relational",
                    &activities,
                    three("duckdb_relational"),
                ));
                contenders.push(theirs(CONTACTS, "duckdb_contacts", &contacts, out("duckdb_contacts")));
            }
            "polars" => contenders.push(theirs(NESTED, "polars_nested", &activities, out("polars_nested"))),
            "chdb" => contenders.push(theirs(NESTED, "chdb_nested", &activities, out("chdb_nested"))),
            other => return Err(format!("there is no peer `{other}`; there are duckdb, polars and chdb")),
        }
    }
    let mut figures: Vec<Vec<Figures>> = vec![Vec::new(); contenders.len()];
    for turn in 1..=args.runs {
        for (contender, figures) in contenders.iter().zip(&mut figures) {
            figures.push(measure(&python, &peers, contender)?);
            eprintln!("run {turn}: {} {:.2} s", contender.name, figures[figures.len() - 1].wall);
        }
    }
    let mut checked = String::new();
    if args.peers.iter().any(|peer| peer == "duckdb") {
        let [ours, theirs] = [&out("backstory")[0], &out("duckdb_nested")[0]];
        call(Command::new(&python).arg(peers.join("compare.py")).args([ours, theirs]).stdout(Stdio::null()))?;
        checked = "DuckDB reads the same activities from our file as from its own.\n".to_owned();
    }
    let report = report(args, rows, &contenders, &figures, &versions(&python, &args.peers)?, &checked);
    print!("{report}");
    page::put(root, &report)
}

/// A Python environment of its own, with the peers in it.
fn environment(folder: &Path, peers: &[String]) -> Result<PathBuf, String> {
    let (environment, python) = (folder.join("python"), folder.join("python/bin/python"));
    if !python.exists() {
        call(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
    }
    call(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(peers))?;
    Ok(python)
}

/// Makes the data unless it is there, and says how many rows it has.
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

fn measure(python: &Path, peers: &Path, contender: &Contender) -> Result<Figures, String> {
    for result in &contender.results {
        // What isn't there need not be taken away.
        let _ = std::fs::remove_file(result);
    }
    let output = Command::new(python).arg(peers.join("measure.py")).args(&contender.command).output();
    let output = output.map_err(|error| format!("{} can't be run: {error}", contender.name))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    let &[wall, processor, mebibytes] = numbers.as_slice() else {
        return Err(format!("{} failed: {}", contender.name, String::from_utf8_lossy(&output.stderr)));
    };
    Ok(Figures { wall, processor, mebibytes })
}

fn versions(python: &Path, peers: &[String]) -> Result<String, String> {
    let output = Command::new(python).args(["-m", "pip", "list", "--format", "freeze"]).output();
    let output = output.map_err(|error| format!("pip can't be run: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let named = |line: &&str| peers.iter().any(|peer| line.starts_with(&format!("{peer}==")));
    Ok(text.lines().filter(named).collect::<Vec<_>>().join(", ").replace("==", " "))
}

fn median(of: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = of.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn report(
    args: &Args,
    rows: u64,
    contenders: &[Contender],
    figures: &[Vec<Figures>],
    versions: &str,
    checked: &str,
) -> String {
    let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor = processor.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut out = format!(
        "# Benchmarks of the tables\n\n\
         Written by `cargo xtask bench tables --mebibytes {} --contacts {} --runs {}`; medians of interleaved runs on {cores} cores\n\
         ({}), with {versions}. The data are generated: {rows} activities. Ratios hold within one run only.\n{checked}",
        args.mebibytes,
        args.contacts,
        args.runs,
        processor.trim_start_matches(['\t', ' ', ':']),
    );
    let mut work = "";
    for (at, contender) in contenders.iter().enumerate() {
        if contender.work == work || contenders[..at].iter().any(|earlier| earlier.work == contender.work) {
            continue;
        }
        work = contender.work;
        let _ = write!(
            out,
            "\n## {work}\n\n| tool | wall, s | processor, s | peak memory, MiB | result, MiB | our speed against it | our processor time against it |\n|---|---|---|---|---|---|---|\n"
        );
        let of_ours = &figures[at];
        for (contender, of_it) in
            contenders.iter().zip(figures).filter(|(contender, _)| contender.work == work)
        {
            let size: u64 =
                contender.results.iter().filter_map(|file| Some(file.metadata().ok()?.len())).sum();
            let wall = |of: &[Figures]| median(of.iter().map(|one| one.wall));
            let processor = |of: &[Figures]| median(of.iter().map(|one| one.processor));
            let _ = writeln!(
                out,
                "| {} | {:.2} | {:.2} | {:.0} | {:.1} | {:.2} | {:.2} |",
                contender.name.replace('_', " "),
                wall(of_it),
                processor(of_it),
                median(of_it.iter().map(|one| one.mebibytes)),
                size as f64 / f64::from(1 << 20),
                wall(of_it) / wall(of_ours),
                processor(of_ours) / processor(of_it),
            );
        }
    }
    out
}
