//! Versions of the workspace: three numbers, which all crates share.

use std::fmt;

/// A released version; this project makes no pre-releases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(u32, u32, u32);

impl Version {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let numbers: Option<Vec<u32>> = text.split('.').map(|number| number.parse().ok()).collect();
        match numbers.as_deref() {
            Some(&[major, minor, patch]) => Ok(Self(major, minor, patch)),
            _ => Err(format!("`{text}` is not a version such as 0.2.0")),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// The version in `[workspace.package]`.
pub(crate) fn of_workspace(manifest: &str) -> Result<Version, String> {
    let line = manifest.lines().find_map(|line| line.strip_prefix("version = \""));
    let text = line.and_then(|rest| rest.strip_suffix('"'));
    Version::parse(text.ok_or("the workspace's Cargo.toml has no line `version = \"…\"`")?)
}

/// The manifest with the new version, for the workspace and for its crates as dependencies of each other.
pub(crate) fn replace(manifest: &str, old: Version, new: Version) -> String {
    let (from, to) = (format!("version = \"{old}\""), format!("version = \"{new}\""));
    let ours = |line: &str| line.starts_with("version = ") || line.contains("path = \"crates/");
    let lines =
        manifest.lines().map(|line| if ours(line) { line.replace(&from, &to) } else { line.to_owned() });
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "[workspace.package]\nversion = \"0.1.0\"\n[workspace.dependencies]\n\
        a = { path = \"crates/a\", version = \"0.1.0\" }\nb = { version = \"0.1.0\" }\n";

    #[test]
    fn only_our_own_versions_are_replaced() {
        let (old, new) = (of_workspace(MANIFEST).unwrap(), Version::parse("0.2.0").unwrap());
        let replaced = replace(MANIFEST, old, new);
        assert_eq!(replaced.matches("0.2.0").count(), 2);
        assert!(replaced.contains("b = { version = \"0.1.0\" }"));
        assert!(new > old);
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for text in ["", "1", "1.2", "1.2.3.4", "1.2.x", "v1.2.3"] {
            assert!(Version::parse(text).is_err(), "{text}");
        }
    }
}
