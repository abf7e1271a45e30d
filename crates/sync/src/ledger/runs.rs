//! The history of runs, and what was last seen of other programs' jobs.

use jiff::Timestamp;
use rusqlite::params;
use serde::Serialize;

use super::Ledger;
use crate::error::Error;

/// One run of a sync.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RunRecord {
    /// Its number.
    pub id: i64,
    /// When it began, by the client's clock.
    pub started: Timestamp,
    /// When it ended; nothing when it still runs, or was killed.
    pub ended: Option<Timestamp>,
    /// How it ended: `done`, `partial`, `failed` or `interrupted`.
    pub outcome: Option<String>,
    /// On which machine it ran.
    pub host: String,
    /// The process that it was.
    pub pid: u32,
    /// Deliveries that it committed.
    pub jobs: u64,
    /// Their rows.
    pub rows: u64,
    /// Their bytes as delivered, decompressed.
    pub bytes: u64,
    /// How long it took.
    pub seconds: Option<f64>,
}

/// What a list has shown of other programs' jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct OthersSeen {
    /// When, by the server's clock.
    pub seen_at: Timestamp,
    /// How many of their jobs were queued or running.
    pub outstanding: u64,
}

/// What a run has brought.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RunTotals {
    pub(crate) jobs: u64,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) seconds: f64,
}

impl Ledger {
    /// Begins a run.
    pub(crate) fn begin_run(&self, now: Timestamp) -> Result<i64, Error> {
        self.change("note a run in", |change| {
            change.execute(
                "INSERT INTO runs (started, host, pid) VALUES (?1, ?2, ?3)",
                params![now.to_string(), crate::engine::host(), std::process::id()],
            )?;
            Ok(change.last_insert_rowid())
        })
    }

    /// Ends a run.
    pub(crate) fn end_run(
        &self,
        run: i64,
        now: Timestamp,
        outcome: &str,
        totals: RunTotals,
    ) -> Result<(), Error> {
        self.change("note a run's end in", |change| {
            change
                .execute(
                    "UPDATE runs SET ended = ?2, outcome = ?3, jobs = ?4, rows = ?5, bytes = ?6, seconds = ?7 WHERE id = ?1",
                    params![
                        run,
                        now.to_string(),
                        outcome,
                        count(totals.jobs),
                        count(totals.rows),
                        count(totals.bytes),
                        totals.seconds
                    ],
                )
                .map(drop)
        })
    }

    /// The latest runs, newest first.
    ///
    /// # Errors
    /// [`ErrorKind::Ledger`](crate::ErrorKind::Ledger) when the ledger can't be read.
    pub fn runs(&self, most: u32) -> Result<Vec<RunRecord>, Error> {
        self.ask(|ledger| {
            let mut query = ledger.prepare(
                "SELECT id, started, ended, outcome, host, pid, jobs, rows, bytes, seconds FROM runs ORDER BY id DESC LIMIT ?1",
            )?;
            let rows = query.query_map([most], |row| {
                let time = |text: Option<String>| text.and_then(|text| text.parse().ok());
                Ok(RunRecord {
                    id: row.get(0)?,
                    started: time(row.get(1)?).unwrap_or(Timestamp::UNIX_EPOCH),
                    ended: time(row.get(2)?),
                    outcome: row.get(3)?,
                    host: row.get(4)?,
                    pid: row.get(5)?,
                    jobs: row.get::<_, i64>(6)?.unsigned_abs(),
                    rows: row.get::<_, i64>(7)?.unsigned_abs(),
                    bytes: row.get::<_, i64>(8)?.unsigned_abs(),
                    seconds: row.get(9)?,
                })
            })?;
            rows.collect()
        })
    }

    /// Notes how many jobs of other programs the service's list has shown.
    pub(crate) fn saw_others(&self, outstanding: usize, at: Timestamp) -> Result<(), Error> {
        self.change("note other programs' jobs in", |change| {
            let sql = "INSERT INTO others (only, seen_at, outstanding) VALUES (1, ?1, ?2)
                 ON CONFLICT (only) DO UPDATE SET seen_at = excluded.seen_at, outstanding = excluded.outstanding";
            change.execute(sql, params![at.to_string(), count(outstanding as u64)]).map(drop)
        })
    }

    /// What was last seen of other programs' jobs.
    pub(crate) fn others(&self) -> Result<Option<OthersSeen>, Error> {
        self.ask(|ledger| {
            let mut query = ledger.prepare("SELECT seen_at, outstanding FROM others")?;
            let mut rows = query.query_map((), |row| {
                let seen_at: String = row.get(0)?;
                let outstanding: i64 = row.get(1)?;
                Ok((seen_at, outstanding.unsigned_abs()))
            })?;
            let Some((seen_at, outstanding)) = rows.next().transpose()? else { return Ok(None) };
            Ok(seen_at.parse().ok().map(|seen_at| OthersSeen { seen_at, outstanding }))
        })
    }
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
