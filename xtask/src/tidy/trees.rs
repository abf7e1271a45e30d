//! What may not be anywhere below a package, however deep: an async runtime under the pure crates, an HTTP client
//! without the feature that asks for it, a second crypto provider.
//!
//! `cargo tree` is asked rather than `cargo metadata`: the latter resolves features for the workspace as a whole, so
//! that what one crate switches on would be held against another.

use std::path::Path;
use std::process::Command;

use super::Violation;
use super::graph::Package;

/// A kind of thing that some trees must not hold.
#[derive(Clone, Copy, Debug)]
struct Family {
    what: &'static str,
    names: &'static [&'static str],
    prefixes: &'static [&'static str],
}

const HTTP: Family = Family {
    what: "HTTP",
    names: &[
        "http",
        "http-body",
        "hyper",
        "hyper-util",
        "h2",
        "h3",
        "reqwest",
        "ureq",
        "curl",
        "isahc",
        "attohttpc",
        "tower-http",
    ],
    prefixes: &[],
};
const RUNTIME: Family = Family {
    what: "an async runtime",
    names: &[
        "tokio",
        "async-std",
        "smol",
        "async-executor",
        "futures-executor",
        "monoio",
        "glommio",
        "compio",
    ],
    prefixes: &[],
};
const ARROW: Family = Family { what: "Arrow", names: &["parquet"], prefixes: &["arrow"] };
const REQWEST: Family = Family { what: "reqwest", names: &["reqwest"], prefixes: &[] };
const RING: Family = Family { what: "a second crypto provider", names: &["ring"], prefixes: &[] };

/// One law: this tree holds none of these.
struct Law {
    /// How `cargo tree` is to be asked for it.
    arguments: &'static [&'static str],
    /// The tree, in words.
    subject: &'static str,
    /// The package at its top; nothing is asked while the workspace doesn't have it.
    package: Option<&'static str>,
    without: &'static [Family],
    remedy: &'static str,
}

const LAWS: &[Law] = &[
    Law {
        arguments: &["-p", "backstory-limits", "--all-features", "-e", "normal,build"],
        subject: "`backstory-limits`",
        package: Some("backstory-limits"),
        without: &[HTTP, RUNTIME],
        remedy: "move what needs it up, into `backstory-api` or `backstory-sync`: here the time and all input are arguments",
    },
    Law {
        arguments: &["-p", "backstory-formats", "--all-features", "-e", "normal,build"],
        subject: "`backstory-formats`",
        package: Some("backstory-formats"),
        without: &[HTTP, RUNTIME, ARROW],
        remedy: "move what needs Arrow up into `backstory-tables`, and what needs HTTP or a runtime up into `backstory-api`",
    },
    Law {
        arguments: &["-p", "backstory-tables", "--all-features", "-e", "normal,build"],
        subject: "`backstory-tables`",
        package: Some("backstory-tables"),
        without: &[HTTP, RUNTIME],
        remedy: "move what needs it up into `backstory-sync`: tables are made by blocking code that is handed its bytes",
    },
    Law {
        arguments: &["-p", "backstory-transport", "--no-default-features", "-e", "normal,build"],
        subject: "`backstory-transport` without its default features",
        package: Some("backstory-transport"),
        without: &[REQWEST],
        remedy: "make the dependency optional and move what uses it behind the feature `reqwest`",
    },
    Law {
        arguments: &["--workspace", "--all-features", "-e", "normal,build,dev"],
        subject: "the workspace",
        package: None,
        without: &[RING],
        remedy: "switch the features of the dependency that brings it to aws-lc-rs, which is the only provider here",
    },
];

/// What [`check`] found, and in how many trees.
pub(crate) struct Trees {
    pub(crate) checked: usize,
    pub(crate) violations: Vec<Violation>,
}

pub(crate) fn check(root: &Path, packages: &[Package]) -> Result<Trees, String> {
    let mut trees = Trees { checked: 0, violations: Vec::new() };
    for law in LAWS {
        if law.package.is_some_and(|name| packages.iter().all(|package| package.name != name)) {
            continue;
        }
        let listing = ask_cargo(root, law.arguments)?;
        trees.checked += 1;
        trees.violations.extend(judge(law, &parse(&listing)));
    }
    Ok(trees)
}

fn ask_cargo(root: &Path, arguments: &[&str]) -> Result<String, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(root)
        .args(["tree", "--locked", "--target", "all", "--prefix", "depth", "--format", " {p}"])
        .args(arguments)
        .output()
        .map_err(|error| format!("can't run `cargo tree`: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("`cargo tree {}` failed: {}", arguments.join(" "), said.trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A line of the tree: how deep it stands, and which package it names.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    depth: usize,
    name: String,
}

/// Reads `cargo tree --prefix depth --format " {p}"`, such as `2 memchr v2.8.3`.
fn parse(listing: &str) -> Vec<Line> {
    let lines = listing.lines().filter_map(|line| {
        let (depth, package) = line.split_once(' ')?;
        let name = package.split(' ').next()?;
        Some(Line { depth: depth.parse().ok()?, name: name.to_owned() })
    });
    lines.collect()
}

/// Each forbidden package once, with the way by which it came in.
fn judge(law: &Law, tree: &[Line]) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    let mut way: Vec<&str> = Vec::new();
    for line in tree {
        way.truncate(line.depth);
        way.push(&line.name);
        let Some(family) = law.without.iter().find(|family| family.has(&line.name)) else { continue };
        if seen.contains(&line.name.as_str()) {
            continue;
        }
        seen.push(&line.name);
        violations.push(format!(
            "{} must be free of {}, but `{}` is in its tree, by way of {}; {}",
            law.subject,
            family.what,
            line.name,
            way.join(" → "),
            law.remedy
        ));
    }
    violations
}

impl Family {
    fn has(&self, name: &str) -> bool {
        self.names.contains(&name) || self.prefixes.iter().any(|prefix| name.starts_with(prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAW: Law = Law {
        arguments: &[],
        subject: "`backstory-formats`",
        package: None,
        without: &[HTTP, RUNTIME, ARROW],
        remedy: "move it up",
    };

    #[test]
    fn a_clean_tree_passes() {
        let tree =
            parse("0 backstory-formats v0.1.0 (/somewhere)\n1 serde v1.0.229\n2 serde_core v1.0.229\n");
        assert_eq!(tree.len(), 3);
        assert_eq!(judge(&LAW, &tree), Vec::<Violation>::new());
    }

    #[test]
    fn a_runtime_far_below_is_found_with_the_way_to_it() {
        let tree = parse(
            "0 backstory-formats v0.1.0 (/somewhere)\n1 csv v1.4.0\n2 memchr v2.8.3\n1 bytes v1.12.2\n2 helper v1.0.0\n3 tokio v1.54.1\n",
        );
        assert_eq!(
            judge(&LAW, &tree),
            ["`backstory-formats` must be free of an async runtime, but `tokio` is in its tree, by way of \
                 backstory-formats → bytes → helper → tokio; move it up"]
        );
    }

    #[test]
    fn every_offender_is_named_once_however_often_it_occurs() {
        let tree = parse(
            "0 backstory-formats v0.1.0 (/somewhere)\n1 arrow-array v60.1.0\n2 arrow-buffer v60.1.0\n1 http v1.5.0\n1 arrow-array v60.1.0 (*)\n",
        );
        let found = judge(&LAW, &tree);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].contains("free of Arrow, but `arrow-array`"));
        assert!(found[1].contains("`arrow-buffer`"));
        assert!(found[2].contains("free of HTTP, but `http`"));
    }

    #[test]
    fn names_that_only_resemble_a_forbidden_one_pass() {
        let tree = parse(
            "0 backstory-formats v0.1.0 (/somewhere)\n1 httparse v1.10.1\n1 tokio-stream v0.1.0\n1 narrow v1.0.0\n",
        );
        assert_eq!(judge(&LAW, &tree), Vec::<Violation>::new());
    }

    #[test]
    fn ring_is_forbidden_wherever_it_is() {
        let law = LAWS.iter().find(|law| law.package.is_none()).unwrap();
        let found =
            judge(law, &parse("0 backstory-tests v0.1.0 (/somewhere)\n1 rustls v0.23.46\n2 ring v0.17.14\n"));
        assert!(found[0].contains("aws-lc-rs"), "{found:?}");
    }
}
