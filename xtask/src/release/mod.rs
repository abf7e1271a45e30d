//! `cargo xtask release VERSION`: gives all crates a version and the changelog its section, and proves that they can be
//! packaged. It commits, tags and publishes nothing; it says how to.

mod changelog;
mod version;

use std::path::Path;
use std::process::Command;

use self::version::Version;

/// Options of `cargo xtask release`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The new version, such as 0.2.0
    version: String,
    /// Write the files; without it, only say what would be written
    #[arg(long)]
    execute: bool,
}

const MANIFEST: &str = "Cargo.toml";
const CHANGELOG: &str = "CHANGELOG.md";

pub(crate) fn run(args: &Args, root: &Path) -> Result<(), String> {
    let new = Version::parse(&args.version)?;
    let manifest = read(root, MANIFEST)?;
    let old = version::of_workspace(&manifest)?;
    if new <= old {
        return Err(format!("{new} does not come after {old}, the version that the workspace has"));
    }
    let today = jiff::tz::Offset::UTC.to_datetime(jiff::Timestamp::now()).date();
    let changed = [
        (MANIFEST, version::replace(&manifest, old, new)),
        (CHANGELOG, changelog::release(&read(root, CHANGELOG)?, new, today)?),
    ];
    if args.execute {
        let status = git(root, &["status", "--porcelain"])?;
        if !status.trim().is_empty() {
            return Err(
                "the work tree has changes; commit them first, so that a release is one commit of its own"
                    .to_owned(),
            );
        }
        for (name, content) in &changed {
            std::fs::write(root.join(name), content)
                .map_err(|error| format!("can't write {name}: {error}"))?;
        }
        cargo(root, &["update", "--workspace", "--quiet"])?;
        // Not built again here: that is what .ci/run is for.
        cargo(root, &["package", "--workspace", "--no-verify", "--allow-dirty", "--quiet"])?;
    }
    let done = if args.execute { "written and packaged" } else { "would be written; add --execute to do it" };
    println!("{old} → {new}: {MANIFEST} and {CHANGELOG} {done}. Then:");
    println!("  .ci/run");
    println!("  git commit --all --message 'Release {new}' && git tag v{new}");
    println!("  cargo publish --workspace");
    Ok(())
}

fn read(root: &Path, name: &str) -> Result<String, String> {
    std::fs::read_to_string(root.join(name)).map_err(|error| format!("can't read {name}: {error}"))
}

fn git(root: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("git").args(arguments).current_dir(root).output();
    let output = output.map_err(|error| format!("can't run git: {error}"))?;
    String::from_utf8(output.stdout).map_err(|_| "git answered with something that isn't UTF-8".to_owned())
}

fn cargo(root: &Path, arguments: &[&str]) -> Result<(), String> {
    let status = Command::new("cargo").args(arguments).current_dir(root).status();
    match status.map_err(|error| format!("can't run cargo: {error}"))?.success() {
        true => Ok(()),
        false => Err(format!("`cargo {}` failed (see above)", arguments.join(" "))),
    }
}
