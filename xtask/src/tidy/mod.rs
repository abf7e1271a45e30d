//! `cargo xtask tidy`: the layering of the workspace, checked by a tool instead of by memory. What it checks, and why,
//! is `docs/architecture.md`, "The arrows". Every violation is listed, each with what to move where.

mod arrows;
mod citations;
mod graph;
mod sources;
mod trees;

use std::path::Path;

/// What is wrong, and what to do about it, in one sentence or two.
pub(crate) type Violation = String;

pub(crate) fn run(root: &Path) -> Result<(), String> {
    let packages = graph::read(root)?;
    let mut violations = arrows::check(&packages);
    let trees = trees::check(root, &packages)?;
    violations.extend(trees.violations);
    let sources = sources::read(root)?;
    violations.extend(sources::check(&sources));
    let contract = sources
        .iter()
        .find(|source| source.path == citations::CONTRACT)
        .ok_or_else(|| format!("{} is missing", citations::CONTRACT))?;
    violations.extend(citations::check(&sources, &contract.text));

    if violations.is_empty() {
        println!(
            "tidy: {} packages, {} dependency trees and {} files are as docs/architecture.md has them",
            packages.len(),
            trees.checked,
            sources.len()
        );
        return Ok(());
    }
    let list: String = violations.iter().map(|violation| format!("\n- {violation}")).collect();
    Err(format!("{} against the layering in docs/architecture.md:{list}", count(violations.len())))
}

fn count(violations: usize) -> String {
    if violations == 1 { "1 violation".to_owned() } else { format!("{violations} violations") }
}
