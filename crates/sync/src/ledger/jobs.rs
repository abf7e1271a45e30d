//! Intents and the jobs that came of them: each is one row, from before its request until it has ended.

use std::collections::HashSet;
use std::fmt;

use backstory_api::ActivityType;
use backstory_destination::{Delivery, DeliveryKind, DeliveryRecord, FragmentRecord, PartOf, Window};
use backstory_limits::DateRange;
use backstory_tables::Resource;
use jiff::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Row, params};
use serde::Serialize;

use super::Ledger;
use crate::error::Error;
use crate::plan::{Attempt, AttemptOutcome, PlannedJob, SyncSettings};

/// What a job is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct JobSpec {
    /// What its window selects on.
    pub kind: DeliveryKind,
    /// `all`, `email`, `meeting` or `call`.
    pub activity_type: String,
    /// Its range of UTC days.
    pub window: Window,
    /// The set of deliveries that it is a part of.
    pub part_of: Option<PartOf>,
}

impl JobSpec {
    /// What a planned job asks for.
    pub(crate) fn of(planned: &PlannedJob) -> Self {
        Self {
            kind: planned.kind,
            activity_type: planned.activity_type.as_str().to_owned(),
            window: Window::new(planned.window.start(), planned.window.end()),
            part_of: planned.part_of.clone(),
        }
    }
}

impl JobSpec {
    /// Whether it asks for everything that `other` asks for.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        self.kind == other.kind
            && (self.activity_type == other.activity_type || self.activity_type == "all")
            && self.window.from <= other.window.from
            && self.window.to >= other.window.to
    }
}

/// Such as `delta 2026-06-17..2026-06-18`.
impl fmt::Display for JobSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.activity_type.as_str() {
            "all" => write!(f, "{} {}", self.kind.as_str(), self.window),
            one => write!(f, "{} of type {one} {}", self.kind.as_str(), self.window),
        }
    }
}

/// How far a job has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// It is about to be asked for, or it was and the reply is not known.
    Intended,
    /// It exists and has an id.
    Created,
    /// The service has its result.
    Completed,
    /// We no longer wait for it, but it may still run and hold a slot.
    Abandoned,
    /// Its rows are in the destination.
    Committed,
    /// Nothing will come of it.
    Ended,
}

/// Why nothing will come of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// The service's list shows that it was never created.
    NeverCreated,
    /// The service refused it because its range is too wide.
    TooWide,
    /// The service refused it because its range lies in the future (contract (j.26)).
    FutureRefused,
    /// The service refused it for another reason.
    Refused,
    /// It ended as `Failed`.
    Failed,
    /// It ended as `Canceled`.
    Canceled,
    /// It ran for longer than it may.
    RanTooLong,
    /// Its file is gone.
    Expired,
    /// The service knows no such job.
    Unknown,
    /// Its reply was lost, and no list can tell whether it exists.
    OutcomeUnknown,
    /// Its rows were in the destination, and are there no more.
    Lost,
}

/// An intent, and the job that came of it as far as is known.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LedgerJob {
    /// Its number in the ledger.
    pub id: i64,
    /// What was asked for.
    #[serde(flatten)]
    pub spec: JobSpec,
    /// Why, in a sentence.
    pub reason: String,
    /// The server's time before the request; the client's, where the server's was not known.
    pub intended_at: Timestamp,
    /// How far it has come.
    pub stage: Stage,
    /// Why nothing will come of it.
    pub ending: Option<Ending>,
    /// What was said of its failure.
    pub error: Option<String>,
    /// The service's id.
    pub job_id: Option<String>,
    /// When it was created, by the server's clock.
    pub job_created_time: Option<Timestamp>,
    /// When it began to run.
    pub job_start_time: Option<Timestamp>,
    /// When it ended at the service.
    pub job_end_time: Option<Timestamp>,
    /// When this was last noted, by the server's clock.
    pub changed_at: Timestamp,
}

impl LedgerJob {
    /// What the planner learns from this job's failure.
    pub fn attempt(&self) -> Option<Attempt> {
        let outcome = match self.ending? {
            Ending::Failed => AttemptOutcome::Failed,
            Ending::RanTooLong => AttemptOutcome::RanTooLong,
            Ending::TooWide => AttemptOutcome::TooWide,
            Ending::FutureRefused => AttemptOutcome::FutureRefused,
            _ => return None,
        };
        let window = DateRange::new(self.spec.window.from, self.spec.window.to).ok()?;
        let activity_type = ActivityType::from_word(&self.spec.activity_type)?;
        Some(Attempt::new(self.spec.kind, activity_type, window, outcome, self.changed_at))
    }

    /// Whether it is still of use: something may come of it, and a run goes on with it.
    pub fn is_under_way(&self) -> bool {
        match self.stage {
            // No list can tell what came of an intent for contacts.
            Stage::Intended => self.spec.kind != DeliveryKind::Contacts,
            Stage::Created | Stage::Completed => self.job_id.is_some(),
            Stage::Abandoned | Stage::Committed | Stage::Ended => false,
        }
    }

    /// Whether it is of what these settings keep current.
    pub(crate) fn is_of(&self, settings: &SyncSettings) -> bool {
        match self.spec.kind {
            DeliveryKind::Contacts => settings.contacts,
            DeliveryKind::Snapshot | DeliveryKind::Delta => settings.activities,
        }
    }

    /// The delivery that this job will make, as if it were there already: what is under way need not be planned.
    pub(crate) fn as_if_delivered(&self) -> DeliveryRecord {
        let id = self.job_id.clone().unwrap_or_else(|| format!("intent {}", self.id));
        let mut delivery =
            Delivery::new(id, self.spec.kind, self.spec.window, self.intended_at, self.intended_at);
        delivery.activity_type.clone_from(&self.spec.activity_type);
        delivery.part_of.clone_from(&self.spec.part_of);
        delivery.job_created_time = self.job_created_time;
        DeliveryRecord::new(delivery, vec![FragmentRecord::new(0, 0, 0, "")])
    }
}

impl Ledger {
    /// Notes that a job is about to be asked for. On disk before this returns.
    pub(crate) fn intend(&self, run: i64, spec: &JobSpec, reason: &str, at: Timestamp) -> Result<i64, Error> {
        let part_of = spec.part_of.as_ref().and_then(|set| serde_json::to_string(set).ok());
        self.change("note an intent in", |change| {
            change.execute(
                "INSERT INTO jobs (run, kind, activity_type, window_from, window_to, part_of, reason, intended_at, stage, changed_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'intended', ?8)",
                params![
                    run,
                    spec.kind.as_str(),
                    spec.activity_type,
                    spec.window.from.to_string(),
                    spec.window.to.to_string(),
                    part_of,
                    reason,
                    at.to_string(),
                ],
            )?;
            Ok(change.last_insert_rowid())
        })
    }

    /// Notes the job that came of an intent.
    pub(crate) fn bind(&self, id: i64, job: &backstory_api::Job, at: Timestamp) -> Result<(), Error> {
        self.change("note a job in", |change| {
            // An intent of an old backup may hold this job already; what was just heard counts.
            change.execute(
                "UPDATE jobs SET job_id = NULL, stage = 'ended', ending = 'unknown' WHERE job_id = ?1 AND id <> ?2
                 AND (kind = 'contacts') = (SELECT kind = 'contacts' FROM jobs WHERE id = ?2)",
                params![job.job_id.as_str(), id],
            )?;
            change.execute(
                "UPDATE jobs SET job_id = ?2, stage = 'created' WHERE id = ?1",
                params![id, job.job_id.as_str()],
            )?;
            change.execute(TIMES, times(id, job, at)?).map(drop)
        })
    }

    /// Notes what the service has said of a job.
    pub(crate) fn describe(&self, id: i64, job: &backstory_api::Job, at: Timestamp) -> Result<(), Error> {
        let completed = matches!(job.state, Some(backstory_api::JobState::Completed));
        self.change("note a job's state in", |change| {
            change.execute(TIMES, times(id, job, at)?)?;
            if completed {
                change.execute("UPDATE jobs SET stage = 'completed' WHERE id = ?1", [id])?;
            }
            Ok(())
        })
    }

    /// Notes that a job's rows are in the destination.
    pub(crate) fn committed(&self, id: i64, at: Timestamp, seconds: Option<f64>) -> Result<(), Error> {
        self.change("note a commit in", |change| {
            let sql = "UPDATE jobs SET stage = 'committed', ending = NULL, changed_at = ?2, seconds = ?3 WHERE id = ?1";
            change.execute(sql, params![id, at.to_string(), seconds]).map(drop)
        })
    }

    /// Notes that nothing will come of a job.
    pub(crate) fn end(
        &self,
        id: i64,
        ending: Ending,
        error: Option<&str>,
        at: Timestamp,
    ) -> Result<(), Error> {
        self.change("note a job's end in", |change| {
            let sql =
                "UPDATE jobs SET stage = 'ended', ending = ?2, error = ?3, changed_at = ?4 WHERE id = ?1";
            change.execute(sql, params![id, ending.as_str(), error, at.to_string()]).map(drop)
        })
    }

    /// Notes that a job is no longer waited for, though it may still hold a slot.
    pub(crate) fn abandon(
        &self,
        id: i64,
        ending: Ending,
        error: Option<&str>,
        at: Timestamp,
    ) -> Result<(), Error> {
        self.change("note an abandoned job in", |change| {
            let sql =
                "UPDATE jobs SET stage = 'abandoned', ending = ?2, error = ?3, changed_at = ?4 WHERE id = ?1";
            change.execute(sql, params![id, ending.as_str(), error, at.to_string()]).map(drop)
        })
    }

    /// Notes that an abandoned job has ended at the service, so that it holds no slot any more.
    pub(crate) fn freed(&self, id: i64, at: Timestamp) -> Result<(), Error> {
        self.change("note a job's end in", |change| {
            let sql =
                "UPDATE jobs SET stage = 'ended', changed_at = ?2 WHERE id = ?1 AND stage = 'abandoned'";
            change.execute(sql, params![id, at.to_string()]).map(drop)
        })
    }

    /// What the planner learns from jobs of which nothing came.
    pub fn attempts(&self) -> Result<Vec<Attempt>, Error> {
        Ok(self.ended_jobs()?.iter().filter_map(LedgerJob::attempt).collect())
    }

    /// Brings the ledger up to what the destination holds: its deliveries are committed, whatever the ledger thought, and what
    /// it has lost isn't any more.
    pub(crate) fn reconcile(&self, deliveries: &[DeliveryRecord], at: Timestamp) -> Result<(), Error> {
        let open = self.open_jobs()?;
        let done: Vec<i64> = open
            .iter()
            .filter(|job| {
                job.job_id.as_deref().is_some_and(|id| {
                    deliveries.iter().any(|record| {
                        record.delivery.job_id == id && record.delivery.resource == resource_of(job.spec.kind)
                    })
                })
            })
            .map(|job| job.id)
            .collect();
        done.into_iter().try_for_each(|id| self.committed(id, at, None))?;
        self.lost(deliveries)?.iter().try_for_each(|job| self.end(job.id, Ending::Lost, None, at))
    }

    /// The jobs of activities whose rows were committed, and aren't among these deliveries. (A refresh of contacts goes when
    /// later ones have taken its place.)
    pub(crate) fn lost(&self, deliveries: &[DeliveryRecord]) -> Result<Vec<LedgerJob>, Error> {
        let there: HashSet<&str> = deliveries
            .iter()
            .filter(|record| record.delivery.resource == Resource::Activities)
            .map(|record| record.delivery.job_id.as_str())
            .collect();
        let mut committed = self.jobs_where("stage = 'committed' AND kind <> 'contacts'")?;
        committed.retain(|job| job.job_id.as_deref().is_some_and(|id| !there.contains(id)));
        Ok(committed)
    }

    /// The jobs that aren't over: intents without a reply, jobs in flight, abandoned ones. Oldest first.
    pub fn open_jobs(&self) -> Result<Vec<LedgerJob>, Error> {
        self.jobs_where("stage IN ('intended', 'created', 'completed', 'abandoned')")
    }

    /// The jobs of which nothing came, oldest first.
    pub fn ended_jobs(&self) -> Result<Vec<LedgerJob>, Error> {
        self.jobs_where("ending IS NOT NULL")
    }

    /// The ids of all jobs that came of our intents, those of contacts left out.
    pub(crate) fn bound_activity_jobs(&self) -> Result<Vec<String>, Error> {
        self.ask(|ledger| {
            let mut query =
                ledger.prepare("SELECT job_id FROM jobs WHERE job_id IS NOT NULL AND kind <> 'contacts'")?;
            query.query_map((), |row| row.get(0))?.collect()
        })
    }

    fn jobs_where(&self, condition: &str) -> Result<Vec<LedgerJob>, Error> {
        self.ask(|ledger| {
            let mut query = ledger.prepare(&format!("SELECT * FROM jobs WHERE {condition} ORDER BY id"))?;
            query.query_map((), read)?.collect()
        })
    }

    /// The median of the seconds from a job's intent to its commit, of the latest hundred jobs of a kind.
    pub fn median_seconds(&self, kind: DeliveryKind) -> Result<Option<f64>, Error> {
        let mut seconds: Vec<f64> = self.ask(|ledger| {
            let mut query = ledger.prepare(
                "SELECT seconds FROM jobs WHERE kind = ?1 AND seconds IS NOT NULL ORDER BY id DESC LIMIT 100",
            )?;
            query.query_map([kind.as_str()], |row| row.get(0))?.collect()
        })?;
        seconds.sort_by(f64::total_cmp);
        Ok(seconds.get(seconds.len() / 2).copied())
    }
}

fn resource_of(kind: DeliveryKind) -> Resource {
    match kind {
        DeliveryKind::Contacts => Resource::Contacts,
        DeliveryKind::Snapshot | DeliveryKind::Delta => Resource::Activities,
    }
}

/// What is not told again stays as it was.
const TIMES: &str = "UPDATE jobs SET job_created_time = coalesce(?2, job_created_time),
    job_start_time = coalesce(?3, job_start_time), job_end_time = coalesce(?4, job_end_time), changed_at = ?5
    WHERE id = ?1";

type Times = (i64, Option<String>, Option<String>, Option<String>, String);

fn times(id: i64, job: &backstory_api::Job, at: Timestamp) -> rusqlite::Result<Times> {
    let text = |time: Option<Timestamp>| time.map(|time| time.to_string());
    Ok((id, text(job.job_created_time), text(job.job_start_time), text(job.job_end_time), at.to_string()))
}

fn read(row: &Row<'_>) -> rusqlite::Result<LedgerJob> {
    fn parsed<T: std::str::FromStr>(row: &Row<'_>, name: &str) -> rusqlite::Result<T> {
        let text: String = row.get(name)?;
        text.parse().map_err(|_| unreadable(name))
    }
    fn time(row: &Row<'_>, name: &str) -> rusqlite::Result<Option<Timestamp>> {
        let text: Option<String> = row.get(name)?;
        text.map(|text| text.parse().map_err(|_| unreadable(name))).transpose()
    }
    fn word<T: Copy>(row: &Row<'_>, name: &str, words: &[(T, &str)]) -> rusqlite::Result<Option<T>> {
        let text: Option<String> = row.get(name)?;
        let Some(text) = text else { return Ok(None) };
        let found = words.iter().find(|(_, word)| *word == text).map(|(value, _)| Some(*value));
        found.ok_or_else(|| unreadable(name))
    }
    let part_of: Option<String> = row.get("part_of")?;
    let part_of = part_of.map(|text| serde_json::from_str(&text).map_err(|_| unreadable("part_of")));
    Ok(LedgerJob {
        id: row.get("id")?,
        spec: JobSpec {
            kind: word(row, "kind", KINDS)?.ok_or_else(|| unreadable("kind"))?,
            activity_type: row.get("activity_type")?,
            window: Window::new(parsed(row, "window_from")?, parsed(row, "window_to")?),
            part_of: part_of.transpose()?,
        },
        reason: row.get("reason")?,
        intended_at: parsed(row, "intended_at")?,
        stage: word(row, "stage", STAGES)?.ok_or_else(|| unreadable("stage"))?,
        ending: word(row, "ending", ENDINGS)?,
        error: row.get("error")?,
        job_id: row.get("job_id")?,
        job_created_time: time(row, "job_created_time")?,
        job_start_time: time(row, "job_start_time")?,
        job_end_time: time(row, "job_end_time")?,
        changed_at: parsed(row, "changed_at")?,
    })
}

fn unreadable(name: &str) -> rusqlite::Error {
    let why = format!("the column {name} holds what this version can't read");
    rusqlite::Error::FromSqlConversionFailure(0, Type::Text, why.into())
}

const KINDS: &[(DeliveryKind, &str)] = &[
    (DeliveryKind::Snapshot, "snapshot"),
    (DeliveryKind::Delta, "delta"),
    (DeliveryKind::Contacts, "contacts"),
];

const STAGES: &[(Stage, &str)] = &[
    (Stage::Intended, "intended"),
    (Stage::Created, "created"),
    (Stage::Completed, "completed"),
    (Stage::Abandoned, "abandoned"),
    (Stage::Committed, "committed"),
    (Stage::Ended, "ended"),
];

const ENDINGS: &[(Ending, &str)] = &[
    (Ending::NeverCreated, "never_created"),
    (Ending::TooWide, "too_wide"),
    (Ending::FutureRefused, "future_refused"),
    (Ending::Refused, "refused"),
    (Ending::Failed, "failed"),
    (Ending::Canceled, "canceled"),
    (Ending::RanTooLong, "ran_too_long"),
    (Ending::Expired, "expired"),
    (Ending::Unknown, "unknown"),
    (Ending::OutcomeUnknown, "outcome_unknown"),
    (Ending::Lost, "lost"),
];

impl Ending {
    fn as_str(self) -> &'static str {
        ENDINGS.iter().find(|(ending, _)| *ending == self).map_or("unknown", |(_, word)| word)
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn spec(from: i8) -> JobSpec {
        let window = Window::new(date(2026, 6, from), date(2026, 6, from + 1));
        let part_of = PartOf { set: "2026-06-18T12:00:00Z".to_owned(), range: window };
        JobSpec {
            kind: DeliveryKind::Snapshot,
            activity_type: "all".to_owned(),
            window,
            part_of: Some(part_of),
        }
    }

    fn job(id: &str) -> backstory_api::Job {
        let text =
            format!(r#"{{"job_id":"{id}","state":"Completed","job_created_time":"2026-06-18T12:00:01Z"}}"#);
        backstory_api::Job::from_json(&text).unwrap()
    }

    fn ledger(folder: &tempfile::TempDir) -> (Ledger, i64) {
        let now = at("2026-06-18T12:00:00Z");
        let ledger = Ledger::open(&folder.path().join("ledger.sqlite"), "one", now).unwrap();
        let run = ledger.begin_run(now).unwrap();
        (ledger, run)
    }

    #[test]
    fn an_intent_is_there_before_its_job_and_is_read_back_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let (first, run) = ledger(&folder);
        let id = first.intend(run, &spec(1), "because", at("2026-06-18T12:00:00Z")).unwrap();
        drop(first);
        let (again, _) = ledger(&folder);
        let open = again.open_jobs().unwrap();
        assert_eq!((open.len(), open[0].stage, open[0].job_id.clone()), (1, Stage::Intended, None));
        assert_eq!(open[0].spec, spec(1));
        again.bind(id, &job("17"), at("2026-06-18T12:00:02Z")).unwrap();
        again.describe(id, &job("17"), at("2026-06-18T12:00:03Z")).unwrap();
        let open = again.open_jobs().unwrap();
        assert_eq!((open[0].stage, open[0].job_id.as_deref()), (Stage::Completed, Some("17")));
        assert_eq!(open[0].job_created_time, Some(at("2026-06-18T12:00:01Z")));
        again.committed(id, at("2026-06-18T12:00:04Z"), Some(4.0)).unwrap();
        assert!(again.open_jobs().unwrap().is_empty());
        assert_eq!(again.median_seconds(DeliveryKind::Snapshot).unwrap(), Some(4.0));
        assert_eq!(again.bound_activity_jobs().unwrap(), ["17"]);
    }

    #[test]
    fn a_delivery_in_the_destination_is_committed_whatever_an_old_backup_says() {
        let folder = tempfile::tempdir().unwrap();
        let (ledger, run) = ledger(&folder);
        let now = at("2026-06-18T12:00:00Z");
        let id = ledger.intend(run, &spec(1), "because", now).unwrap();
        ledger.bind(id, &job("17"), now).unwrap();
        let mut delivery =
            backstory_destination::Delivery::new("17", DeliveryKind::Contacts, spec(1).window, now, now);
        // A contacts job of the same number is another job.
        ledger.reconcile(&[DeliveryRecord::new(delivery.clone(), Vec::new())], now).unwrap();
        assert_eq!(ledger.open_jobs().unwrap().len(), 1);
        delivery.resource = Resource::Activities;
        ledger.reconcile(&[DeliveryRecord::new(delivery, Vec::new())], now).unwrap();
        assert!(ledger.open_jobs().unwrap().is_empty() && ledger.ended_jobs().unwrap().is_empty());
        // And one that isn't there any more is lost.
        assert_eq!(ledger.lost(&[]).unwrap().len(), 1);
        ledger.reconcile(&[], now).unwrap();
        assert_eq!(ledger.ended_jobs().unwrap()[0].ending, Some(Ending::Lost));
        assert!(ledger.lost(&[]).unwrap().is_empty(), "it is known by now");
    }

    #[test]
    fn an_abandoned_job_is_open_until_it_is_freed_and_its_failure_is_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let (ledger, run) = ledger(&folder);
        let now = at("2026-06-18T12:00:00Z");
        let id = ledger.intend(run, &spec(1), "because", now).unwrap();
        ledger.bind(id, &job("17"), now).unwrap();
        ledger.abandon(id, Ending::RanTooLong, Some("it ran for 6 h"), now).unwrap();
        assert_eq!(ledger.open_jobs().unwrap()[0].stage, Stage::Abandoned);
        ledger.freed(id, now).unwrap();
        assert!(ledger.open_jobs().unwrap().is_empty());
        assert_eq!(ledger.ended_jobs().unwrap()[0].ending, Some(Ending::RanTooLong));
    }
}
