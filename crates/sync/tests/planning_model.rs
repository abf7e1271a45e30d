//! The planner against a small world: records that are processed again and again, and a service that answers jobs as at
//! their start. Whatever fails, in whatever order jobs run, however long nobody syncs and whatever the client's clock says,
//! the tables hold the truth up to the watermark, the watermark never goes back, and everything is current in the end.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher, Hash};

use backstory_api::ActivityType;
use backstory_destination::{DeliveryKind, DeliveryRecord, FragmentRecord};
use backstory_limits::{DateRange, UseLimits};
use backstory_sync::{
    Attempt, AttemptOutcome, Coverage, DayState, PlannedJob, SyncPlan, SyncSettings, Through,
    pieces_after_failure,
};
use jiff::civil::{Date, date};
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use proptest::prelude::*;

const BEGIN: Date = date(2026, 1, 1);

fn day_of(instant: Timestamp) -> Date {
    Offset::UTC.to_datetime(instant).date()
}

fn days_after(day: Date, days: i64) -> Date {
    day.checked_add(days.days()).unwrap()
}

/// Chance that depends on nothing but what it is given.
fn chance(of: impl Hash, among: u64) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(of) % among
}

/// One processing of a record: when it happened, when it can be seen, and the activity date from then on.
#[derive(Clone, Debug)]
struct Processing {
    at: Timestamp,
    seen: Timestamp,
    dated: Date,
}

#[derive(Clone, Debug)]
struct Record {
    activity_type: ActivityType,
    processings: Vec<Processing>,
}

impl Record {
    /// How many processings can be seen at an instant.
    fn seen(&self, at: Timestamp) -> usize {
        self.processings.iter().take_while(|processing| processing.seen <= at).count()
    }
}

/// The switches of contract (j) that change what jobs deliver.
#[derive(Clone, Copy, Debug)]
struct Rules {
    /// j.26.
    future_refused: bool,
    /// j.42.
    state_at_processing: bool,
    /// j.44.
    latest_day_only: bool,
    /// Whether the service tells when a job was created.
    tells_creation: bool,
}

#[derive(Clone, Debug)]
enum Step {
    Wait { hours: i64 },
    Sync { skew_minutes: i64, seed: u64, fails_percent: u64, stops_after: Option<usize> },
    Since { days: i64 },
    Horizon { days: u32 },
    Through(Through),
    ForgetFailures,
}

#[derive(Clone, Debug)]
struct World {
    records: Vec<Record>,
    rules: Rules,
}

/// What a job has delivered: the greatest version of each record.
type Rows = BTreeMap<usize, usize>;

struct Sync<'w> {
    world: &'w World,
    settings: SyncSettings,
    now: Timestamp,
    deliveries: Vec<DeliveryRecord>,
    attempts: Vec<Attempt>,
    tables: Rows,
    watermark: Option<Date>,
}

impl World {
    /// What a job that starts at an instant delivers.
    fn answer(&self, job: &PlannedJob, start: Timestamp) -> Rows {
        let mut rows = Rows::new();
        for (number, record) in self.records.iter().enumerate() {
            let seen = record.seen(start);
            let is_of_type =
                job.activity_type == ActivityType::All || job.activity_type == record.activity_type;
            if seen == 0 || !is_of_type {
                continue;
            }
            match job.kind {
                DeliveryKind::Snapshot if job.window.contains(record.processings[seen - 1].dated) => {
                    rows.insert(number, seen);
                }
                DeliveryKind::Delta => {
                    let inside =
                        |version: &usize| job.window.contains(day_of(record.processings[version - 1].at));
                    let Some(last) = (1..=seen).rev().find(inside) else { continue };
                    if !self.rules.latest_day_only || last == seen {
                        rows.insert(number, if self.rules.state_at_processing { last } else { seen });
                    }
                }
                _ => {}
            }
        }
        rows
    }
}

impl Sync<'_> {
    fn step(&mut self, step: &Step) {
        match *step {
            Step::Wait { hours } => self.now = self.now.checked_add(hours.hours()).unwrap(),
            Step::Since { days } => self.settings.since = days_after(BEGIN, -days),
            Step::Horizon { days } => self.settings.horizon_days = days,
            Step::Through(through) => self.settings.through = through,
            Step::ForgetFailures => self.attempts.clear(),
            Step::Sync { skew_minutes, seed, fails_percent, stops_after } => {
                self.sync(skew_minutes, seed, fails_percent, stops_after);
            }
        }
        self.check();
    }

    fn plan(&self, clock: Timestamp) -> SyncPlan {
        let plan = SyncPlan::new(&self.deliveries, &self.attempts, &self.settings, clock).unwrap();
        assert!(plan.proof().holds(), "{:#?}\n{}", plan.jobs(), plan.proof());
        let (mut snapshots, mut deltas) = (Vec::new(), Vec::new());
        for job in plan.jobs() {
            assert!(!job.reason.to_string().is_empty());
            let same: &mut Vec<_> =
                if job.kind == DeliveryKind::Snapshot { &mut snapshots } else { &mut deltas };
            assert!(!same.contains(&(job.window, job.activity_type)), "{job} is planned twice");
            same.push((job.window, job.activity_type));
        }
        plan
    }

    /// Runs a plan as an engine would: jobs in any order, failures cut into pieces, a refusal of the future planned anew.
    fn sync(&mut self, skew_minutes: i64, seed: u64, fails_percent: u64, stops_after: Option<usize>) {
        let mut done = 0;
        for round in 0..3 {
            let clock = self.now.checked_add(skew_minutes.minutes()).unwrap();
            if day_of(clock) < self.settings.since {
                return;
            }
            let mut queue: Vec<PlannedJob> = self.plan(clock).jobs().to_vec();
            let (begun, mut refused) = (self.now, false);
            while !queue.is_empty() {
                let job = queue.remove(chance((seed, round, queue.len()), queue.len() as u64) as usize);
                if stops_after.is_some_and(|most| done >= most) {
                    return;
                }
                done += 1;
                let created = begun.checked_add(chance((seed, done), 90).cast_signed().minutes()).unwrap();
                if self.world.rules.future_refused && job.window.end() > day_of(created) {
                    self.attempts.push(Attempt::at_job(&job, AttemptOutcome::FutureRefused, created));
                    refused = true;
                } else if chance((seed, job.window, job.activity_type), 100) < fails_percent {
                    let outcome = [AttemptOutcome::Failed, AttemptOutcome::RanTooLong][done % 2];
                    self.attempts.push(Attempt::at_job(&job, outcome, created));
                    queue.extend(pieces_after_failure(&job, outcome));
                } else {
                    self.deliver(&job, created, seed);
                }
            }
            if !refused {
                return;
            }
        }
    }

    fn deliver(&mut self, job: &PlannedJob, created: Timestamp, seed: u64) {
        let limits = UseLimits::published();
        limits.range_limit(job.export_kind().unwrap()).check(job.window).unwrap();
        let start = created.checked_add(chance((seed, created), 120).cast_signed().minutes()).unwrap();
        for (record, version) in self.world.answer(job, start) {
            let held = self.tables.entry(record).or_default();
            *held = version.max(*held);
        }
        self.now = self.now.max(start);
        let requested = created.checked_sub(30.seconds()).unwrap();
        let mut delivery = job.delivery(self.deliveries.len().to_string(), requested, start);
        delivery.job_created_time = self.world.rules.tells_creation.then_some(created);
        self.deliveries.push(DeliveryRecord::new(delivery, vec![FragmentRecord::new(0, 0, 0, "")]));
    }

    fn coverage(&self) -> Coverage {
        Coverage::of(&self.deliveries, &self.attempts, &self.settings, self.now)
    }

    /// The truth up to the watermark is in the tables, and the watermark has not gone back.
    fn check(&mut self) {
        let coverage = self.coverage();
        assert!(coverage.watermark() >= self.watermark, "{:?} → {:?}", self.watermark, coverage.watermark());
        self.watermark = coverage.watermark();
        let (Some(watermark), Some(history)) = (coverage.watermark(), coverage.history()) else { return };
        for (number, record) in self.world.records.iter().enumerate() {
            let happened =
                record.processings.iter().take_while(|processing| processing.at <= self.now).count();
            let Some(last) = happened.checked_sub(1).map(|last| &record.processings[last]) else { continue };
            if day_of(last.at) <= watermark && history.contains(last.dated) {
                let held = self.tables.get(&number).copied();
                assert_eq!(held, Some(happened), "watermark {watermark}, history {history}: {record:?}");
            }
        }
    }
}

fn record() -> impl Strategy<Value = Record> {
    let processing = (0..60 * 24 * 200_i64, 0..360_i64, -60..260_i64);
    let types = proptest::sample::select(&[ActivityType::Email, ActivityType::Meeting, ActivityType::Call]);
    (types, proptest::collection::vec(processing, 1..6)).prop_map(|(activity_type, mut processings)| {
        processings.sort_unstable();
        let begin: Timestamp = "2025-12-01T00:00:00Z".parse().unwrap();
        let (mut seen, mut made) = (Timestamp::MIN, Vec::new());
        for (minutes, lag, dated) in processings {
            let at = begin.checked_add(minutes.minutes()).unwrap();
            // Within the settling time, and in order.
            seen = at.checked_add(lag.minutes()).unwrap().max(seen);
            made.push(Processing { at, seen, dated: days_after(BEGIN, dated) });
        }
        Record { activity_type, processings: made }
    })
}

fn step() -> impl Strategy<Value = Step> {
    let skew = prop_oneof![4 => Just(0), 2 => -20..20_i64, 1 => -4_000..4_000_i64];
    let fails = prop_oneof![3 => Just(0_u64), 2 => 0..60_u64, 1 => Just(90)];
    let stops = prop_oneof![2 => Just(None), 1 => (0..6_usize).prop_map(Some)];
    prop_oneof![
        4 => (1..60_i64).prop_map(|hours| Step::Wait { hours }),
        1 => (300..1_500_i64).prop_map(|hours| Step::Wait { hours }),
        8 => (skew, any::<u64>(), fails, stops).prop_map(|(skew_minutes, seed, fails_percent, stops_after)| {
            Step::Sync { skew_minutes, seed, fails_percent, stops_after }
        }),
        1 => (-20..400_i64).prop_map(|days| Step::Since { days }),
        1 => (0..500_u32).prop_map(|days| Step::Horizon { days }),
        1 => proptest::sample::select(&[Through::Today, Through::Yesterday]).prop_map(Step::Through),
        1 => Just(Step::ForgetFailures),
    ]
}

fn rules() -> impl Strategy<Value = Rules> {
    any::<(bool, bool, bool, bool)>().prop_map(
        |(future_refused, state_at_processing, latest_day_only, tells_creation)| Rules {
            future_refused,
            state_at_processing,
            latest_day_only,
            tells_creation,
        },
    )
}

/// A case is a whole life of a destination, so few are run, unless `PROPTEST_CASES` asks for more.
fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { default.cases } else { 24 };
    ProptestConfig { cases, failure_persistence: None, ..default }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn whatever_happens_the_tables_hold_the_truth_up_to_the_watermark_and_all_is_current_in_the_end(
        records in proptest::collection::vec(record(), 1..40),
        rules in rules(),
        steps in proptest::collection::vec(step(), 1..24),
    ) {
        let world = World { records, rules };
        let mut settings = SyncSettings::new(BEGIN);
        settings.contacts = false;
        let mut sync = Sync {
            world: &world,
            settings,
            now: "2026-02-01T09:30:00Z".parse().unwrap(),
            deliveries: Vec::new(),
            attempts: Vec::new(),
            tables: Rows::new(),
            watermark: None,
        };
        for step in &steps {
            sync.step(step);
        }
        // Failures stop, and are forgotten after a week.
        let well = Step::Sync { skew_minutes: 0, seed: 1, fails_percent: 0, stops_after: None };
        sync.step(&Step::Wait { hours: 8 * 24 });
        sync.step(&well);
        let settled = sync.now.checked_sub(SignedDuration::from_hours(6)).unwrap();
        sync.step(&Step::Wait { hours: 24 });
        let begun = sync.now;
        sync.step(&well);
        prop_assert!(sync.watermark >= day_of(settled).yesterday().ok(), "{:?} at {}", sync.watermark, sync.now);
        prop_assert!(sync.coverage().history().unwrap().start() <= sync.settings.since);
        // Nothing is left to do, except for days that are still open.
        for job in sync.plan(begun).jobs() {
            prop_assert!(job.provisional, "{job}: {}", job.reason);
        }
        let coverage = sync.coverage();
        for state in [DayState::Partial, DayState::Failed] {
            prop_assert_eq!(coverage.count(state), 0);
        }
    }

    #[test]
    fn the_order_of_the_records_changes_nothing(
        records in proptest::collection::vec(record(), 1..4),
        steps in proptest::collection::vec(step(), 1..12),
        seed in any::<u64>(),
    ) {
        let rules = Rules { future_refused: false, state_at_processing: false, latest_day_only: false, tells_creation: true };
        let world = World { records, rules };
        let mut sync = Sync {
            world: &world,
            settings: SyncSettings::new(BEGIN),
            now: "2026-02-01T09:30:00Z".parse().unwrap(),
            deliveries: Vec::new(),
            attempts: Vec::new(),
            tables: Rows::new(),
            watermark: None,
        };
        sync.settings.contacts = false;
        for step in &steps {
            sync.step(step);
        }
        let now = sync.now;
        prop_assume!(day_of(now) >= sync.settings.since);
        let before = (sync.plan(now), sync.coverage());
        let is_same = |sync: &Sync<'_>| before == (sync.plan(now), sync.coverage());
        sync.deliveries.sort_by_key(|record| chance((seed, &record.delivery.job_id), u64::MAX));
        sync.attempts.sort_by_key(|attempt| chance((seed, attempt.window), u64::MAX));
        // Without showing them: they are long.
        prop_assert!(is_same(&sync));
    }

    #[test]
    fn coverage_of_contacts_is_complete_after_any_failures(
        every_hours in 0..72_i64,
        max_days in proptest::sample::select(&[14_u32, 100, 365]),
        syncs in proptest::collection::vec((1..80_i64, 0..100_u64, any::<u64>()), 1..12),
    ) {
        let mut settings = SyncSettings::new(date(2024, 3, 1));
        settings.activities = false;
        settings.contacts_every = SignedDuration::from_hours(every_hours);
        settings.limits.contacts_range = settings.limits.contacts_range.clone().with_max_days(max_days);
        let mut now: Timestamp = "2026-02-01T09:30:00Z".parse().unwrap();
        let (mut deliveries, mut attempts) = (Vec::<DeliveryRecord>::new(), Vec::new());
        let mut last_set = String::new();
        let quiet = [(200, 0, 1)];
        for (hours, fails_percent, seed) in syncs.iter().chain(&quiet) {
            now = now.checked_add(hours.hours()).unwrap();
            let plan = SyncPlan::new(&deliveries, &attempts, &settings, now).unwrap();
            prop_assert!(plan.proof().holds(), "{}", plan.proof());
            // One refresh at a time, and none older than the one before.
            let sets: Vec<&String> = plan.jobs().iter().map(|job| &job.part_of.as_ref().unwrap().set).collect();
            prop_assert!(sets.windows(2).all(|pair| pair[0] == pair[1]));
            if let Some(set) = sets.first() {
                prop_assert!(**set >= last_set);
                last_set.clone_from(set);
            }
            let mut queue = plan.jobs().to_vec();
            while let Some(job) = queue.pop() {
                prop_assert!(settings.limits.contacts_range.check(job.window).is_ok());
                if chance((seed, job.window), 100) < *fails_percent {
                    attempts.push(Attempt::at_job(&job, AttemptOutcome::Failed, now));
                    queue.extend(pieces_after_failure(&job, AttemptOutcome::Failed));
                    continue;
                }
                let delivery = job.delivery(deliveries.len().to_string(), now, now);
                deliveries.push(DeliveryRecord::new(delivery, vec![FragmentRecord::new(0, 0, 0, "")]));
            }
        }
        let coverage = Coverage::of(&deliveries, &attempts, &settings, now);
        let refresh = coverage.contacts().unwrap();
        prop_assert_eq!(refresh.range, DateRange::new(settings.since, day_of(now)).unwrap());
        // The parts of that set cover its range, checked day by day.
        for day in refresh.range {
            let is_covered = deliveries.iter().any(|record| {
                let (window, part_of) = (record.delivery.window, record.delivery.part_of.as_ref().unwrap());
                part_of.set == refresh.set && window.from <= day && day <= window.to
            });
            prop_assert!(is_covered, "{} is not covered", day);
        }
    }
}
