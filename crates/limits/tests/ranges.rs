//! Ranges, limits and splitting: by example where the calendar is odd, by property everywhere else.

use backstory_limits::{DateRange, ErrorKind, ExportKind, UseLimits};
use jiff::civil::{Date, date};
use proptest::prelude::*;

fn range(text: &str) -> DateRange {
    text.parse().unwrap()
}

#[test]
fn a_range_counts_both_of_its_ends() {
    assert_eq!(range("2026-01-01..2026-01-31").days(), 31);
    assert_eq!(DateRange::day(date(2026, 2, 28)).days(), 1);
    assert_eq!(DateRange::new(Date::MIN, Date::MAX).unwrap().days(), 7_304_484);
}

#[test]
fn a_range_that_runs_backwards_cannot_be_built() {
    let error = DateRange::new(date(2026, 3, 2), date(2026, 3, 1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StartAfterEnd);
    assert!(!error.is_use_limit());
    assert!(format!("{error:?}").contains("StartAfterEnd"));
    assert_eq!(
        error.to_string(),
        "the range starts on 2026-03-02, after its end on 2026-03-01; swap the two, or correct one"
    );
}

#[test]
fn only_the_api_form_of_a_day_is_read() {
    assert_eq!(DateRange::parse_day("2024-02-29").unwrap(), date(2024, 2, 29));
    for (text, why) in [
        ("2026-02-29", "there is no such day"),
        ("2026-13-01", "there is no such day"),
        ("20260101", "yyyy-MM-dd"),
        ("2026-01-01T00:00", "yyyy-MM-dd"),
        ("01/02/2026", "yyyy-MM-dd"),
        ("", "yyyy-MM-dd"),
        ("２０２６-01-01", "yyyy-MM-dd"),
    ] {
        let error = DateRange::parse_day(text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidDate, "{text}");
        assert!(error.to_string().contains(why), "{text}: {error}");
    }
}

#[test]
fn a_year_is_legal_as_a_snapshot_and_a_leap_years_last_day_is_not() {
    let limits = UseLimits::published();
    let snapshot = limits.range_limit(ExportKind::Snapshot);
    snapshot.check(range("2025-01-01..2025-12-31")).unwrap();
    let error = snapshot.check(range("2024-01-01..2024-12-31")).unwrap_err();
    assert!(error.is_use_limit());
    assert!(error.to_string().contains("at most 1 year"), "{error}");
    assert!(error.to_string().contains("leap year"), "{error}");
    // The reason is given where it applies, and only there.
    let wider = snapshot.check(range("2024-01-01..2025-01-01")).unwrap_err();
    assert!(!wider.to_string().contains("leap year"), "{wider}");
    let other = limits.delta_range.check(range("2024-01-01..2024-12-31")).unwrap_err();
    assert!(!other.to_string().contains("leap year"), "{other}");
    // Not a calendar year, but 366 days all the same.
    assert!(snapshot.check(range("2025-07-01..2026-07-01")).is_err());
}

#[test]
fn fourteen_days_are_legal_as_a_delta_and_fifteen_are_not() {
    let limits = UseLimits::published();
    let delta = limits.range_limit(ExportKind::Delta);
    delta.check(range("2026-01-01..2026-01-14")).unwrap();
    assert_eq!((delta.max_days(), delta.subject()), (14, "a delta"));
    let error = delta.check(range("2026-01-01..2026-01-15")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "2026-01-01..2026-01-15 has 15 days, but a delta may cover at most 14 days (14 days here, both ends counted); split the range"
    );
}

#[test]
fn leap_days_and_year_ends_are_days_like_others() {
    let limits = UseLimits::published();
    let pieces = |kind, text| -> Vec<String> {
        limits.range_limit(kind).split(range(text)).map(|piece| piece.to_string()).collect()
    };
    assert_eq!(
        pieces(ExportKind::Delta, "2024-02-20..2024-03-10"),
        ["2024-02-20..2024-03-04", "2024-03-05..2024-03-10"]
    );
    assert_eq!(
        pieces(ExportKind::Delta, "2025-02-20..2025-03-10"),
        ["2025-02-20..2025-03-05", "2025-03-06..2025-03-10"]
    );
    assert_eq!(
        pieces(ExportKind::Delta, "2025-12-25..2026-01-08"),
        ["2025-12-25..2026-01-07", "2026-01-08..2026-01-08"]
    );
    assert_eq!(
        pieces(ExportKind::Snapshot, "2024-01-01..2024-12-31"),
        ["2024-01-01..2024-12-30", "2024-12-31..2024-12-31"]
    );
    assert_eq!(pieces(ExportKind::Snapshot, "2023-03-01..2024-02-28"), ["2023-03-01..2024-02-28"]);
    assert_eq!(
        pieces(ExportKind::Snapshot, "2023-03-01..2024-02-29"),
        ["2023-03-01..2024-02-28", "2024-02-29..2024-02-29"]
    );
    // 1900 was no leap year, 2000 was one.
    assert_eq!(range("1900-02-28..1900-03-01").days(), 2);
    assert_eq!(range("2000-02-28..2000-03-01").days(), 3);
}

#[test]
fn a_limit_of_no_days_is_taken_as_one_day() {
    let limit = UseLimits::published().delta_range.with_max_days(0);
    assert_eq!(limit.max_days(), 1);
    assert_eq!(limit.split(range("2026-01-01..2026-01-03")).count(), 3);
}

#[test]
fn a_split_at_the_calendars_end_stops_there() {
    let limits = UseLimits::published();
    let last = DateRange::new(date(9999, 12, 1), Date::MAX).unwrap();
    let pieces: Vec<_> = limits.delta_range.split(last).collect();
    assert_eq!(pieces.len(), 3);
    assert_eq!(DateRange::join(&pieces), Some(last));
    assert_eq!(last.iter().count(), 31);
}

#[test]
fn a_limit_that_is_wider_than_the_calendar_splits_nothing() {
    let limit = UseLimits::published().snapshot_range.with_max_days(u32::MAX);
    let whole = DateRange::new(date(2024, 1, 1), Date::MAX).unwrap();
    assert_eq!(limit.split(whole).collect::<Vec<_>>(), [whole]);
}

#[test]
fn kinds_are_read_in_any_case_and_an_unknown_one_names_the_choices() {
    assert_eq!("Delta".parse::<ExportKind>().unwrap(), ExportKind::Delta);
    assert_eq!(format!("{:>9}", ExportKind::Snapshot), " snapshot");
    let error = "full".parse::<ExportKind>().unwrap_err();
    assert!(error.to_string().contains("`snapshot`") && error.to_string().contains("`delta`"));
}

#[test]
fn a_range_covers_what_lies_within_both_of_its_ends() {
    let march = range("2026-03-01..2026-03-31");
    assert_eq!(format!("{march:?}"), "DateRange(2026-03-01..2026-03-31)");
    assert!(march.covers(march));
    assert!(march.covers(range("2026-03-31")));
    assert!(!march.covers(range("2026-02-28..2026-03-15")));
    assert!(!march.covers(range("2026-03-15..2026-04-01")));
}

#[test]
fn pieces_with_a_gap_do_not_join() {
    assert_eq!(DateRange::join(&[range("2026-01-01..2026-01-02"), range("2026-01-04..2026-01-05")]), None);
    assert_eq!(DateRange::join(&[]), None);
}

prop_compose! {
    fn any_day()(offset in -4_371_587i64..=2_932_896) -> Date {
        date(1970, 1, 1).checked_add(jiff::Span::new().days(offset)).unwrap()
    }
}

prop_compose! {
    fn some_range()(start in any_day(), length in 0i64..5_000) -> DateRange {
        let end = start.checked_add(jiff::Span::new().days(length)).unwrap_or(Date::MAX);
        DateRange::new(start, end).unwrap()
    }
}

proptest! {
    #[test]
    fn splitting_then_joining_is_the_identity_and_every_piece_is_legal(range in some_range(), max_days in 1u32..500) {
        let limit = UseLimits::published().snapshot_range.with_max_days(max_days);
        let pieces: Vec<_> = limit.split(range).collect();
        prop_assert_eq!(DateRange::join(&pieces), Some(range));
        for piece in &pieces {
            prop_assert!(limit.check(*piece).is_ok());
            prop_assert!(range.covers(*piece));
        }
        // The fewest pieces that can do it.
        prop_assert_eq!(pieces.len() as u32, range.days().div_ceil(max_days));
    }

    #[test]
    fn legality_does_not_depend_on_how_the_service_counts(range in some_range()) {
        // Exclusive counting sees one day fewer; a year may be 365 or 366 days. Ours passes the strictest reading.
        let limits = UseLimits::published();
        if limits.snapshot_range.check(range).is_ok() { prop_assert!(range.days() <= 365); }
        if limits.delta_range.check(range).is_ok() { prop_assert!(range.days() <= 14); }
    }

    #[test]
    fn a_range_is_read_back_from_its_text(range in some_range()) {
        prop_assume!(range.start() >= date(0, 1, 1));
        prop_assert_eq!(range.to_string().parse::<DateRange>().unwrap(), range);
    }

    #[test]
    fn no_text_and_no_day_makes_anything_panic(
        text in ".*", dated in "[0-9-]{8,12}(\\.\\.[0-9-]{8,12})?", day in any_day(), max_days: u32,
    ) {
        for text in [text, dated] {
            let _ = text.parse::<ExportKind>();
            let _ = DateRange::parse_day(&text);
            if let Ok(range) = text.parse::<DateRange>() {
                prop_assert_eq!(range.to_string().parse::<DateRange>().unwrap(), range);
            }
        }
        let limit = UseLimits::published().contacts_range.with_max_days(max_days);
        for range in [DateRange::day(day), DateRange::new(Date::MIN, day).unwrap(), DateRange::new(day, Date::MAX).unwrap()] {
            let _ = limit.check(range);
            let pieces: Vec<_> = limit.split(range).take(3).collect();
            prop_assert_eq!(pieces[0].start(), range.start());
            prop_assert_eq!(range.iter().next(), Some(range.start()));
            prop_assert!(range.covers(pieces[0]) && range.contains(pieces[0].end()));
        }
    }

    #[test]
    fn the_days_of_a_range_are_all_of_it_in_order(range in some_range()) {
        let days: Vec<Date> = range.iter().collect();
        prop_assert_eq!(days.len() as u32, range.days());
        prop_assert!(days.windows(2).all(|pair| pair[0] < pair[1]));
        prop_assert!(days.iter().all(|day| range.contains(*day)));
    }

    #[test]
    fn an_intersection_holds_exactly_the_shared_days(a in some_range(), shift in -6_000i64..6_000, length in 0i64..5_000) {
        let Ok(start) = a.start().checked_add(jiff::Span::new().days(shift)) else { return Ok(()) };
        let Ok(end) = start.checked_add(jiff::Span::new().days(length)) else { return Ok(()) };
        let b = DateRange::new(start, end).unwrap();
        let shared = a.iter().filter(|day| b.contains(*day)).count();
        prop_assert_eq!(a.intersection(b).map_or(0, |both| both.days() as usize), shared);
    }
}
