//! The virtual clock: the one place that knows what time it is in the simulated world.
//!
//! Two axes run here. *World time* is what dates, tokens, retention and the `Date` header follow. *Job time* is what
//! queueing and running are measured in: it follows world time while the clock runs, and real time while the clock
//! stands, so that jobs still end in a world that does not move. A history of segments maps job time back to world
//! time, so an event that is only noticed later is still stamped with the moment at which it happened.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};

/// A handle to the simulator's clock; clones share it.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Mutex<Vec<Segment>>>);

/// One stretch during which the clock was neither set nor given another speed.
#[derive(Clone, Copy, Debug)]
struct Segment {
    real: Instant,
    /// Job time at `real`, in nanoseconds.
    job: i64,
    /// World time at `real`, in nanoseconds since 1970.
    world: i64,
    /// World seconds per real second; 0 is a standing clock.
    speed: f64,
}

/// A moment of job time, in nanoseconds since the simulator started.
pub(crate) type JobTime = i64;

impl Segment {
    fn at(&self, real: Instant) -> (JobTime, i64) {
        let elapsed = real.saturating_duration_since(self.real).as_nanos() as f64;
        if self.speed > 0.0 {
            let moved = (elapsed * self.speed) as i64;
            (self.job.saturating_add(moved), shown(self.world.saturating_add(moved)))
        } else {
            (self.job.saturating_add(elapsed as i64), self.world)
        }
    }
}

impl Clock {
    /// A clock that shows `now` and moves at `speed` world seconds per real second; 0 stands.
    pub(crate) fn new(now: Timestamp, speed: f64) -> Self {
        let world = shown(nanos(now));
        Self(Arc::new(Mutex::new(vec![Segment { real: Instant::now(), job: 0, world, speed }])))
    }

    /// The world's present moment (UTC).
    pub fn now(&self) -> Timestamp {
        let segments = self.segments();
        timestamp(last(&segments).at(Instant::now()).1)
    }

    /// World seconds per real second; 0 while the clock stands.
    pub fn speed(&self) -> f64 {
        last(&self.segments()).speed
    }

    /// Moves the world to `now`, forward or back. While the clock runs, a jump forward is time that jobs spend too; while
    /// it stands, jobs don't notice. The clock goes from the start of 1980 to the end of 2095; an instant beyond moves it
    /// to the end that is nearer.
    pub fn set(&self, now: Timestamp) {
        self.turn(|_, _| (nanos(now), None));
    }

    /// Moves the world on by `by` (back, if it is negative). See [`Clock::set`] for what jobs make of it, and where the
    /// clock ends.
    pub fn advance(&self, by: SignedDuration) {
        let far = if by.is_negative() { i64::MIN } else { i64::MAX };
        let by = i64::try_from(by.as_nanos()).unwrap_or(far);
        self.turn(|world, _| (world.saturating_add(by), None));
    }

    /// Lets the world run at `speed` world seconds per real second from now on. 0 makes it stand; a negative or
    /// non-finite speed counts as 0.
    pub fn set_speed(&self, speed: f64) {
        self.turn(|world, _| (world, Some(speed)));
    }

    /// The present moment of job time.
    pub(crate) fn job_time(&self) -> JobTime {
        last(&self.segments()).at(Instant::now()).0
    }

    /// The world time at a moment of job time, in whole seconds (the resolution of every time on the wire).
    pub(crate) fn world_at(&self, job: JobTime) -> Timestamp {
        let segments = self.segments();
        let index = segments.partition_point(|segment| segment.job <= job).saturating_sub(1);
        let segment = segments[index];
        let world = if segment.speed > 0.0 {
            segment.world.saturating_add(job.saturating_sub(segment.job))
        } else {
            segment.world
        };
        timestamp(shown(world).div_euclid(1_000_000_000) * 1_000_000_000)
    }

    fn turn(&self, change: impl FnOnce(i64, f64) -> (i64, Option<f64>)) {
        let mut segments = self.segments();
        let real = Instant::now();
        let before = *last(&segments);
        let (job, world) = before.at(real);
        let (next, speed) = change(world, before.speed);
        let next = shown(next);
        let speed = speed.unwrap_or(before.speed);
        let jump = if before.speed > 0.0 { next.saturating_sub(world).max(0) } else { 0 };
        let speed = if speed.is_finite() { speed.max(0.0) } else { 0.0 };
        segments.push(Segment { real, job: job.saturating_add(jump), world: next, speed });
    }

    fn segments(&self) -> MutexGuard<'_, Vec<Segment>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The first and the last nanosecond that the clock shows: the years 1980 to 2095. Records count their seconds in 32
/// bits and lie around it.
const ENDS: (i64, i64) = (315_532_800_000_000_000, 3_976_214_399_999_999_999);

/// Refuses an instant that the clock can't show.
pub(crate) fn check(now: Timestamp) -> Result<(), String> {
    if i128::from(shown(nanos(now))) == now.as_nanosecond() {
        return Ok(());
    }
    Err(format!("the world's clock can't show {now}: the years are 1980 to 2095"))
}

/// The nearest moment that the clock shows.
fn shown(nanos: i64) -> i64 {
    nanos.clamp(ENDS.0, ENDS.1)
}

fn last(segments: &[Segment]) -> &Segment {
    // The list starts with one segment and only grows.
    &segments[segments.len() - 1]
}

fn nanos(time: Timestamp) -> i64 {
    i64::try_from(time.as_nanosecond()).unwrap_or(if time > Timestamp::UNIX_EPOCH {
        i64::MAX
    } else {
        i64::MIN
    })
}

fn timestamp(nanos: i64) -> Timestamp {
    // Every 64-bit count of nanoseconds lies between the years 1677 and 2262, well inside jiff's range.
    Timestamp::from_nanosecond(i128::from(nanos)).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn june() -> Timestamp {
        "2026-06-01T00:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_standing_clock_stands_and_moves_when_told() {
        let clock = Clock::new(june(), 0.0);
        assert_eq!(clock.now(), june());
        clock.advance(SignedDuration::from_hours(72));
        assert_eq!(clock.now(), "2026-06-04T00:00:00Z".parse().unwrap());
        clock.set(june());
        assert_eq!(clock.now(), june());
    }

    #[test]
    fn the_clock_ends_where_its_years_end_and_goes_on_from_there() {
        let (first, end): (Timestamp, Timestamp) =
            ("1980-01-01T00:00:00Z".parse().unwrap(), "2095-12-31T23:59:59.999999999Z".parse().unwrap());
        for speed in [0.0, 1e7] {
            let clock = Clock::new(june(), speed);
            clock.advance(SignedDuration::MAX);
            clock.advance(SignedDuration::MAX);
            assert_eq!(clock.now(), end);
            assert!(clock.world_at(JobTime::MAX) <= end);
            clock.set(Timestamp::MAX);
            assert_eq!(clock.now(), end);
        }
        let clock = Clock::new(june(), 0.0);
        clock.advance(SignedDuration::MIN);
        assert_eq!(clock.now(), first);
        clock.set(Timestamp::MIN);
        assert_eq!((clock.now(), clock.world_at(0)), (first, june()));
        clock.set(june());
        assert_eq!(clock.now(), june());
        assert!(check(first).is_ok() && check(end).is_ok());
        for beyond in [Timestamp::MIN, Timestamp::MAX, "1979-12-31T23:59:59Z".parse().unwrap()] {
            assert!(check(beyond).unwrap_err().ends_with("the years are 1980 to 2095"));
        }
    }

    #[test]
    fn a_jump_of_a_standing_clock_is_not_job_time() {
        let clock = Clock::new(june(), 0.0);
        let before = clock.job_time();
        clock.advance(SignedDuration::from_hours(72));
        assert!(clock.job_time() - before < 3_600_000_000_000);
        assert_eq!(clock.world_at(before), june(), "what happened before the jump keeps its date");
    }

    #[test]
    fn a_jump_of_a_running_clock_is_job_time() {
        let clock = Clock::new(june(), 1.0);
        let before = clock.job_time();
        clock.advance(SignedDuration::from_hours(2));
        assert!(clock.job_time() - before >= 7_200_000_000_000);
        let during = clock.world_at(before + 3_600_000_000_000);
        assert!(during >= "2026-06-01T01:00:00Z".parse().unwrap());
        assert!(
            during < "2026-06-01T02:00:00Z".parse().unwrap(),
            "an event inside the jump is dated inside it"
        );
    }
}
