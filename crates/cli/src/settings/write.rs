//! Writes settings into `backstory.toml`: into one profile, with everything else in the file left as it stands, comments
//! and secrets included.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use toml_edit::{DocumentMut, Item, Table, Value};

use crate::exit::{Exit, Failure};

/// One setting: its name, its value, and the reason that is written above it.
pub(crate) type Setting = (&'static str, Value, String);

/// Sets `settings` in the profile `name` of the file at `path`, or at the top of the file. A file that isn't there is
/// made.
pub(super) fn write(path: &Path, name: Option<&str>, settings: Vec<Setting>) -> Result<(), Failure> {
    let shown = path.display();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => {
            return Err(
                Failure::usage(format!("can't read the configuration file {shown}")).with_source(error)
            );
        }
    };
    // The library's own text quotes the line, which may hold a secret.
    let mut document: DocumentMut =
        text.parse().map_err(|_| Failure::usage(format!("the configuration file {shown} is no TOML")))?;
    let table = match name {
        None => Some(document.as_table_mut()),
        Some(name) => profile(&mut document, name),
    };
    let table = table.ok_or_else(|| {
        Failure::usage(format!(
            "the profiles in {shown} are no tables, so that nothing can be written to one"
        ))
    })?;
    for (key, value, reason) in settings {
        set(table, key, value, &reason);
    }
    replace(path, &document.to_string()).map_err(|error| {
        Failure::new(Exit::Failed, format!("can't write the configuration file {shown}")).with_source(error)
    })
}

fn profile<'d>(document: &'d mut DocumentMut, name: &str) -> Option<&'d mut Table> {
    let mut implicit = Table::new();
    implicit.set_implicit(true);
    let profiles = document.entry("profiles").or_insert(Item::Table(implicit)).as_table_mut()?;
    profiles.entry(name).or_insert(Item::Table(Table::new())).as_table_mut()
}

/// A value that is there already is replaced where it stands, with the comments above it.
fn set(table: &mut Table, key: &str, value: Value, reason: &str) {
    let is_new = !table.contains_key(key);
    table.insert(key, Item::Value(value));
    if let Some(mut key) = table.key_mut(key).filter(|_| is_new) {
        key.leaf_decor_mut().set_prefix(format!("# {reason}\n"));
    }
}

/// Replaces a file in one step, and keeps who may read it: it may hold secrets.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    // A link stays a link.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new: PathBuf = path.with_file_name(name);
    let written = (|| {
        let mut file = std::fs::File::create(&new)?;
        if let Ok(old) = std::fs::metadata(&path) {
            file.set_permissions(old.permissions())?;
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, &path)
    })();
    if written.is_err() {
        // What was begun is of no use; that it can't be removed changes nothing.
        let _ = std::fs::remove_file(&new);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(before: Option<&str>, profile: Option<&str>) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("backstory.toml");
        if let Some(text) = before {
            std::fs::write(&path, text).unwrap();
        }
        let settings = vec![("poll_interval", "20s".into(), "a job took 40 s".to_owned())];
        write(&path, profile, settings).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn a_file_that_is_not_there_is_made() {
        assert_eq!(written(None, None), "# a job took 40 s\npoll_interval = \"20s\"\n");
        assert_eq!(written(None, Some("eu")), "[profiles.eu]\n# a job took 40 s\npoll_interval = \"20s\"\n");
    }

    #[test]
    fn everything_else_in_the_file_stays_as_it_is() {
        let before = "# mine\nclient_id = 'x' # kept\nclient_secret = 'hunter2'\npoll_interval = '9s'\n\n[profiles.eu]\nbase_url = 'http://eu.example'\n";
        let after = written(Some(before), None);
        assert_eq!(after, before.replace("'9s'", "\"20s\""));
        let after = written(Some(before), Some("eu"));
        assert_eq!(after, format!("{before}# a job took 40 s\npoll_interval = \"20s\"\n"));
    }

    #[cfg(unix)]
    #[test]
    fn who_may_read_the_file_stays_as_it_is() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("backstory.toml");
        std::fs::write(&path, "client_secret = 'hunter2'\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        write(&path, None, vec![("resume_downloads", true.into(), "seen".to_owned())]).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_is_no_toml_is_refused_without_repeating_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("backstory.toml");
        std::fs::write(&path, "client_secret = hunter2").unwrap();
        let failure = write(&path, None, Vec::new()).unwrap_err().to_string();
        assert!(failure.contains("no TOML") && !failure.contains("hunter2"), "{failure}");
    }
}
