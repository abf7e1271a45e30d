//! The figures as a page.

use std::fmt::Write as _;
use std::path::Path;

use super::contenders::Contender;
use super::{Args, Figures};

pub(crate) fn median(of: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = of.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

pub(crate) fn wall(of: &[Figures]) -> f64 {
    median(of.iter().map(|one| one.wall))
}

pub(crate) fn processor(of: &[Figures]) -> f64 {
    median(of.iter().map(|one| one.processor))
}

pub(crate) fn memory(of: &[Figures]) -> f64 {
    median(of.iter().map(|one| one.mebibytes))
}

/// MiB of what a contender left.
pub(crate) fn size(contender: &Contender) -> f64 {
    contender.results.iter().map(|path| bytes(path)).sum::<u64>() as f64 / f64::from(1 << 20)
}

fn bytes(path: &Path) -> u64 {
    match std::fs::read_dir(path) {
        Ok(entries) => entries.flatten().map(|entry| bytes(&entry.path())).sum(),
        Err(_) => path.metadata().map_or(0, |metadata| metadata.len()),
    }
}

pub(crate) fn head(args: &Args, rows: u64, versions: &str, checked: &str) -> String {
    let machine = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let machine = machine.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let note = args.note.as_ref().map(|note| format!("{note}\n")).unwrap_or_default();
    format!(
        "# Benchmarks of the tables\n\n\
         Written by `cargo xtask bench tables --mebibytes {} --contacts {} --runs {} --slow-runs {}`; medians of interleaved runs on \
         {cores} cores\n({}), with {versions}. The data are generated: {rows} activities. Ratios hold within one run only.\n\
         {note}{checked}",
        args.mebibytes,
        args.contacts,
        args.runs,
        args.slow_runs,
        machine.trim_start_matches(['\t', ' ', ':']),
    )
}

/// All who did a work, beside the first of them.
pub(crate) fn work(work: &str, contenders: &[Contender], figures: &[Vec<Figures>]) -> String {
    let mut out = format!(
        "\n## {work}\n\n| tool | runs | wall, s | processor, s | peak memory, MiB | result, MiB | our speed against it | \
         our processor time against it |\n|---|---|---|---|---|---|---|---|\n"
    );
    let those = || contenders.iter().zip(figures).filter(|(contender, _)| contender.work == work);
    let Some((_, ours)) = those().next() else { return String::new() };
    for (contender, theirs) in those() {
        let _ = writeln!(
            out,
            "| {} | {} | {:.2} | {:.2} | {:.0} | {:.1} | {:.2} | {:.2} |",
            contender.name.replace('_', " "),
            theirs.len(),
            wall(theirs),
            processor(theirs),
            memory(theirs),
            size(contender),
            wall(theirs) / wall(ours),
            processor(ours) / processor(theirs),
        );
    }
    out
}
