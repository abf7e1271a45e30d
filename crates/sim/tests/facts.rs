//! The table of facts in `docs/simulator.md` is true: every test it names exists, and no section it must cover is missing.

use std::collections::BTreeSet;
use std::path::Path;

/// The sections of the contract that the simulator plays; of (j) the rows that concern a server of bulk exports.
const SECTIONS: &[&str] =
    &["a.1", "a.2", "a.3", "a.4", "a.5", "b", "c.1", "c.2", "c.3", "d.1", "d.2", "d.3", "h.1", "h.2", "l"];
/// Rows about REST, which is not played, and about what only clients decide.
const NOT_PLAYED: &[u32] = &[40];

#[test]
fn every_fact_has_a_section_and_a_test_that_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page =
        std::fs::read_to_string(root.join("../../docs/simulator.md")).expect("the page beside the crates");
    let sources = sources(root);
    let mut sections = BTreeSet::new();
    for line in page.lines().filter(|line| line.starts_with("| (")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [section, _, tests] = cells[..] else { panic!("three cells: {line}") };
        sections.insert(section.trim_matches(['(', ')']).to_owned());
        for test in tests.split(',').map(|test| test.trim().trim_matches('`')) {
            assert!(sources.contains(&format!("fn {test}(")), "there is no test `{test}`: {line}");
        }
    }
    for section in SECTIONS {
        assert!(sections.contains(*section), "section ({section}) is missing from the table");
    }
    for row in (1..=44).filter(|row| !NOT_PLAYED.contains(row)) {
        assert!(sections.contains(&format!("j.{row}")), "row (j.{row}) is missing from the table");
    }
}

/// The text of all sources and tests of the crate.
fn sources(root: &Path) -> String {
    let mut folders = vec![root.join("src"), root.join("tests")];
    let mut all = String::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                all.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    all
}
