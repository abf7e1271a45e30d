//! Citations of the contract: code, tests and docs say where a fact about the API comes from, as in "contract (c.1)".
//! Each of them must lead somewhere.

use std::collections::BTreeSet;

use super::Violation;
use super::sources::Source;

/// Where the sections are.
pub(crate) const CONTRACT: &str = "docs/contract.md";

/// How a citation begins.
const MARK: &str = "contract (";

/// What may stand between two sections that are cited together.
const JOINTS: &[&str] = &[", (", "; (", " and (", " or (", " to ("];

pub(crate) fn check(sources: &[Source], contract: &str) -> Vec<Violation> {
    let sections = sections(contract);
    let mut violations = Vec::new();
    for source in sources {
        for (line, cited) in citations(&source.text) {
            if !sections.contains(&cited) {
                violations.push(format!(
                    "{}:{line} cites {MARK}{cited}), which {CONTRACT} doesn't have; cite the section that states \
                     the fact, or write the section",
                    source.path
                ));
            }
        }
    }
    violations
}

/// The sections of the contract: `a` from `## (a) …`, `a.1` from `### a.1 …`, and `j.1` from the rows of the table in (j).
fn sections(contract: &str) -> BTreeSet<String> {
    let mut sections = BTreeSet::new();
    let mut letter = String::new();
    for line in contract.lines() {
        if let Some(heading) = line.strip_prefix("## (") {
            letter = heading.split(')').next().unwrap_or_default().to_owned();
            sections.insert(letter.clone());
        } else if let Some(heading) = line.strip_prefix("### ") {
            let number = heading.split([' ', ':']).next().unwrap_or_default();
            sections.insert(number.to_owned());
        } else if letter == "j"
            && let Some(row) = line.strip_prefix("| ")
        {
            let number = row.split(' ').next().unwrap_or_default();
            if number.parse::<u32>().is_ok() {
                sections.insert(format!("j.{number}"));
            }
        }
    }
    sections
}

/// What a text cites, with its line. `contract (b), (j.2)` cites two sections.
fn citations(text: &str) -> Vec<(usize, String)> {
    let mut citations = Vec::new();
    for (at, line) in (1..).zip(text.lines()) {
        for (start, _) in line.match_indices(MARK) {
            // Where a generator puts a section in, there is none to look up.
            let mut rest = Some(&line[start + MARK.len()..]).filter(|rest| is_section(rest));
            while let Some((cited, behind)) = rest.and_then(|rest| rest.split_once(')')) {
                citations.push((at, cited.to_owned()));
                rest = JOINTS
                    .iter()
                    .find_map(|joint| behind.strip_prefix(joint))
                    .filter(|rest| is_section(rest));
            }
        }
    }
    citations
}

/// Whether a text goes on with the name of a section, such as `j.2)`, and not with an aside.
fn is_section(text: &str) -> bool {
    let name = text.split(')').next().unwrap_or_default();
    let (letter, number) = name.split_once('.').unwrap_or((name, "1"));
    letter.len() == 1
        && letter.bytes().all(|byte| byte.is_ascii_lowercase())
        && !number.is_empty()
        && number.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOME_CONTRACT: &str = "## (a) Authentication\n### a.1 Token endpoints\n## (g) Query API: here\n## (j) Unknowns\n| # | unknown |\n|---|---|\n| 1 | creation |\n| 44 | deltas |\n## (k) Sources\n| 7 | a source |\n";

    /// `§` stands for the mark, so that these texts aren't taken for citations themselves.
    fn violations_of(text: &str) -> Vec<Violation> {
        let text = text.replace('§', MARK);
        check(&[Source { path: "crates/api/src/job.rs".to_owned(), text }], SOME_CONTRACT)
    }

    #[test]
    fn sections_and_rows_of_unknowns_can_be_cited() {
        let names: Vec<_> = sections(SOME_CONTRACT).into_iter().collect();
        assert_eq!(names, ["a", "a.1", "g", "j", "j.1", "j.44", "k"]);
        assert!(violations_of("//! (§a.1), (j.44) and (g)): asides (of any kind) are left alone").is_empty());
    }

    #[test]
    fn a_citation_that_leads_nowhere_is_listed_with_its_line() {
        assert_eq!(
            violations_of("//! Jobs.\n// See §j.45).\n"),
            [format!(
                "crates/api/src/job.rs:2 cites {MARK}j.45), which docs/contract.md doesn't have; cite the section that \
                 states the fact, or write the section"
            )]
        );
    }

    #[test]
    fn every_section_of_a_joint_citation_is_looked_up() {
        assert_eq!(violations_of("// §a.2), (j.2) or (j.1); §m)").len(), 3);
    }
}
