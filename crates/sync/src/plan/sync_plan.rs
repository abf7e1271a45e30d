//! The plan of a sync: a pure function of what has been delivered, what has failed, what is asked for, and the time.

use std::collections::BTreeMap;

use backstory_api::ActivityType;
use backstory_destination::{DeliveryKind, DeliveryRecord, PartOf, Window};
use backstory_limits::DateRange;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use super::activities;
use super::attempt::{Attempt, AttemptOutcome};
use super::expected_time::{JobTimes, expected_time};
use super::pieces::{KnownFailures, adjacent_windows};
use super::planned_job::{PlannedJob, Reason};
use super::settings::{SyncSettings, Through};
use super::sync_proof::SyncProof;
use crate::coverage::days::{day_of, later, open_day};
use crate::coverage::{Coverage, DayState, refreshes};
use crate::error::{Error, ErrorKind};

/// How much earlier than asked a refresh of contacts may come, so that a daily run that starts a little earlier than the day
/// before doesn't leave it out: a tenth of the interval, and at most this.
const EARLY: SignedDuration = SignedDuration::from_hours(1);

/// What a sync should do now.
///
/// ```
/// use backstory_sync::{SyncPlan, SyncSettings};
///
/// let settings = SyncSettings::new(jiff::civil::date(2024, 1, 1));
/// let now = "2026-06-18T12:00:00Z".parse()?;
/// let plan = SyncPlan::new(&[], &[], &settings, now)?;
/// // Four windows of a year for the history and its horizon, today's delta, and three windows of contacts.
/// assert_eq!(plan.jobs().len(), 8);
/// assert_eq!(plan.watermark(), None);
/// assert_eq!(plan.watermark_after(), Some(jiff::civil::date(2026, 6, 17)));
/// assert!(plan.proof().holds());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SyncPlan {
    jobs: Vec<PlannedJob>,
    choices: Vec<String>,
    coverage: Coverage,
    proof: SyncProof,
    settings: SyncSettings,
    /// The last processing day that is asked for.
    last: Date,
    /// Days that aren't whole and were too much for one job, and when they are asked for as a whole again.
    put_off: BTreeMap<Date, Timestamp>,
}

/// What everything in a plan is decided by.
pub(crate) struct Situation<'a> {
    pub(crate) deliveries: &'a [DeliveryRecord],
    pub(crate) failures: KnownFailures<'a>,
    pub(crate) settings: &'a SyncSettings,
    /// The day that goes on, or the last one that the service already takes.
    pub(crate) today: Date,
    /// The last processing day that is asked for.
    pub(crate) last: Date,
    /// The first day that a job created now can't close.
    pub(crate) open: Date,
    /// How many days ahead the history reaches.
    pub(crate) horizon: u32,
    /// The name of a set that is begun now.
    pub(crate) set: String,
}

impl SyncPlan {
    /// Plans a sync.
    ///
    /// - `deliveries`: the destination's records, in any order. They alone decide what is there.
    /// - `attempts`: jobs that came to nothing, as far as they are known. They only make windows smaller.
    /// - `now`: the client's clock. It decides what is asked for, and never what counts as closed.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] when `since` lies in the future.
    pub fn new(
        deliveries: &[DeliveryRecord],
        attempts: &[Attempt],
        settings: &SyncSettings,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let coverage = Coverage::of(deliveries, attempts, settings, now);
        let today = day_of(now);
        if settings.since > today {
            let message = format!("the history can't begin on {}, since today is {today}", settings.since);
            return Err(Error::new(ErrorKind::Usage, message).with_hint("choose an earlier --since"));
        }
        let mut choices = Vec::new();
        let situation = situation(deliveries, attempts, settings, now, &mut choices);
        let mut jobs = Vec::new();
        if settings.activities {
            jobs.extend(activities::plan(&situation, &mut choices));
        }
        if settings.contacts {
            jobs.extend(contacts(&situation, now, &mut choices));
        }
        let last = situation.last;
        let is_partly_there = |state: &DayState| matches!(state, DayState::Partial | DayState::Failed);
        let put_off =
            coverage.days().iter().filter(|(_, state)| is_partly_there(state)).filter_map(|(day, _)| {
                let of = |kind| situation.failures.day_put_off_until(kind, *day);
                Some((*day, of(DeliveryKind::Snapshot).max(of(DeliveryKind::Delta))?))
            });
        let put_off = put_off.collect();
        let proof = SyncProof::of(deliveries, &jobs, settings, coverage.watermark(), last, now);
        Ok(Self { jobs, choices, coverage, proof, settings: settings.clone(), last, put_off })
    }

    /// The plan with those of its jobs only that are `needed`, proved anew.
    pub(crate) fn retain(
        &mut self,
        deliveries: &[DeliveryRecord],
        now: Timestamp,
        needed: impl FnMut(&PlannedJob) -> bool,
    ) {
        self.jobs.retain(needed);
        let watermark = self.watermark();
        self.proof = SyncProof::of(deliveries, &self.jobs, &self.settings, watermark, self.last, now);
    }

    /// The jobs, in the order in which they should be created.
    pub fn jobs(&self) -> &[PlannedJob] {
        &self.jobs
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Some of the deliveries that it was made from are still to come, and this is the watermark without them.
    pub(crate) fn set_watermark(&mut self, watermark: Option<Date>) {
        self.proof.watermark_before = watermark;
    }

    /// The watermark as it stands.
    pub fn watermark(&self) -> Option<Date> {
        self.proof.watermark_before
    }

    /// The watermark once every job of the plan has been delivered.
    pub fn watermark_after(&self) -> Option<Date> {
        self.proof.watermark_after
    }

    /// What is covered before anything is done.
    pub fn coverage(&self) -> &Coverage {
        &self.coverage
    }

    /// From when on a day that isn't whole is asked for as a whole again, because it was too much for one job. `None` where
    /// the next sync asks for it like any other.
    pub fn whole_again_from(&self, day: Date) -> Option<Timestamp> {
        self.put_off.get(&day).copied()
    }

    /// Which choices were made, a sentence each.
    pub fn choices(&self) -> &[String] {
        &self.choices
    }

    /// Why the plan is legal and complete.
    pub fn proof(&self) -> &SyncProof {
        &self.proof
    }

    /// How many requests it takes at least: a token for each kind of data, and for each job a look at the list (activities
    /// only), its creation, one poll and the download.
    pub fn requests_at_least(&self) -> usize {
        let contacts = self.jobs.iter().filter(|job| job.kind == DeliveryKind::Contacts).count();
        let activities = self.jobs.len() - contacts;
        activities * 4 + contacts * 3 + usize::from(activities > 0) + usize::from(contacts > 0)
    }

    /// How long it should take, by what each kind of job has taken before; `None` where that isn't known of some kind.
    pub fn expected_time(&self, times: &JobTimes) -> Option<SignedDuration> {
        expected_time(&self.jobs, times, self.settings.slots)
    }
}

fn situation<'a>(
    deliveries: &'a [DeliveryRecord],
    attempts: &'a [Attempt],
    settings: &'a SyncSettings,
    now: Timestamp,
    choices: &mut Vec<String>,
) -> Situation<'a> {
    let clock_day = day_of(now);
    let refused =
        |attempt: &&Attempt| attempt.outcome == AttemptOutcome::FutureRefused && attempt.is_remembered(now);
    let refusals: Vec<&Attempt> = attempts.iter().filter(refused).collect();
    // The service may live a few minutes behind this clock, and then today is a future date to it.
    let is_behind = refusals.iter().any(|attempt| {
        attempt.window.end() == clock_day && attempt.at.duration_until(now) < SignedDuration::from_hours(1)
    });
    let today = if is_behind { clock_day.yesterday().unwrap_or(Date::MIN) } else { clock_day };
    if is_behind {
        choices
            .push(format!("the service takes {clock_day} for a future date, so it is left to the next sync"));
    }
    let is_of_future =
        |attempt: &&Attempt| attempt.window.end() > later(day_of(attempt.at), 1).min(clock_day);
    let future_dates = settings.future_dates && !refusals.iter().any(is_of_future);
    if !future_dates && settings.horizon_days > 0 && settings.activities {
        choices.push(
            "the service refuses future dates, so the history ends today and is extended by each sync; meetings \
             that were booked before the first sync arrive on their day, or as soon as they are changed"
                .to_owned(),
        );
    }
    let last = match settings.through {
        Through::Today => today,
        Through::Yesterday => today.min(clock_day.yesterday().unwrap_or(Date::MIN)),
    };
    Situation {
        deliveries,
        failures: KnownFailures::of(attempts, now),
        settings,
        today,
        last,
        open: open_day(now, settings.settling),
        horizon: if future_dates { settings.horizon_days } else { 0 },
        set: next_set(deliveries, now),
    }
}

/// The name of a set that is begun now: the time, and later than that of any set that there is, whatever the clock says.
fn next_set(deliveries: &[DeliveryRecord], now: Timestamp) -> String {
    let begun = |record: &DeliveryRecord| record.delivery.part_of.as_ref()?.set.parse::<Timestamp>().ok();
    let last = deliveries.iter().filter_map(begun).map(Timestamp::as_second).max();
    let second = last.map_or(now.as_second(), |last| now.as_second().max(last.saturating_add(1)));
    Timestamp::from_second(second).unwrap_or(Timestamp::MAX).to_string()
}

fn contacts(situation: &Situation<'_>, now: Timestamp, choices: &mut Vec<String>) -> Vec<PlannedJob> {
    let settings = situation.settings;
    let Ok(range) = DateRange::new(settings.since, situation.today) else { return Vec::new() };
    let every = settings.contacts_every;
    let due_after = every - EARLY.min(every / 10);
    let is_due = |begun: Timestamp| begun.duration_until(now) >= due_after;
    let known = refreshes(situation.deliveries);
    let complete = known.iter().rfind(|refresh| refresh.is_complete());
    let reason = match complete {
        None => Reason::FirstRefresh,
        Some(refresh) if is_due(refresh.begun) => Reason::RefreshDue { last: refresh.begun },
        Some(refresh) if refresh.range.start() > range.start() => {
            Reason::EarlierContacts { from: refresh.range.start() }
        }
        Some(refresh) => {
            choices.push(format!("contacts were refreshed at {}, which is recent enough", refresh.begun));
            return Vec::new();
        }
    };
    // A refresh that was begun and is still young is finished rather than begun anew.
    let unfinished = known.last().filter(|refresh| {
        !refresh.is_complete() && !is_due(refresh.begun) && refresh.range.start() <= range.start()
    });
    let (set, range, lacks, reason) = match unfinished {
        Some(refresh) => {
            let reason = Reason::UnfinishedRefresh { begun: refresh.begun };
            (refresh.set.clone(), refresh.range, refresh.lacks.clone(), reason)
        }
        None => (situation.set.clone(), range, vec![range], reason),
    };
    let part_of = PartOf { set, range: Window::new(range.start(), range.end()) };
    let wanted = lacks.iter().flat_map(|gap| gap.iter());
    adjacent_windows(wanted, &settings.limits.contacts_range)
        .into_iter()
        .flat_map(|window| situation.failures.cut(DeliveryKind::Contacts, window))
        .map(|piece| PlannedJob {
            kind: DeliveryKind::Contacts,
            activity_type: ActivityType::All,
            window: piece.window,
            part_of: Some(part_of.clone()),
            reason: piece.cut_from.map_or_else(
                || reason.clone(),
                |(window, outcome)| Reason::PieceOf { window, outcome: Some(outcome) },
            ),
            provisional: false,
        })
        .collect()
}
