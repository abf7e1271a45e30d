//! The ledger's tables.

use rusqlite::{Connection, ffi};

/// The version of the tables, kept in the file itself.
const VERSION: i64 = 1;

/// What is said of a file that a newer version wrote.
pub(super) const NEWER: &str = "written by a newer version";

/// One row of `jobs` is one intent, and the job that came of it.
const TABLES: &str = "
CREATE TABLE ledger (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    destination_id TEXT NOT NULL,
    begun TEXT NOT NULL
) STRICT;
CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    started TEXT NOT NULL,
    ended TEXT,
    outcome TEXT,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    jobs INTEGER NOT NULL DEFAULT 0,
    rows INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0,
    seconds REAL
) STRICT;
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES runs (id),
    kind TEXT NOT NULL,
    activity_type TEXT NOT NULL,
    window_from TEXT NOT NULL,
    window_to TEXT NOT NULL,
    part_of TEXT,
    reason TEXT NOT NULL,
    intended_at TEXT NOT NULL,
    stage TEXT NOT NULL,
    ending TEXT,
    error TEXT,
    job_id TEXT,
    job_created_time TEXT,
    job_start_time TEXT,
    job_end_time TEXT,
    changed_at TEXT NOT NULL,
    seconds REAL
) STRICT;
CREATE UNIQUE INDEX jobs_by_job_id ON jobs (job_id, kind = 'contacts') WHERE job_id IS NOT NULL;
CREATE INDEX jobs_by_stage ON jobs (stage);
CREATE TABLE others (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    seen_at TEXT NOT NULL,
    outstanding INTEGER NOT NULL
) STRICT;
";

/// Makes the tables where there are none.
pub(super) fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match version {
        VERSION => Ok(()),
        0 => connection
            .execute_batch(&format!("BEGIN IMMEDIATE; {TABLES} PRAGMA user_version = {VERSION}; COMMIT;")),
        newer if newer > VERSION => {
            Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_MISMATCH), Some(NEWER.to_owned())))
        }
        _ => Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_NOTADB), None)),
    }
}

/// Whether the tables are there, in the form that this version knows.
pub(super) fn is_current(connection: &Connection) -> rusqlite::Result<bool> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok(version == VERSION)
}
