//! How long a result file is there: the edges by example, any moment by property.

use backstory_limits::{FileRetention, Retention, UseLimits};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn a_file_expires_ten_days_after_it_was_made() {
    let keeps = UseLimits::published().file_retention;
    let made = at("2026-01-01T00:00:00Z");
    assert_eq!(keeps.duration(), SignedDuration::from_hours(240));
    assert_eq!(keeps.at(made, made), Retention::Left(SignedDuration::from_hours(240)));
    assert_eq!(keeps.at(made, at("2026-01-10T12:00:00Z")), Retention::Left(SignedDuration::from_hours(12)));
    assert_eq!(
        keeps.at(made, at("2026-01-10T23:59:59.999999999Z")),
        Retention::Left(SignedDuration::from_nanos(1))
    );
    assert_eq!(keeps.at(made, at("2026-01-11T00:00:00Z")), Retention::ExpiredSince(SignedDuration::ZERO));
    assert_eq!(
        keeps.at(made, at("2026-01-11T01:00:00Z")),
        Retention::ExpiredSince(SignedDuration::from_hours(1))
    );
}

#[test]
fn only_a_job_of_about_nine_days_explains_a_missing_file() {
    let keeps = FileRetention::days(10);
    let created = at("2026-01-01T00:00:00Z");
    assert!(!keeps.explains_absence(created, at("2026-01-09T23:59:59Z")));
    assert!(keeps.explains_absence(created, at("2026-01-10T00:00:00Z")));
    assert!(keeps.explains_absence(created, at("2026-03-01T00:00:00Z")));
}

#[test]
fn a_clock_that_stands_before_the_job_leaves_the_file_alive() {
    let keeps = FileRetention::days(10);
    let made = at("2026-01-02T00:00:00Z");
    assert_eq!(keeps.at(made, at("2026-01-01T00:00:00Z")), Retention::Left(SignedDuration::from_hours(264)));
}

#[test]
fn the_ends_of_time_do_not_panic() {
    for keeps in [FileRetention::days(0), FileRetention::days(10), FileRetention::days(u16::MAX)] {
        assert!(keeps.at(Timestamp::MIN, Timestamp::MAX).is_expired());
        assert!(!keeps.at(Timestamp::MAX, Timestamp::MIN).is_expired());
        let _ = keeps.explains_absence(Timestamp::MIN, Timestamp::MAX);
    }
}

prop_compose! {
    fn any_time()(second in Timestamp::MIN.as_second()..=Timestamp::MAX.as_second(), nano in 0i32..1_000_000_000) -> Timestamp {
        Timestamp::new(second, nano).unwrap_or(Timestamp::MAX)
    }
}

proptest! {
    #[test]
    fn what_is_left_and_what_has_passed_meet_at_the_moment_of_expiry(since in any_time(), now in any_time(), days in 0u16..4_000) {
        let keeps = FileRetention::days(days);
        let age = since.duration_until(now);
        match keeps.at(since, now) {
            Retention::Left(left) => {
                prop_assert!(left > SignedDuration::ZERO);
                prop_assert_eq!(age + left, keeps.duration());
            }
            Retention::ExpiredSince(over) => {
                prop_assert!(over >= SignedDuration::ZERO);
                prop_assert_eq!(age - over, keeps.duration());
            }
        }
    }

    #[test]
    fn a_file_that_has_expired_never_comes_back(since in any_time(), a in any_time(), b in any_time()) {
        let keeps = FileRetention::days(10);
        let (earlier, later) = (a.min(b), a.max(b));
        prop_assert!(!keeps.at(since, earlier).is_expired() || keeps.at(since, later).is_expired());
    }
}
