//! The ledger: what a sync means to do, what it has under way at the service, and how earlier runs went. SQLite, in one
//! file.
//!
//! The truth of what has been loaded is in the destination. The ledger only knows what the destination can't: intents
//! (written before a job is asked for, so that its job is found again after a crash), jobs in flight, failures, and
//! timings. Deleting it at any time loses nothing but time; one that is missing or corrupt is begun anew, one from an old
//! backup is brought up to date, and one of another destination is refused.

mod facts;
mod jobs;
mod runs;
mod schema;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use crate::error::{Error, ErrorKind};

pub use facts::LedgerFacts;
pub use jobs::{Ending, JobSpec, LedgerJob, Stage};
pub use runs::{OthersSeen, RunRecord};

pub(crate) use runs::RunTotals;

/// How long to wait for somebody who reads the ledger, such as `status`.
const BUSY: Duration = Duration::from_secs(10);

/// The open ledger of one destination. Its calls block for as long as the disk takes.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    connection: Mutex<Connection>,
    set_aside: Option<PathBuf>,
}

impl Ledger {
    /// Opens the ledger of the destination with this id, or begins it. A file that isn't a sound ledger is set aside under
    /// another name, and a new one is begun.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] when it belongs to another destination or a newer version of this program wrote it;
    /// [`ErrorKind::Ledger`] when it can't be read or written.
    pub fn open(path: &Path, destination_id: &str, now: Timestamp) -> Result<Self, Error> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)
                .map_err(|error| Error::destination("make the folder", folder, error))?;
        }
        let (connection, set_aside) = match connect(path) {
            Ok(connection) => (connection, None),
            Err(error) if is_corrupt(&error) => {
                let aside = set_aside(path, now)?;
                (connect(path).map_err(|error| failed("open", path, error))?, Some(aside))
            }
            Err(error) => return Err(failed("open", path, error)),
        };
        let ledger = Self { path: path.to_owned(), connection: Mutex::new(connection), set_aside };
        ledger.check_owner(destination_id, now)?;
        Ok(ledger)
    }

    /// Opens the ledger to look into it, without taking part; nothing when there is none, or none that is readable now.
    pub fn look(path: &Path) -> Option<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).ok()?;
        connection.busy_timeout(BUSY).ok()?;
        let sound = schema::is_current(&connection).unwrap_or(false);
        sound.then(|| Self { path: path.to_owned(), connection: Mutex::new(connection), set_aside: None })
    }

    /// Where a file went that stood in the ledger's place and wasn't one.
    pub fn set_aside(&self) -> Option<&Path> {
        self.set_aside.as_deref()
    }

    fn check_owner(&self, destination_id: &str, now: Timestamp) -> Result<(), Error> {
        let owner = self.change("note the destination in", |change| {
            let sql =
                "INSERT INTO ledger (only, destination_id, begun) VALUES (1, ?1, ?2) ON CONFLICT DO NOTHING";
            change.execute(sql, (destination_id, now.to_string()))?;
            change.query_row("SELECT destination_id FROM ledger", (), |row| row.get::<_, String>(0))
        })?;
        if owner == destination_id {
            return Ok(());
        }
        let message = format!("the ledger {} belongs to another destination", self.path.display());
        Err(Error::new(ErrorKind::Usage, message).with_hint(
            "name the state folder of this destination with --state-dir; or, if the ledger is a stray copy, delete it: it is begun anew",
        ))
    }

    /// Runs one transaction: all of it is on disk when this returns, or none.
    fn change<T>(
        &self,
        what: &str,
        work: impl FnOnce(&rusqlite::Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        let mut connection = self.lock();
        let done = (|| {
            let change = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let value = work(&change)?;
            change.commit()?;
            Ok(value)
        })();
        done.map_err(|error| failed(what, &self.path, error))
    }

    fn ask<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, Error> {
        work(&self.lock()).map_err(|error| failed("read", &self.path, error))
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens or makes the file, and proves it sound.
fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    // A rollback journal rather than a write-ahead log: the log needs memory that processes share, which network file
    // systems don't give. Writes are few. `EXTRA` keeps a commit through a loss of power as well.
    connection.pragma_update(None, "journal_mode", "DELETE")?;
    connection.pragma_update(None, "synchronous", "EXTRA")?;
    let sound: String = connection.query_row("PRAGMA quick_check(1)", (), |row| row.get(0))?;
    if sound != "ok" {
        return Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT),
            Some(sound),
        ));
    }
    schema::prepare(&connection)?;
    Ok(connection)
}

fn is_corrupt(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// Gives a corrupt ledger, with its journal, another name.
fn set_aside(path: &Path, now: Timestamp) -> Result<PathBuf, Error> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let stamp = now.strftime("%Y%m%dT%H%M%SZ");
    let aside = path.with_file_name(format!("{name}.corrupt-{stamp}"));
    let rename = |from: &Path, to: &Path| match fs::rename(from, to) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        done => done.map_err(|error| Error::destination("set aside the corrupt ledger", from, error)),
    };
    let journal = path.with_file_name(format!("{name}-journal"));
    rename(&journal, &path.with_file_name(format!("{name}.corrupt-{stamp}-journal")))?;
    rename(path, &aside)?;
    Ok(aside)
}

fn failed(what: &str, path: &Path, error: rusqlite::Error) -> Error {
    let hint = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "make room and run the same command again; what is whole is kept",
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            "choose a folder that you may write to, or another one for the ledger with --state-dir"
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another program holds the ledger open; run the same command again"
        }
        _ => "run the same command again; if it stays like this, the ledger may be deleted: it is begun anew",
    };
    let newer = matches!(&error, rusqlite::Error::SqliteFailure(_, Some(text)) if text == schema::NEWER);
    let kind = if newer { ErrorKind::Usage } else { ErrorKind::Ledger };
    let hint = if newer { "use that version, or delete the ledger: it is begun anew" } else { hint };
    let why = if newer { ": a newer version of this program wrote it" } else { "" };
    Error::new(kind, format!("can't {what} the ledger {}{why}", path.display()))
        .with_hint(hint)
        .with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-06-18T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn the_ledger_of_another_destination_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/ledger.sqlite");
        drop(Ledger::open(&path, "one", now()).unwrap());
        drop(Ledger::open(&path, "one", now()).unwrap());
        let error = Ledger::open(&path, "two", now()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(error.to_string().contains("another destination"), "{error}");
    }

    #[test]
    fn a_file_that_is_no_ledger_is_set_aside_and_a_new_one_begun() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.sqlite");
        for garbage in [
            &b"this is no database, whatever it is called; and it is long enough to be looked at"[..],
            &[0xff; 9_000],
        ] {
            fs::write(&path, garbage).unwrap();
            let ledger = Ledger::open(&path, "one", now()).unwrap();
            let aside = ledger.set_aside().unwrap().to_owned();
            assert_eq!(fs::read(&aside).unwrap(), garbage);
            fs::remove_file(aside).unwrap();
            drop(ledger);
            assert!(Ledger::open(&path, "one", now()).unwrap().set_aside().is_none());
        }
    }

    #[test]
    fn a_ledger_with_a_damaged_page_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.sqlite");
        drop(Ledger::open(&path, "one", now()).unwrap());
        let mut bytes = fs::read(&path).unwrap();
        let second_page = 4_096;
        bytes[second_page..second_page + 200].fill(0xa5);
        fs::write(&path, bytes).unwrap();
        assert!(Ledger::open(&path, "one", now()).unwrap().set_aside().is_some());
    }

    #[test]
    fn a_ledger_of_a_newer_version_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.sqlite");
        drop(Ledger::open(&path, "one", now()).unwrap());
        Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
        let error = Ledger::open(&path, "one", now()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(error.to_string().contains("newer version"), "{error}");
    }
}
