//! The machine's rules by example: one rule a test.

use super::*;

const LIFE: Duration = Duration::from_secs(7_200);
const MIDDLE: Chance = Chance(u16::MAX / 2);

type Cache = Machine<&'static str, &'static str>;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn empty() -> Cache {
    Machine::new(RefreshPolicy::default())
}

/// A machine that got the token `value` at `now`.
fn holding(value: &'static str, now: Duration, life: Duration) -> Cache {
    let mut cache = empty();
    land(&mut cache, value, now, life);
    cache
}

/// Starts a fetch, as somebody has to at this time.
fn take_off(cache: &mut Cache, now: Duration) -> Flight {
    match cache.ask(now) {
        Answer::Fetch(flight) | Answer::ServeAndFetch(_, flight) => flight,
        other => panic!("no fetch was due: {other:?}"),
    }
}

fn land(cache: &mut Cache, value: &'static str, now: Duration, life: Duration) -> Landing<&'static str> {
    let flight = take_off(cache, now);
    cache.landed(flight, now, value, life, MIDDLE)
}

fn fail(cache: &mut Cache, now: Duration) -> Duration {
    let flight = take_off(cache, now);
    cache.failed(flight, now, "down", None, MIDDLE)
}

/// Value and generation of what is served at once.
fn served(cache: &mut Cache, now: Duration) -> Option<(&'static str, u64)> {
    match cache.ask(now) {
        Answer::Serve(served) | Answer::ServeAndFetch(served, _) => Some((served.value, served.generation)),
        _ => None,
    }
}

#[test]
fn the_first_caller_fetches_and_the_others_wait() {
    let mut cache = empty();
    assert!(matches!(cache.ask(seconds(0)), Answer::Fetch(_)));
    assert_eq!(cache.ask(seconds(0)), Answer::Wait);
    assert_eq!(cache.ask(seconds(90)), Answer::Wait);
}

#[test]
fn a_fresh_token_is_served_and_nothing_is_fetched() {
    let mut cache = holding("a", seconds(0), LIFE);
    let fresh = Served { value: "a", generation: 1, remaining: seconds(7_100) };
    assert_eq!(cache.ask(seconds(100)), Answer::Serve(fresh));
}

#[test]
fn an_ageing_token_is_served_with_one_fetch_behind_it() {
    let mut cache = holding("a", seconds(0), LIFE);
    assert!(
        matches!(cache.ask(seconds(7_133)), Answer::Serve(_)),
        "67 s ahead: the margin with all its jitter is 66"
    );
    assert!(matches!(cache.ask(seconds(7_140)), Answer::ServeAndFetch(_, _)));
    assert!(matches!(cache.ask(seconds(7_141)), Answer::Serve(_)));
    assert!(matches!(cache.ask(seconds(7_199)), Answer::Serve(_)));
    assert_eq!(
        cache.ask(seconds(7_200)),
        Answer::Wait,
        "the token has ended and the fetch is still under way"
    );
}

#[test]
fn an_expired_token_is_fetched_once() {
    let mut cache = holding("a", seconds(0), LIFE);
    assert!(matches!(cache.ask(LIFE), Answer::Fetch(_)));
    assert_eq!(cache.ask(LIFE), Answer::Wait);
}

#[test]
fn a_new_token_takes_the_place_of_one_that_still_lives() {
    let mut cache = holding("a", seconds(0), LIFE);
    land(&mut cache, "b", seconds(7_150), LIFE);
    assert_eq!(served(&mut cache, seconds(7_150)), Some(("b", 2)));
    assert_eq!(served(&mut cache, seconds(14_000)), Some(("b", 2)));
}

#[test]
fn a_failed_refresh_never_displaces_a_living_token_and_is_paced() {
    let mut cache = holding("a", seconds(0), LIFE);
    let pause = fail(&mut cache, seconds(7_150));
    assert!(matches!(cache.ask(seconds(7_150)), Answer::Serve(_)), "no fetch before the pause is over");
    assert!(matches!(cache.ask(seconds(7_150) + pause), Answer::ServeAndFetch(_, _)));
}

#[test]
fn a_failure_is_remembered_for_its_pause_and_pauses_grow_up_to_a_minute() {
    let mut cache = empty();
    let mut now = seconds(0);
    let mut pauses = Vec::new();
    for _ in 0..8 {
        let pause = fail(&mut cache, now);
        assert_eq!(cache.ask(now), Answer::Fail("down", pause));
        let almost = pause - Duration::from_nanos(1);
        assert_eq!(cache.ask(now + almost), Answer::Fail("down", Duration::from_nanos(1)));
        now += pause;
        pauses.push(pause.as_millis());
    }
    // Half of chance on top of the half that is certain: three quarters of 1, 2, 4 … 60 s.
    assert_eq!(pauses, [749, 1_499, 2_999, 5_999, 11_999, 23_999, 44_999, 44_999]);
}

#[test]
fn a_success_forgets_the_failures() {
    let mut cache = empty();
    let first = fail(&mut cache, seconds(0));
    fail(&mut cache, seconds(10));
    land(&mut cache, "a", seconds(20), LIFE);
    assert_eq!(fail(&mut cache, seconds(7_220)), first);
}

#[test]
fn a_pause_that_a_success_has_ended_does_not_come_back_with_the_clock() {
    let mut cache = empty();
    let pause = fail(&mut cache, seconds(100));
    land(&mut cache, "a", seconds(100) + pause, LIFE);
    cache.invalidate(1, seconds(100));
    assert!(matches!(cache.ask(seconds(100)), Answer::Fetch(_)));
}

#[test]
fn an_issuer_that_asks_for_a_pause_gets_it_within_reason() {
    let mut cache = empty();
    let flight = take_off(&mut cache, seconds(0));
    assert_eq!(cache.failed(flight, seconds(0), "busy", Some(seconds(90)), MIDDLE), seconds(90));
    let flight = take_off(&mut cache, seconds(90));
    assert_eq!(cache.failed(flight, seconds(90), "busy", Some(seconds(1 << 40)), MIDDLE), seconds(600));
}

#[test]
fn a_refused_token_is_replaced_once_however_many_saw_it() {
    let mut cache = holding("a", seconds(0), LIFE);
    cache.accepted(1);
    for _ in 0..3 {
        cache.invalidate(1, seconds(10));
    }
    land(&mut cache, "b", seconds(10), LIFE);
    cache.invalidate(1, seconds(11));
    assert_eq!(
        served(&mut cache, seconds(11)),
        Some(("b", 2)),
        "a late report of the old token changes nothing"
    );
}

#[test]
fn a_refusal_joins_the_refresh_that_is_under_way() {
    let mut cache = holding("a", seconds(0), LIFE);
    let flight = take_off(&mut cache, seconds(7_150));
    cache.invalidate(1, seconds(7_150));
    assert_eq!(cache.ask(seconds(7_150)), Answer::Wait);
    cache.landed(flight, seconds(7_151), "b", LIFE, MIDDLE);
    assert_eq!(served(&mut cache, seconds(7_151)), Some(("b", 2)));
}

#[test]
fn a_cure_that_opened_nothing_is_not_replaced_at_once_but_after_a_growing_pause() {
    let mut cache = holding("a", seconds(0), LIFE);
    cache.accepted(1);
    cache.invalidate(1, seconds(10));
    land(&mut cache, "b", seconds(10), LIFE);
    cache.invalidate(2, seconds(10));
    assert_eq!(
        served(&mut cache, seconds(10)),
        Some(("b", 2)),
        "the server sees it once more, and no fetch is made"
    );
    cache.invalidate(2, seconds(11));
    land(&mut cache, "c", seconds(11), LIFE);
    cache.invalidate(3, seconds(12));
    assert_eq!(served(&mut cache, seconds(12)), Some(("c", 3)), "the second pause is 2 s");
    cache.invalidate(3, seconds(13));
    assert_eq!(served(&mut cache, seconds(13)), None);
}

#[test]
fn a_cure_that_opened_something_is_healed_as_the_first() {
    let mut cache = holding("a", seconds(0), LIFE);
    cache.invalidate(1, seconds(10));
    land(&mut cache, "b", seconds(10), LIFE);
    cache.accepted(2);
    cache.invalidate(2, seconds(10));
    assert_eq!(served(&mut cache, seconds(10)), None);
}

#[test]
fn that_an_old_token_opened_something_says_nothing_of_the_new_one() {
    let mut cache = holding("a", seconds(0), LIFE);
    cache.invalidate(1, seconds(10));
    land(&mut cache, "b", seconds(10), LIFE);
    cache.accepted(1);
    cache.invalidate(2, seconds(10));
    assert_eq!(served(&mut cache, seconds(10)), Some(("b", 2)));
}

#[test]
fn a_token_that_opened_something_ends_the_growth_of_the_pauses() {
    let mut cache = holding("a", seconds(0), LIFE);
    let mut now = seconds(0);
    for (generation, next) in ["b", "c", "d", "e"].into_iter().enumerate() {
        cache.invalidate(generation as u64 + 1, now);
        land(&mut cache, next, now, LIFE);
        now += seconds(60);
    }
    cache.accepted(5);
    cache.invalidate(5, now);
    land(&mut cache, "f", now, LIFE);
    cache.invalidate(6, now);
    assert_eq!(served(&mut cache, now), Some(("f", 6)));
    cache.invalidate(6, now + seconds(1));
    assert_eq!(served(&mut cache, now + seconds(1)), None, "the first pause is a second");
}

#[test]
fn the_same_token_served_again_with_its_remaining_life_is_asked_for_again_only_when_it_has_ended() {
    let mut cache = holding("a", seconds(0), LIFE);
    land(&mut cache, "a", seconds(7_140), seconds(60));
    assert_eq!(served(&mut cache, seconds(7_199)), Some(("a", 1)));
    assert!(
        matches!(cache.ask(seconds(7_199)), Answer::Serve(_)),
        "a fetch now would bring the same once more"
    );
    assert!(matches!(cache.ask(seconds(7_200)), Answer::Fetch(_)));
}

#[test]
fn the_expired_token_served_again_is_waited_for_and_not_spun_on() {
    let mut cache = holding("a", seconds(0), LIFE);
    let flight = take_off(&mut cache, seconds(7_200));
    let lagging = cache.landed(flight, seconds(7_200), "a", seconds(3), MIDDLE);
    assert_eq!(lagging, Landing::FetchAgainAfter(seconds(3)));
    assert_eq!(cache.ask(seconds(7_201)), Answer::Wait, "it is all one fetch to its waiters");
    let no_life_left = cache.landed(flight, seconds(7_203), "a", seconds(0), MIDDLE);
    assert!(matches!(no_life_left, Landing::FetchAgainAfter(wait) if wait >= seconds(1)));
    let Landing::Held(new) = cache.landed(flight, seconds(7_205), "b", LIFE, MIDDLE) else {
        panic!("not held")
    };
    assert_eq!((new.value, new.generation), ("b", 2));
}

#[test]
fn the_expired_token_is_recognised_long_after_its_end_too() {
    let mut cache = holding("a", seconds(0), LIFE);
    let flight = take_off(&mut cache, seconds(50_000));
    let again = cache.landed(flight, seconds(50_000), "a", seconds(2), MIDDLE);
    assert_eq!(again, Landing::FetchAgainAfter(seconds(2)));
}

#[test]
fn an_issuer_that_serves_the_expired_token_for_ever_is_given_up_for_now() {
    let mut cache = holding("a", seconds(0), LIFE);
    let flight = take_off(&mut cache, seconds(7_200));
    let mut now = seconds(7_200);
    for _ in 0..PATIENCE {
        match cache.landed(flight, now, "a", seconds(0), MIDDLE) {
            Landing::FetchAgainAfter(wait) => now += wait,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(cache.landed(flight, now, "a", seconds(0), MIDDLE), Landing::Stale);
    let pause = cache.failed(flight, now, "stale", None, MIDDLE);
    assert!(matches!(cache.ask(now), Answer::Fail("stale", _)));
    let again = land(&mut cache, "a", now + pause, seconds(0));
    assert!(
        matches!(again, Landing::FetchAgainAfter(_)),
        "it is given as much patience as before: {again:?}"
    );
}

#[test]
fn a_token_that_came_and_a_fetch_that_was_lost_restore_the_patience() {
    let mut cache = holding("a", seconds(0), LIFE);
    let wait = |cache: &mut Cache, flight, now, old| {
        for _ in 0..PATIENCE {
            let again = cache.landed(flight, now, old, seconds(0), MIDDLE);
            assert!(matches!(again, Landing::FetchAgainAfter(_)), "{again:?}");
        }
    };
    for (old, new, now) in [("a", "b", seconds(7_200)), ("b", "c", seconds(14_500))] {
        let lost = take_off(&mut cache, now);
        wait(&mut cache, lost, now, old);
        cache.lost(lost);
        let flight = take_off(&mut cache, now);
        wait(&mut cache, flight, now, old);
        assert!(matches!(cache.landed(flight, now, new, LIFE, MIDDLE), Landing::Held(_)));
    }
}

#[test]
fn a_remaining_life_that_is_rounded_up_is_no_prolongation() {
    let mut cache = holding("a", seconds(0), LIFE);
    land(&mut cache, "a", seconds(7_140), seconds(62));
    assert!(matches!(cache.ask(seconds(7_201)), Answer::Serve(_)));
    assert!(matches!(cache.ask(seconds(7_202)), Answer::Fetch(_)));
}

#[test]
fn a_remaining_life_that_is_off_by_the_margin_is_no_prolongation_either() {
    let mut cache = holding("a", seconds(0), LIFE);
    land(&mut cache, "a", seconds(7_140), seconds(120));
    assert!(matches!(cache.ask(seconds(7_259)), Answer::Serve(_)));
    assert!(matches!(cache.ask(seconds(7_260)), Answer::Fetch(_)));
}

#[test]
fn a_short_life_that_is_prolonged_is_renewed_ahead_of_its_new_end() {
    let mut cache = holding("a", seconds(0), seconds(100));
    land(&mut cache, "a", seconds(95), LIFE);
    assert!(matches!(cache.ask(seconds(95 + 7_133)), Answer::Serve(_)));
    assert!(matches!(cache.ask(seconds(95 + 7_140)), Answer::ServeAndFetch(_, _)));
}

#[test]
fn the_same_token_with_a_prolonged_life_is_renewed_ahead_as_any_other() {
    let mut cache = holding("a", seconds(0), LIFE);
    land(&mut cache, "a", seconds(7_140), LIFE);
    assert!(matches!(cache.ask(seconds(14_200)), Answer::Serve(_)));
    assert!(matches!(cache.ask(seconds(14_281)), Answer::ServeAndFetch(_, _)));
    assert_eq!(served(&mut cache, seconds(14_281)), Some(("a", 1)));
}

#[test]
fn a_refused_token_that_is_served_again_near_its_end_is_waited_out() {
    let mut cache = holding("a", seconds(0), LIFE);
    cache.invalidate(1, seconds(7_150));
    let flight = take_off(&mut cache, seconds(7_150));
    assert_eq!(
        cache.landed(flight, seconds(7_150), "a", seconds(50), MIDDLE),
        Landing::FetchAgainAfter(seconds(50))
    );
}

#[test]
fn a_refused_token_that_is_served_again_with_much_life_is_handed_on_for_the_caller_to_see() {
    let mut cache = holding("a", seconds(0), LIFE);
    cache.invalidate(1, seconds(10));
    land(&mut cache, "a", seconds(10), seconds(7_190));
    assert_eq!(served(&mut cache, seconds(10)), Some(("a", 2)));
    cache.invalidate(2, seconds(10));
    assert_eq!(served(&mut cache, seconds(10)), Some(("a", 2)));
}

#[test]
fn a_new_token_without_life_is_tried_for_a_second() {
    let mut cache = holding("a", seconds(0), seconds(0));
    assert_eq!(served(&mut cache, seconds(0)), Some(("a", 1)));
    assert!(matches!(cache.ask(seconds(1)), Answer::Fetch(_)));
}

#[test]
fn a_lost_fetch_is_made_up_for_by_the_next_caller() {
    let mut cache = empty();
    let flight = take_off(&mut cache, seconds(0));
    cache.lost(flight);
    let next = take_off(&mut cache, seconds(0));
    cache.lost(flight);
    assert!(!cache.is_under_way(flight));
    assert!(cache.is_under_way(next), "the end of an old fetch says nothing of the new one");
    assert_eq!(cache.landed(flight, seconds(0), "old", LIFE, MIDDLE), Landing::Nothing);
    assert_eq!(cache.failed(flight, seconds(0), "old", None, MIDDLE), Duration::ZERO);
    assert_eq!(cache.ask(seconds(0)), Answer::Wait);
}

#[test]
fn a_clock_that_jumps_ahead_costs_one_fetch() {
    let mut cache = holding("a", seconds(0), LIFE);
    let far = seconds(1 << 40);
    land(&mut cache, "b", far, LIFE);
    assert_eq!(served(&mut cache, far), Some(("b", 2)));
}

#[test]
fn a_clock_that_jumps_back_neither_loses_the_token_nor_prolongs_a_pause() {
    let late = seconds(1 << 30);
    let mut cache = holding("a", late, LIFE);
    assert_eq!(served(&mut cache, seconds(0)), Some(("a", 1)));
    let mut cache = empty();
    fail(&mut cache, late);
    assert!(matches!(cache.ask(seconds(0)), Answer::Fetch(_)));
}

#[test]
fn no_life_and_no_time_overflows() {
    let mut cache = holding("a", Duration::MAX, Duration::MAX);
    assert!(matches!(cache.ask(Duration::MAX), Answer::Serve(_)));
    assert!(matches!(cache.ask(seconds(0)), Answer::Serve(_)));
    let mut cache = holding("a", seconds(0), LIFE);
    assert!(matches!(land(&mut cache, "a", Duration::MAX, Duration::MAX), Landing::Held(_)));
}

#[test]
fn the_machine_knows_no_runtime_no_lock_and_no_http() {
    for source in [include_str!("../machine.rs"), include_str!("../policy.rs")] {
        let code = source.lines().filter(|line| !line.trim_start().starts_with("//"));
        for line in code {
            for foreign in ["tokio", "async ", "await", "Mutex", "http", "Instant", "backstory_transport"] {
                assert!(!line.contains(foreign), "{line}");
            }
        }
    }
}
