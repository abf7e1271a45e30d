//! The changelog: what stands under "Unreleased" becomes the section of a version.

use jiff::civil::Date;

use super::version::Version;

const UNRELEASED: &str = "## [Unreleased]";

/// The changelog with a section for `version` under an empty "Unreleased".
pub(crate) fn release(changelog: &str, version: Version, date: Date) -> Result<String, String> {
    let (before, rest) =
        changelog.split_once(UNRELEASED).ok_or(format!("CHANGELOG.md has no section `{UNRELEASED}`"))?;
    let notes = rest.split("\n## [").next().unwrap_or_default();
    if !notes.contains("\n- ") {
        return Err(
            "CHANGELOG.md says nothing under Unreleased; write down what changes for users first".to_owned()
        );
    }
    Ok(format!("{before}{UNRELEASED}\n\n## [{version}] - {date}{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unreleased_notes_become_the_versions_own() {
        let changelog = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- A thing.\n\n## [0.1.0] - 2026-01-01\n\n- Old.\n";
        let released =
            release(changelog, Version::parse("0.2.0").unwrap(), jiff::civil::date(2026, 3, 1)).unwrap();
        let at = |text: &str| released.find(text).unwrap();
        assert!(at(UNRELEASED) < at("## [0.2.0] - 2026-03-01"));
        assert!(at("## [0.2.0] - 2026-03-01") < at("- A thing.") && at("- A thing.") < at("## [0.1.0]"));
    }

    #[test]
    fn a_release_without_notes_is_refused() {
        let changelog = "## [Unreleased]\n\n## [0.1.0] - 2026-01-01\n\n- Old.\n";
        assert!(release(changelog, Version::parse("0.2.0").unwrap(), jiff::civil::date(2026, 3, 1)).is_err());
    }
}
