//! The slot accounting: examples of each transition, and a property over random interleavings.

use backstory_limits::{FileRetention, Phase, Retention, SlotPolicy, SlotPool, SlotRefusal};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

#[test]
fn our_own_share_is_bounded_first() {
    let mut pool = SlotPool::new(SlotPolicy::default());
    for _ in 0..4 {
        pool.reserve().unwrap();
    }
    assert_eq!(pool.reserve(), Err(SlotRefusal::OursFull { ours: 4 }));
}

#[test]
fn other_programs_jobs_count_against_the_pool() {
    let mut pool = SlotPool::new(SlotPolicy { reserved_for_others: 1, ..SlotPolicy::default() });
    let ids: Vec<String> = (0..8).map(|n| n.to_string()).collect();
    pool.observe(ids.iter().map(|id| (id.as_str(), Phase::Outstanding)));
    pool.reserve().unwrap();
    assert_eq!(pool.reserve(), Err(SlotRefusal::PoolFull { ours: 1, others: 8 }));
}

#[test]
fn a_lost_reply_holds_its_slot_until_the_job_is_found_or_disproved() {
    let mut pool = SlotPool::new(SlotPolicy { ours: 1, ..SlotPolicy::default() });
    let slot = pool.reserve().unwrap();
    pool.mark_unknown(slot);
    pool.observe([]);
    assert_eq!((pool.ours(), pool.unknown()), (1, 1));
    pool.bind(slot, "77");
    pool.observe([("77", Phase::Ended)]);
    assert_eq!(pool.ours(), 0);

    let slot = pool.reserve().unwrap();
    pool.mark_unknown(slot);
    pool.release(slot);
    pool.reserve().unwrap();
}

#[test]
fn an_adopted_job_is_counted_once() {
    let mut pool = SlotPool::new(SlotPolicy::default());
    assert_eq!(pool.adopt("5"), pool.adopt("5"));
    assert_eq!(pool.ours(), 1);
}

#[test]
fn a_file_expires_ten_days_after_it_was_made() {
    let made: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let keeps = FileRetention::days(10);
    let at = |text: &str| keeps.at(made, text.parse().unwrap());
    assert_eq!(at("2026-01-10T12:00:00Z"), Retention::Left(SignedDuration::from_hours(12)));
    assert_eq!(at("2026-01-11T00:00:00Z"), Retention::ExpiredSince(SignedDuration::ZERO));
    assert!(!keeps.explains_absence(made, "2026-01-09T00:00:00Z".parse().unwrap()));
    assert!(keeps.explains_absence(made, "2026-01-10T01:00:00Z".parse().unwrap()));
    assert!(keeps.at(Timestamp::MIN, Timestamp::MAX).is_expired());
    assert!(!keeps.at(Timestamp::MAX, Timestamp::MIN).is_expired());
}

proptest! {
    #[test]
    fn whatever_the_interleaving_we_never_hold_more_than_our_share_and_everything_ends(
        steps in prop::collection::vec((0u8..6, any::<prop::sample::Index>()), 1..200),
        others in 0usize..12,
    ) {
        let policy = SlotPolicy::default();
        let mut pool = SlotPool::new(policy);
        let mut held = Vec::new();
        let mut bound: Vec<(backstory_limits::Reservation, String)> = Vec::new();
        let foreign: Vec<String> = (0..others).map(|n| format!("other-{n}")).collect();
        let mut next = 0;
        for (step, pick) in steps {
            match step {
                0 => if let Ok(slot) = pool.reserve() {
                    prop_assert!(pool.ours() + pool.others() <= policy.total);
                    held.push(slot);
                },
                1 if !held.is_empty() => {
                    let slot = held.swap_remove(pick.index(held.len()));
                    next += 1;
                    pool.bind(slot, &next.to_string());
                    bound.push((slot, next.to_string()));
                }
                2 if !held.is_empty() => pool.mark_unknown(held[pick.index(held.len())]),
                3 if !held.is_empty() => pool.release(held.swap_remove(pick.index(held.len()))),
                4 if !bound.is_empty() => {
                    let (_, id) = bound.swap_remove(pick.index(bound.len()));
                    pool.observe(std::iter::once((id.as_str(), Phase::Ended)));
                }
                5 => pool.observe(foreign.iter().map(|id| (id.as_str(), Phase::Outstanding))),
                _ => {}
            }
            prop_assert!(pool.ours() <= policy.ours);
            prop_assert_eq!(pool.ours(), held.len() + bound.len());
        }
        for slot in held.into_iter().chain(bound.into_iter().map(|(slot, _)| slot)) {
            pool.release(slot);
        }
        prop_assert_eq!(pool.ours(), 0);
    }
}
