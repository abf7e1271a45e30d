//! Source files, and the docs beside them: each `.rs` opens with a paragraph that says what lives there, and none has a name that says nothing.

use std::fs;
use std::path::Path;

use super::Violation;

/// Where our sources are.
const FOLDERS: &[&str] = &["crates", "tests", "xtask", "docs"];

/// What is read there.
const ENDINGS: &[&str] = &[".rs", ".md", ".yaml"];

/// Names under which anything, and so nothing, can be found.
const NAMES_THAT_SAY_NOTHING: &[&str] =
    &["utils", "util", "utilities", "helpers", "helper", "common", "misc", "shared", "stuff"];

/// A file, and what stands in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// From the top of the workspace, with `/` between folders.
    pub(crate) path: String,
    pub(crate) text: String,
}

pub(crate) fn check(sources: &[Source]) -> Vec<Violation> {
    sources.iter().flat_map(|source| [check_opening(source), check_names(source)]).flatten().collect()
}

fn check_opening(source: &Source) -> Option<Violation> {
    let opening = source.text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let says_something = opening.strip_prefix("//!").is_some_and(|text| !text.trim().is_empty());
    if says_something || !source.path.ends_with(".rs") {
        return None;
    }
    Some(format!(
        "{} doesn't open with a `//!` paragraph; write as its first line what lives there and why",
        source.path
    ))
}

fn check_names(source: &Source) -> Option<Violation> {
    let name = source
        .path
        .split('/')
        .map(|part| part.strip_suffix(".rs").unwrap_or(part))
        .find(|part| NAMES_THAT_SAY_NOTHING.contains(part))?;
    Some(format!(
        "{} is called `{name}`, which says nothing; move what is in it to the files that it belongs to, or name it \
         after its one subject",
        source.path
    ))
}

/// All sources and docs of the workspace, in order of their paths.
pub(crate) fn read(root: &Path) -> Result<Vec<Source>, String> {
    let mut sources = Vec::new();
    for folder in FOLDERS {
        walk(root, folder, &mut sources)?;
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(sources)
}

fn walk(root: &Path, folder: &str, sources: &mut Vec<Source>) -> Result<(), String> {
    let entries = fs::read_dir(root.join(folder)).map_err(|error| format!("can't list {folder}: {error}"))?;
    for entry in entries {
        let entry = entry.map_err(|error| format!("can't list {folder}: {error}"))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{folder}/{name}");
        let kind = entry.file_type().map_err(|error| format!("can't look at {path}: {error}"))?;
        if kind.is_dir() {
            // Build output, wherever a build was started, is no source.
            if !name.starts_with("target") && !name.starts_with('.') {
                walk(root, &path, sources)?;
            }
        } else if ENDINGS.iter().any(|ending| name.ends_with(ending)) {
            let text =
                fs::read_to_string(entry.path()).map_err(|error| format!("can't read {path}: {error}"))?;
            sources.push(Source { path, text });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn a_file_that_says_what_it_is_passes() {
        assert!(check(&[source("crates/limits/src/range.rs", "\n//! Ranges of days.\nuse x;")]).is_empty());
        assert!(check(&[source("docs/architecture.md", "# Architecture")]).is_empty());
    }

    #[test]
    fn a_file_without_an_opening_paragraph_is_named() {
        for opening in ["", "use std::fmt;", "// A plain comment.", "/// A doc of an item.", "//!", "//!   "]
        {
            let found = check(&[source("crates/limits/src/range.rs", opening)]);
            assert_eq!(found.len(), 1, "{opening:?}");
            assert!(found[0].starts_with("crates/limits/src/range.rs doesn't open"), "{found:?}");
        }
    }

    #[test]
    fn names_that_say_nothing_are_refused_as_files_and_as_folders() {
        for path in ["crates/api/src/utils.rs", "tests/tests/common/mod.rs", "xtask/src/misc.rs"] {
            let found = check(&[source(path, "//! Things.")]);
            assert_eq!(found.len(), 1, "{path}");
            assert!(found[0].contains("name it after its one subject"), "{found:?}");
        }
        // A longer name that has the word in it says something.
        assert!(check(&[source("crates/api/src/common_prefix.rs", "//! The longest.")]).is_empty());
    }

    #[test]
    fn every_violation_of_a_file_is_listed() {
        assert_eq!(check(&[source("crates/api/src/helpers.rs", "")]).len(), 2);
    }
}
