//! The planner, case by case: what a sync does now, given what has been delivered, what has failed, what is asked for, and
//! the time.

use backstory_api::ActivityType;
use backstory_destination::{DeliveryKind, DeliveryRecord, FragmentRecord};
use backstory_limits::DateRange;
use backstory_sync::{
    Attempt, AttemptOutcome, Coverage, DayState, ErrorKind, JobTimes, PlannedJob, Reason, SyncPlan,
    SyncSettings, Through, pieces_after_failure,
};
use jiff::civil::{Date, date};
use jiff::{SignedDuration, Timestamp, ToSpan as _};

/// A destination in a world in which every job succeeds at once, unless told otherwise.
#[derive(Clone)]
struct Kept {
    settings: SyncSettings,
    records: Vec<DeliveryRecord>,
    attempts: Vec<Attempt>,
    jobs: usize,
}

impl Kept {
    fn new(since: Date) -> Self {
        let mut settings = SyncSettings::new(since);
        settings.contacts = false;
        Self { settings, records: Vec::new(), attempts: Vec::new(), jobs: 0 }
    }

    #[track_caller]
    fn plan(&self, now: Timestamp) -> SyncPlan {
        let plan = SyncPlan::new(&self.records, &self.attempts, &self.settings, now).unwrap();
        assert!(plan.proof().holds(), "{:?}\n{}", plan.jobs(), plan.proof());
        plan
    }

    fn deliver(&mut self, job: &PlannedJob, now: Timestamp) {
        self.jobs += 1;
        let delivery = job.delivery(self.jobs.to_string(), now, now);
        self.records.push(DeliveryRecord::new(delivery, vec![FragmentRecord::new(0, 0, 0, "")]));
    }

    #[track_caller]
    fn sync(&mut self, now: Timestamp) -> SyncPlan {
        let plan = self.plan(now);
        for job in plan.jobs() {
            self.deliver(job, now);
        }
        assert_eq!(self.coverage(now).watermark(), plan.watermark_after());
        plan
    }

    fn coverage(&self, now: Timestamp) -> Coverage {
        Coverage::of(&self.records, &self.attempts, &self.settings, now)
    }

    fn fail(&mut self, kind: DeliveryKind, window: &str, outcome: AttemptOutcome, at: Timestamp) {
        let window = window.parse().unwrap();
        self.attempts.push(Attempt::new(kind, ActivityType::All, window, outcome, at));
    }
}

fn at(text: &str) -> Timestamp {
    format!("{text}:00Z").parse().unwrap()
}

/// The jobs as `kind window`, with the type where it isn't all.
fn shown(plan: &SyncPlan) -> Vec<String> {
    let show = |job: &PlannedJob| match job.activity_type {
        ActivityType::All => format!("{} {}", job.kind.as_str(), job.window),
        one => format!("{} {} {one}", job.kind.as_str(), job.window),
    };
    plan.jobs().iter().map(show).collect()
}

#[test]
fn a_first_sync_takes_a_snapshot_of_everything_up_to_the_horizon_and_then_todays_delta() {
    let mut kept = Kept::new(date(2025, 1, 1));
    let plan = kept.sync(at("2026-06-18T12:00"));
    let expected = [
        "snapshot 2027-01-01..2027-06-18",
        "snapshot 2026-01-01..2026-12-31",
        "snapshot 2025-01-01..2025-12-31",
        "delta 2026-06-18..2026-06-18",
    ];
    assert_eq!(shown(&plan), expected);
    assert_eq!((plan.watermark(), plan.watermark_after()), (None, Some(date(2026, 6, 17))));
    assert!(plan.jobs()[3].provisional && !plan.jobs()[0].provisional);
    assert!(matches!(plan.jobs()[0].reason, Reason::FirstHistory { .. }));
    // All windows belong to one set, which says what the whole is.
    let part_of = plan.jobs()[0].part_of.as_ref().unwrap();
    assert_eq!(part_of.set, "2026-06-18T12:00:00Z");
    assert_eq!((part_of.range.from, part_of.range.to), (date(2025, 1, 1), date(2027, 6, 18)));
    let coverage = kept.coverage(at("2026-06-18T12:00"));
    assert_eq!(coverage.count(DayState::Missing), 0);
    assert_eq!(coverage.days()[&date(2026, 6, 18)], DayState::Provisional);
    assert_eq!(Coverage::since_of(&kept.records), Some(date(2025, 1, 1)));
}

#[test]
fn through_yesterday_leaves_today_out() {
    let mut kept = Kept::new(date(2026, 1, 1));
    kept.settings.through = Through::Yesterday;
    let plan = kept.sync(at("2026-06-18T12:00"));
    assert_eq!(shown(&plan), ["snapshot 2027-01-01..2027-06-18", "snapshot 2026-01-01..2026-12-31"]);
    assert_eq!(plan.watermark_after(), Some(date(2026, 6, 17)));
    assert!(kept.plan(at("2026-06-18T12:00")).is_empty());
    assert_eq!(shown(&kept.plan(at("2026-06-19T12:00"))), ["delta 2026-06-17..2026-06-18"]);
}

#[test]
fn a_daily_sync_is_one_delta_from_the_day_before_the_open_days_to_today() {
    let mut kept = Kept::new(date(2026, 1, 1));
    kept.sync(at("2026-06-18T12:00"));
    let plan = kept.sync(at("2026-06-19T12:00"));
    assert_eq!(shown(&plan), ["delta 2026-06-17..2026-06-19"]);
    assert_eq!(plan.watermark_after(), Some(date(2026, 6, 18)));
    assert_eq!(
        plan.jobs()[0].reason.to_string(),
        "the days from 2026-06-18 to 2026-06-19 are not closed; the day before is read again for late arrivals"
    );
    assert_eq!(plan.requests_at_least(), 5);
}

#[test]
fn a_day_is_closed_only_by_a_job_created_six_hours_after_its_end() {
    let mut kept = Kept::new(date(2026, 1, 1));
    kept.sync(at("2026-06-18T12:00"));
    let plan = kept.sync(at("2026-06-19T05:59"));
    assert_eq!(plan.watermark_after(), Some(date(2026, 6, 17)));
    assert!(plan.jobs()[0].provisional);
    let plan = kept.sync(at("2026-06-19T06:00"));
    assert_eq!(plan.watermark_after(), Some(date(2026, 6, 18)));
    // A snapshot at that hour isn't right about the day before either.
    let mut kept = Kept::new(date(2026, 1, 1));
    let plan = kept.sync(at("2026-06-18T05:59"));
    assert_eq!(shown(&plan)[2], "delta 2026-06-17..2026-06-18");
    assert_eq!(plan.watermark_after(), Some(date(2026, 6, 16)));
}

#[test]
fn a_gap_over_14_days_is_several_deltas_and_the_plan_says_so() {
    let mut kept = Kept::new(date(2024, 1, 1));
    kept.sync(at("2026-06-01T12:00"));
    let plan = kept.sync(at("2026-06-21T12:00"));
    assert_eq!(shown(&plan), ["delta 2026-05-31..2026-06-13", "delta 2026-06-14..2026-06-21"]);
    assert!(!plan.jobs()[0].provisional && plan.jobs()[1].provisional);
    assert!(plan.choices()[0].starts_with("the days from 2026-06-01 to 2026-06-21 take 2 deltas"));
}

#[test]
fn a_complete_snapshot_replaces_deltas_only_where_that_is_fewer_jobs() {
    let mut kept = Kept::new(date(2025, 12, 1));
    kept.sync(at("2026-01-01T12:00"));
    // A snapshot of 2025-12-01 to a year ahead is two windows, with today's delta three jobs.
    let mut kept_for_longer = kept.clone();
    let plan = kept.sync(at("2026-02-10T12:00"));
    assert_eq!(plan.jobs().len(), 3);
    assert!(plan.jobs().iter().all(|job| job.kind == DeliveryKind::Delta));
    let plan = kept_for_longer.sync(at("2026-02-24T12:00"));
    assert_eq!(
        shown(&plan),
        [
            "snapshot 2026-12-01..2027-02-24",
            "snapshot 2025-12-01..2026-11-30",
            "delta 2026-02-24..2026-02-24"
        ]
    );
    assert_eq!(plan.choices()[0], "2 snapshots and 1 delta instead of 4 deltas, since that is fewer jobs");
    assert_eq!(plan.jobs()[0].reason, Reason::InsteadOfDeltas { deltas: 4 });
    assert_eq!(plan.watermark_after(), Some(date(2026, 2, 23)));
}

#[test]
fn a_snapshot_that_stands_in_for_deltas_counts_only_once_it_is_complete() {
    let mut kept = Kept::new(date(2025, 12, 1));
    kept.sync(at("2026-01-01T12:00"));
    let now = at("2026-03-24T12:00");
    let plan = kept.plan(now);
    kept.deliver(&plan.jobs()[0], now);
    assert_eq!(kept.coverage(now).watermark(), Some(date(2025, 12, 31)));
    // The next run goes on with what is left of it.
    let later = at("2026-03-25T12:00");
    let rest = kept.sync(later);
    assert_eq!(shown(&rest), ["snapshot 2025-12-01..2026-11-30", "delta 2026-03-23..2026-03-25"]);
    assert_eq!(kept.coverage(later).watermark(), Some(date(2026, 3, 24)));
}

#[test]
fn an_interrupted_first_sync_goes_on_with_what_is_missing_and_deltas_run_from_its_first_job() {
    let mut kept = Kept::new(date(2024, 1, 1));
    let begun = at("2026-06-18T12:00");
    let plan = kept.plan(begun);
    kept.deliver(&plan.jobs()[0], begun);
    kept.deliver(&plan.jobs()[2], begun);
    assert_eq!(kept.coverage(begun).watermark(), None);
    let plan = kept.sync(at("2026-06-23T12:00"));
    assert_eq!(
        shown(&plan),
        [
            "snapshot 2025-12-31..2026-12-30",
            "snapshot 2024-01-01..2024-12-30",
            "delta 2026-06-17..2026-06-23"
        ]
    );
    assert_eq!(plan.watermark_after(), Some(date(2026, 6, 22)));
}

#[test]
fn an_earlier_since_adds_only_the_history_before_and_the_watermark_stays() {
    let mut kept = Kept::new(date(2026, 1, 1));
    kept.sync(at("2026-06-18T12:00"));
    kept.settings.since = date(2025, 10, 1);
    let now = at("2026-06-19T12:00");
    let plan = kept.plan(now);
    assert_eq!(shown(&plan), ["snapshot 2025-10-01..2025-12-31", "delta 2026-06-17..2026-06-19"]);
    assert_eq!(plan.jobs()[0].reason, Reason::EarlierHistory { from: date(2026, 1, 1) });
    assert_eq!(plan.watermark(), Some(date(2026, 6, 17)));
    assert_eq!(plan.coverage().history(), Some("2026-01-01..2027-06-18".parse().unwrap()));
    kept.sync(now);
    let coverage = kept.coverage(now);
    assert_eq!(coverage.history(), Some("2025-10-01..2027-06-18".parse().unwrap()));
    assert_eq!(coverage.base_day(), Some(date(2026, 6, 18)));
    assert_eq!(Coverage::since_of(&kept.records), Some(date(2025, 10, 1)));
}

#[test]
fn a_shorter_history_than_one_that_was_never_finished_is_declared_complete_by_one_job() {
    let mut kept = Kept::new(date(2024, 1, 1));
    let now = at("2026-06-18T12:00");
    let plan = kept.plan(now);
    // From the end of 2025 on everything has landed.
    for job in &plan.jobs()[..2] {
        kept.deliver(job, now);
    }
    kept.settings.since = date(2026, 1, 1);
    assert_eq!(kept.coverage(now).watermark(), None);
    let plan = kept.sync(now);
    assert_eq!(shown(&plan), ["snapshot 2026-06-18..2026-06-18", "delta 2026-06-18..2026-06-18"]);
    assert_eq!(plan.jobs()[0].reason, Reason::HistoryItself);
    assert_eq!(plan.watermark_after(), Some(date(2026, 6, 17)));
    assert_eq!(Coverage::since_of(&kept.records), Some(date(2026, 1, 1)));
    assert_eq!(shown(&kept.plan(now)), ["delta 2026-06-18..2026-06-18"]);
}

#[test]
fn a_date_of_the_history_that_is_held_by_types_only_keeps_the_watermark_away_and_deltas_run_all_the_same() {
    let mut kept = Kept::new(date(2026, 6, 17));
    kept.settings.horizon_days = 1;
    let now = at("2026-06-18T12:00");
    for window in ["2026-06-17..2026-06-19", "2026-06-17..2026-06-18", "2026-06-17..2026-06-17"] {
        kept.fail(DeliveryKind::Snapshot, window, AttemptOutcome::RanTooLong, now);
    }
    let plan = kept.sync(now);
    assert_eq!(plan.jobs().len(), 3 + 1 + 1 + 1, "{:?}", shown(&plan));
    assert_eq!(plan.watermark_after(), None);
    assert_eq!(kept.coverage(now).days()[&date(2026, 6, 17)], DayState::Partial);
    assert_eq!(
        shown(&kept.sync(at("2026-06-19T12:00"))),
        ["snapshot 2026-06-20..2026-06-20", "delta 2026-06-17..2026-06-19"]
    );
    let plan = kept.sync(at("2026-06-26T12:00"));
    assert_eq!(shown(&plan)[0], "snapshot 2026-06-21..2026-06-27");
    assert_eq!(shown(&plan)[1], "snapshot 2026-06-17..2026-06-17");
    assert_eq!(plan.watermark_after(), Some(date(2026, 6, 25)));
}

#[test]
fn a_further_horizon_adds_only_its_end_and_a_nearer_one_or_a_later_since_nothing() {
    let mut kept = Kept::new(date(2026, 1, 1));
    let now = at("2026-06-18T12:00");
    kept.sync(now);
    let today = ["delta 2026-06-18..2026-06-18"];
    kept.settings.horizon_days = 400;
    assert_eq!(shown(&kept.plan(now)), ["snapshot 2027-06-19..2027-07-23", today[0]]);
    assert_eq!(kept.plan(now).jobs()[0].reason, Reason::Horizon { reached: date(2027, 6, 18) });
    kept.settings.horizon_days = 30;
    assert_eq!(shown(&kept.plan(now)), today);
    kept.settings.since = date(2026, 6, 1);
    assert_eq!(shown(&kept.plan(now)), today);
}

#[test]
fn the_horizon_is_moved_on_when_less_than_half_of_it_is_left() {
    let mut kept = Kept::new(date(2026, 1, 1));
    kept.settings.horizon_days = 20;
    kept.sync(at("2026-06-01T12:00"));
    let horizons: Vec<String> = (2..=24)
        .flat_map(|day| shown(&kept.sync(at(&format!("2026-06-{day:02}T12:00")))))
        .filter(|job| job.starts_with("snapshot"))
        .collect();
    assert_eq!(horizons, ["snapshot 2026-06-22..2026-07-02", "snapshot 2026-07-03..2026-07-13"]);
}

#[test]
fn a_service_that_refuses_future_dates_gets_a_tail_that_rolls_with_each_sync() {
    let mut kept = Kept::new(date(2026, 1, 1));
    let now = at("2026-06-18T12:00");
    assert_eq!(shown(&kept.plan(now))[0], "snapshot 2027-01-01..2027-06-18");
    kept.fail(DeliveryKind::Snapshot, "2027-01-01..2027-06-18", AttemptOutcome::FutureRefused, now);
    let plan = kept.sync(now);
    assert_eq!(shown(&plan), ["snapshot 2026-01-01..2026-06-18", "delta 2026-06-18..2026-06-18"]);
    assert_eq!(plan.watermark_after(), Some(date(2026, 6, 17)));
    assert_eq!(shown(&kept.plan(now)), ["delta 2026-06-18..2026-06-18"]);
    let plan = kept.sync(at("2026-06-21T12:00"));
    assert_eq!(shown(&plan), ["snapshot 2026-06-19..2026-06-21", "delta 2026-06-17..2026-06-21"]);
    assert_eq!(plan.jobs()[0].reason, Reason::RollingTail { reached: date(2026, 6, 18) });
    assert_eq!(plan.watermark_after(), Some(date(2026, 6, 20)));
}

#[test]
fn without_the_tail_the_watermark_does_not_pass_the_dates_that_were_asked_for() {
    let mut kept = Kept::new(date(2026, 1, 1));
    kept.settings.future_dates = false;
    kept.sync(at("2026-06-18T12:00"));
    let now = at("2026-06-25T12:00");
    let plan = kept.plan(now);
    kept.deliver(&plan.jobs()[1], now);
    assert_eq!(kept.coverage(now).watermark(), Some(date(2026, 6, 18)));
    // A tail alone is no base: the deltas before it are missing.
    let mut kept = Kept::new(date(2026, 1, 1));
    kept.settings.future_dates = false;
    kept.sync(at("2026-06-18T12:00"));
    kept.deliver(&plan.jobs()[0], now);
    assert_eq!(kept.coverage(now).watermark(), Some(date(2026, 6, 17)));
}

#[test]
fn a_service_whose_day_has_not_begun_is_asked_up_to_yesterday() {
    let mut kept = Kept::new(date(2026, 1, 1));
    kept.sync(at("2026-06-18T12:00"));
    let refused = at("2026-06-18T23:59");
    kept.fail(DeliveryKind::Delta, "2026-06-17..2026-06-19", AttemptOutcome::FutureRefused, refused);
    let plan = kept.plan(at("2026-06-19T00:01"));
    assert_eq!(shown(&plan), ["delta 2026-06-18..2026-06-18"]);
    assert!(plan.choices()[0].contains("takes 2026-06-19 for a future date"));
    assert_eq!(shown(&kept.plan(at("2026-06-19T12:00"))), ["delta 2026-06-17..2026-06-19"]);
}

#[test]
fn a_window_that_failed_is_halved_and_a_single_day_is_asked_for_by_type() {
    let mut kept = Kept::new(date(2026, 1, 1));
    kept.sync(at("2026-06-01T12:00"));
    let now = at("2026-06-13T12:00");
    let whole = kept.plan(now).jobs()[0].clone();
    assert_eq!(whole.window, "2026-05-31..2026-06-13".parse().unwrap());
    let halves = pieces_after_failure(&whole, AttemptOutcome::Failed);
    let windows: Vec<String> = halves.iter().map(|piece| piece.window.to_string()).collect();
    assert_eq!(windows, ["2026-05-31..2026-06-06", "2026-06-07..2026-06-13"]);
    assert_eq!(halves[0].reason.to_string(), "a piece of 2026-05-31..2026-06-13, whose job failed");
    let mut day = halves[0].clone();
    while day.window.days() > 1 {
        day = pieces_after_failure(&day, AttemptOutcome::RanTooLong).remove(0);
    }
    let types = pieces_after_failure(&day, AttemptOutcome::Failed);
    let words: Vec<&str> = types.iter().map(|piece| piece.activity_type.as_str()).collect();
    assert_eq!(words, ["email", "meeting", "call"]);
    assert!(types.iter().all(|piece| pieces_after_failure(piece, AttemptOutcome::Failed).is_empty()));
    // The next plan remembers, also when its windows lie a little differently, for a week.
    kept.fail(DeliveryKind::Delta, "2026-05-31..2026-06-13", AttemptOutcome::Failed, now);
    let halves = ["delta 2026-05-31..2026-06-06", "delta 2026-06-07..2026-06-13"];
    assert_eq!(shown(&kept.plan(now)), halves);
    assert_eq!(
        shown(&kept.plan(at("2026-06-14T12:00"))),
        ["delta 2026-05-31..2026-06-06", "delta 2026-06-07..2026-06-13", "delta 2026-06-14..2026-06-14"]
    );
    assert_eq!(shown(&kept.plan(at("2026-06-20T12:00")))[0], "delta 2026-05-31..2026-06-13");
}

#[test]
fn a_day_held_by_types_only_is_partial_and_tried_as_a_whole_a_week_after_it_failed() {
    let mut kept = Kept::new(date(2026, 1, 1));
    kept.sync(at("2026-06-01T12:00"));
    let now = at("2026-06-03T12:00");
    kept.fail(DeliveryKind::Delta, "2026-05-31..2026-06-03", AttemptOutcome::Failed, now);
    for day in ["2026-05-31..2026-06-01", "2026-06-01..2026-06-01"] {
        kept.fail(DeliveryKind::Delta, day, AttemptOutcome::Failed, now);
    }
    let plan = kept.plan(now);
    let expected = [
        "delta 2026-06-01..2026-06-01 email",
        "delta 2026-06-01..2026-06-01 meeting",
        "delta 2026-06-01..2026-06-01 call",
        "delta 2026-06-02..2026-06-03",
    ];
    assert_eq!(shown(&plan), expected);
    assert_eq!(plan.watermark_after(), Some(date(2026, 5, 31)));
    // What has arrived of the types is not asked for again, and what failed is.
    let mut half = kept.clone();
    half.deliver(&plan.jobs()[1], now);
    assert_eq!(half.coverage(now).days()[&date(2026, 6, 1)], DayState::Failed);
    assert_eq!(shown(&half.plan(now))[..2], [expected[0], expected[2]]);
    kept.sync(now);
    let coverage = kept.coverage(now);
    assert_eq!(coverage.days()[&date(2026, 6, 1)], DayState::Partial);
    assert_eq!(coverage.watermark(), Some(date(2026, 5, 31)));
    // Later days don't wait for it, and it isn't asked for daily.
    let next = kept.sync(at("2026-06-04T12:00"));
    assert_eq!(shown(&next), ["delta 2026-06-02..2026-06-04"]);
    assert!(next.choices().iter().any(|choice| choice.starts_with("1 day is loaded by activity types only")));
    let week = kept.sync(at("2026-06-10T12:00"));
    assert_eq!(shown(&week), ["delta 2026-05-31..2026-06-10"]);
    assert_eq!(week.watermark_after(), Some(date(2026, 6, 9)));
}

#[test]
fn a_failure_of_todays_delta_is_not_held_against_the_delta_that_closes_the_day() {
    let mut kept = Kept::new(date(2026, 1, 1));
    kept.sync(at("2026-06-18T11:00"));
    let now = at("2026-06-18T12:00");
    kept.fail(DeliveryKind::Delta, "2026-06-18..2026-06-18", AttemptOutcome::Failed, now);
    let types = kept.sync(now);
    assert_eq!(types.jobs().len(), 3, "{:?}", shown(&types));
    assert_eq!(types.whole_again_from(date(2026, 6, 18)), Some(at("2026-06-19T00:00")));
    let next = kept.sync(at("2026-06-19T12:00"));
    assert_eq!(shown(&next), ["delta 2026-06-17..2026-06-19"]);
    assert_eq!(next.watermark_after(), Some(date(2026, 6, 18)));
    assert_eq!(next.whole_again_from(date(2026, 6, 18)), None);
}

#[test]
fn a_day_that_always_fails_is_tried_as_a_whole_after_ever_longer_pauses() {
    let mut kept = Kept::new(date(2026, 1, 1));
    kept.sync(at("2026-06-18T12:00"));
    let bad = DateRange::day(date(2026, 6, 18));
    let (mut now, mut tries, mut jobs) = (at("2026-06-18T12:30"), Vec::new(), 0);
    for _ in 0..24 * 21 {
        let mut queue = kept.plan(now).jobs().to_vec();
        while let Some(job) = queue.pop() {
            jobs += 1;
            let has_it = job.activity_type == ActivityType::All
                && job.kind == DeliveryKind::Delta
                && job.window.contains(bad.start());
            if has_it {
                kept.attempts.push(Attempt::at_job(&job, AttemptOutcome::Failed, now));
                queue.extend(pieces_after_failure(&job, AttemptOutcome::Failed));
                tries.extend((job.window == bad).then_some(now));
            } else {
                kept.deliver(&job, now);
            }
        }
        now = now.checked_add(1.hours()).unwrap();
    }
    let pauses: Vec<i64> = tries.windows(2).map(|pair| pair[0].duration_until(pair[1]).as_hours()).collect();
    assert_eq!(pauses, [13, 26, 52, 104, 168], "hours between tries");
    // One delta an hour, and little more.
    assert!(jobs < 24 * 21 + 150, "{jobs}");
    let rest = kept.sync(now.checked_add(168.hours()).unwrap());
    assert_eq!(rest.watermark_after(), Some(date(2026, 7, 15)));
}

#[test]
fn an_expired_file_is_the_same_window_again() {
    let mut kept = Kept::new(date(2026, 1, 1));
    kept.sync(at("2026-06-01T12:00"));
    let now = at("2026-06-13T12:00");
    assert_eq!(kept.plan(now).jobs(), kept.plan(now).jobs());
    assert_eq!(shown(&kept.plan(now)), ["delta 2026-05-31..2026-06-13"]);
}

#[test]
fn lost_records_are_fetched_again_and_only_they() {
    let mut kept = Kept::new(date(2025, 1, 1));
    for day in 1..=20 {
        kept.sync(at(&format!("2026-06-{day:02}T12:00")));
    }
    let now = at("2026-06-20T12:00");
    assert_eq!(kept.coverage(now).watermark(), Some(date(2026, 6, 19)));
    // The deltas of the 8th to the 11th, and a year of the history.
    kept.records.retain(|record| {
        let window = record.delivery.window;
        let range = DateRange::new(window.from, window.to).unwrap();
        match record.delivery.kind {
            DeliveryKind::Delta => !(8..=11).any(|day| range.contains(date(2026, 6, day))),
            _ => window.from != date(2025, 1, 1),
        }
    });
    assert_eq!(kept.coverage(now).watermark(), None);
    let plan = kept.sync(now);
    assert_eq!(
        shown(&plan),
        ["snapshot 2025-01-01..2025-12-31", "delta 2026-06-06..2026-06-11", "delta 2026-06-19..2026-06-20"]
    );
    assert_eq!(plan.watermark_after(), Some(date(2026, 6, 19)));
}

#[test]
fn contacts_are_refreshed_completely_once_the_last_refresh_is_a_day_old() {
    let mut kept = Kept::new(date(2025, 1, 1));
    kept.settings.activities = false;
    kept.settings.contacts = true;
    let plan = kept.sync(at("2026-06-18T12:00"));
    assert_eq!(shown(&plan), ["contacts 2025-01-01..2025-12-31", "contacts 2026-01-01..2026-06-18"]);
    assert_eq!(plan.jobs()[0].reason, Reason::FirstRefresh);
    assert_eq!(plan.watermark_after(), None);
    assert!(kept.plan(at("2026-06-19T10:59")).is_empty());
    // A daily run may be a little early.
    let plan = kept.plan(at("2026-06-19T11:55"));
    assert_eq!(shown(&plan), ["contacts 2025-01-01..2025-12-31", "contacts 2026-01-01..2026-06-19"]);
    assert_eq!(
        plan.jobs()[0].reason.to_string(),
        "the last complete refresh of contacts is of 2026-06-18T12:00:00Z"
    );
    kept.settings.limits.contacts_range = kept.settings.limits.contacts_range.clone().with_max_days(14);
    assert_eq!(kept.plan(at("2026-06-20T12:00")).jobs().len(), 39);
    kept.settings.since = date(2024, 1, 1);
    let plan = kept.plan(at("2026-06-18T13:00"));
    assert_eq!(plan.jobs()[0].reason, Reason::EarlierContacts { from: date(2025, 1, 1) });
}

#[test]
fn an_unfinished_refresh_is_finished_in_its_own_set_while_it_is_young() {
    let mut kept = Kept::new(date(2025, 1, 1));
    kept.settings.activities = false;
    kept.settings.contacts = true;
    let now = at("2026-06-18T12:00");
    let plan = kept.plan(now);
    kept.deliver(&plan.jobs()[0], now);
    assert_eq!(kept.coverage(now).contacts(), None);
    let rest = kept.plan(at("2026-06-19T06:00"));
    assert_eq!(shown(&rest), ["contacts 2026-01-01..2026-06-18"]);
    assert_eq!(rest.jobs()[0].part_of, plan.jobs()[0].part_of);
    let anew = kept.plan(at("2026-06-19T12:00"));
    assert_eq!(anew.jobs().len(), 2);
    assert_ne!(anew.jobs()[0].part_of, plan.jobs()[0].part_of);
}

#[test]
fn sets_are_ordered_even_when_the_clock_goes_back() {
    let mut kept = Kept::new(date(2025, 1, 1));
    kept.settings.contacts = true;
    kept.sync(at("2026-06-18T12:00"));
    kept.settings.contacts_every = SignedDuration::ZERO;
    kept.settings.since = date(2024, 1, 1);
    let plan = kept.plan(at("2026-06-17T12:00"));
    let sets: Vec<&str> =
        plan.jobs().iter().filter_map(|job| Some(job.part_of.as_ref()?.set.as_str())).collect();
    assert!(!sets.is_empty() && sets.iter().all(|set| *set == "2026-06-18T12:00:01Z"), "{sets:?}");
}

#[test]
fn contacts_that_are_refused_as_too_wide_are_asked_for_in_the_other_published_range() {
    let mut kept = Kept::new(date(2026, 1, 1));
    kept.settings.activities = false;
    kept.settings.contacts = true;
    let now = at("2026-06-18T12:00");
    let pieces = pieces_after_failure(&kept.plan(now).jobs()[0], AttemptOutcome::TooWide);
    assert!(pieces.len() == 13 && pieces.iter().all(|piece| piece.window.days() <= 14));
    kept.fail(DeliveryKind::Contacts, "2026-01-01..2026-06-18", AttemptOutcome::TooWide, now);
    assert_eq!(kept.plan(now).jobs().len(), 13);
}

#[test]
fn a_history_that_begins_in_the_future_is_refused_with_the_reason() {
    let settings = SyncSettings::new(date(2027, 1, 1));
    let error = SyncPlan::new(&[], &[], &settings, at("2026-06-18T12:00")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert_eq!(error.to_string(), "the history can't begin on 2027-01-01, since today is 2026-06-18");
}

#[test]
fn the_expected_time_is_that_of_the_jobs_on_the_slots_and_unknown_where_a_kind_is() {
    let mut kept = Kept::new(date(2024, 1, 1));
    let plan = kept.plan(at("2026-06-18T12:00"));
    assert_eq!(plan.jobs().len(), 5);
    let times = JobTimes::default().with(DeliveryKind::Snapshot, SignedDuration::from_secs(100));
    assert_eq!(plan.expected_time(&times), None);
    let times = times.with(DeliveryKind::Delta, SignedDuration::from_secs(7));
    // Four snapshots on two slots, and the delta behind them.
    assert_eq!(plan.expected_time(&times), Some(SignedDuration::from_secs(207)));
    kept.settings.activities = false;
    assert_eq!(kept.plan(at("2026-06-18T12:00")).expected_time(&times), Some(SignedDuration::ZERO));
}

#[test]
fn a_proof_is_of_the_jobs_as_they_stand() {
    let kept = Kept::new(date(2020, 1, 1));
    let plan = kept.plan(at("2026-06-18T12:00"));
    let proof = plan.proof();
    assert_eq!((proof.most_jobs_at_once, proof.most_jobs_queued), (4, 2));
    let shown = proof.to_string();
    assert!(shown.contains("snapshot 365 of at most 365 days; delta 1 of at most 14 days"), "{shown}");
    assert!(!shown.contains("NO"));
}

#[test]
fn decades_of_daily_syncs_are_planned_at_once() {
    let mut kept = Kept::new(date(2000, 1, 1));
    kept.settings.horizon_days = 4_000;
    let mut now = at("2010-01-01T12:00");
    kept.sync(now);
    for _ in 0..3_000 {
        now = now.checked_add(24.hours()).unwrap();
        let day = jiff::tz::Offset::UTC.to_datetime(now).date();
        let window = DateRange::new(day.yesterday().unwrap(), day).unwrap();
        let mut job = kept.records[0].delivery.clone();
        job.kind = DeliveryKind::Delta;
        job.job_id = format!("daily {day}");
        job.part_of = None;
        (job.window.from, job.window.to) = (window.start(), window.end());
        job.requested_at = now;
        kept.records.push(DeliveryRecord::new(job, vec![FragmentRecord::new(0, 0, 0, "")]));
    }
    let plan = kept.plan(now);
    assert!(plan.jobs().iter().any(|job| job.kind == DeliveryKind::Delta));
    assert_eq!(plan.watermark(), jiff::tz::Offset::UTC.to_datetime(now).date().yesterday().ok());
}
