//! The slot accounting, one transition a test. Random interleavings of all of them are in `slot_interleavings.rs`.

use backstory_limits::{ListedJob, Phase, Settlement, SlotPolicy, SlotPool, SlotRefusal, UseLimits};
use jiff::{SignedDuration, Timestamp};

/// `seconds` after some midnight.
fn at(seconds: i64) -> Timestamp {
    "2026-03-01T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}

fn listed<'a>(id: &'a str, phase: Phase, created: i64, request: &'a str) -> ListedJob<'a, &'a str> {
    ListedJob { id, phase, created: Some(at(created)), request }
}

fn foreign(id: &str, phase: Phase) -> ListedJob<'_, &str> {
    listed(id, phase, 0, "of another program")
}

fn pool() -> SlotPool<&'static str> {
    SlotPool::new(SlotPolicy::default())
}

/// A pool with one creation of "window", intended at 0, whose reply was lost at 30.
fn pool_in_doubt() -> (SlotPool<&'static str>, backstory_limits::Reservation) {
    let mut pool = pool();
    let slot = pool.reserve("window", at(0)).unwrap();
    pool.mark_unknown(slot, at(30));
    (pool, slot)
}

#[test]
fn by_default_two_of_ours_run_two_wait_and_ten_are_the_most_in_all() {
    let policy = SlotPolicy::default();
    assert_eq!((policy.running, policy.waiting, policy.total, policy.service_runs), (2, 2, 10, 2));
    let mut pool = pool();
    for request in ["a", "b", "c", "d"] {
        pool.reserve(request, at(0)).unwrap();
    }
    assert_eq!(pool.waiting(), 2);
    assert_eq!(pool.reserve("e", at(0)), Err(SlotRefusal::OursFull { ours: 4 }));
}

#[test]
fn a_service_with_smaller_limits_gets_a_smaller_policy() {
    let mut limits = UseLimits::published();
    (limits.running_jobs, limits.queued_jobs) = (1, 1);
    let policy = SlotPolicy::of(&limits);
    assert_eq!((policy.running, policy.waiting, policy.total, policy.service_runs), (1, 1, 1, 1));
}

#[test]
fn ten_outstanding_jobs_are_never_exceeded_with_the_running_ones_included() {
    let mut pool = pool();
    let ids: Vec<String> = (0..9).map(|n| n.to_string()).collect();
    // The list says nothing of running, so that two of ours may wait.
    pool.observe(ids.iter().map(|id| foreign(id, Phase::Waiting)), at(0));
    pool.reserve("a", at(0)).unwrap();
    assert_eq!(pool.reserve("b", at(0)), Err(SlotRefusal::PoolFull { ours: 1, others: 9 }));
}

#[test]
fn slots_reserved_for_others_stay_free() {
    let mut pool = SlotPool::new(SlotPolicy { reserved_for_others: 7, ..SlotPolicy::default() });
    pool.observe([foreign("1", Phase::Running), foreign("2", Phase::Running)], at(0));
    pool.reserve("a", at(0)).unwrap();
    assert_eq!(pool.reserve("b", at(0)), Err(SlotRefusal::PoolFull { ours: 1, others: 2 }));
}

#[test]
fn behind_other_programs_jobs_only_two_of_ours_wait() {
    let mut pool = pool();
    pool.observe([foreign("1", Phase::Running), foreign("2", Phase::Running)], at(0));
    let first = pool.reserve("a", at(0)).unwrap();
    pool.reserve("b", at(0)).unwrap();
    assert_eq!(pool.reserve("c", at(0)), Err(SlotRefusal::WaitingFull { waiting: 2, others: 2 }));
    // One of theirs ends and one of ours runs: there is room for another to wait.
    pool.bind(first, "3");
    pool.observe([foreign("1", Phase::Running), listed("3", Phase::Running, 1, "a")], at(60));
    pool.reserve("c", at(60)).unwrap();
}

#[test]
fn two_of_ours_wait_beside_two_that_run_though_others_wait_too() {
    let mut pool = pool();
    for (request, id) in [("a", "1"), ("b", "2")] {
        let slot = pool.reserve(request, at(0)).unwrap();
        pool.bind(slot, id);
        pool.update(id, Phase::Running);
    }
    let ours = [listed("1", Phase::Running, 1, "a"), listed("2", Phase::Running, 1, "b")];
    pool.observe(ours.into_iter().chain([foreign("3", Phase::Waiting)]), at(60));
    pool.reserve("c", at(60)).unwrap();
    pool.reserve("d", at(60)).unwrap();
    assert_eq!((pool.ours(), pool.waiting()), (4, 2));
}

#[test]
fn without_a_waiting_share_a_job_starts_only_where_it_runs_at_once() {
    let mut pool = SlotPool::new(SlotPolicy { running: 1, waiting: 0, ..SlotPolicy::default() });
    pool.observe([foreign("1", Phase::Running), foreign("2", Phase::Running)], at(0));
    assert_eq!(pool.reserve("a", at(0)), Err(SlotRefusal::WaitingFull { waiting: 0, others: 2 }));
    pool.observe([foreign("1", Phase::Running)], at(10));
    pool.reserve("a", at(10)).unwrap();
    assert_eq!(pool.reserve("b", at(10)), Err(SlotRefusal::OursFull { ours: 1 }));
}

#[test]
fn a_refused_creation_frees_its_slot_once() {
    let mut pool = pool();
    let slot = pool.reserve("a", at(0)).unwrap();
    pool.release(slot);
    pool.release(slot);
    assert_eq!(pool.ours(), 0);
}

#[test]
fn a_job_holds_its_slot_until_a_poll_says_that_it_ended() {
    for end in [Phase::Completed, Phase::Failed] {
        let mut pool = pool();
        let slot = pool.reserve("a", at(0)).unwrap();
        pool.bind(slot, "7");
        for phase in [Phase::Waiting, Phase::Running] {
            pool.update("7", phase);
            assert_eq!(pool.ours(), 1);
        }
        pool.update("7", end);
        assert_eq!(pool.ours(), 0);
    }
}

#[test]
fn a_job_that_the_list_shows_as_ended_frees_its_slot() {
    let mut pool = pool();
    let slot = pool.reserve("a", at(0)).unwrap();
    pool.bind(slot, "7");
    assert_eq!(
        pool.observe([listed("7", Phase::Failed, 1, "a")], at(60)),
        [Settlement::Ended { reservation: slot, job_id: "7".to_owned() }]
    );
    assert_eq!((pool.ours(), pool.others()), (0, 0));
}

#[test]
fn a_job_that_is_missing_from_the_list_keeps_its_slot_until_it_is_older_than_the_list() {
    let mut pool = pool();
    let slot = pool.reserve("a", at(0)).unwrap();
    pool.bind(slot, "7");
    assert_eq!(pool.observe([], at(10 * 86_400)), []);
    assert_eq!(
        pool.observe([], at(10 * 86_400 + 1)),
        [Settlement::Ended { reservation: slot, job_id: "7".to_owned() }]
    );
}

#[test]
fn a_list_that_lags_does_not_make_an_ended_job_of_ours_somebody_elses() {
    let mut pool = pool();
    let slot = pool.reserve("a", at(0)).unwrap();
    pool.bind(slot, "7");
    pool.update("7", Phase::Completed);
    assert_eq!(pool.observe([listed("7", Phase::Running, 1, "a")], at(60)), []);
    assert_eq!((pool.ours(), pool.others()), (0, 0));
}

#[test]
fn an_ended_job_of_ours_is_remembered_for_as_long_as_the_list_reaches() {
    const REACH: i64 = 10 * 86_400;
    let mut pool = pool();
    let slot = pool.reserve("a", at(0)).unwrap();
    pool.bind(slot, "7");
    pool.update("7", Phase::Completed);
    let lagging = || [listed("7", Phase::Running, 1, "a")];
    for moment in [60, REACH] {
        // A list that doesn't show it says nothing of the next one, which may be older.
        pool.observe([], at(moment));
        pool.observe(lagging(), at(moment));
        assert_eq!((pool.ours(), pool.others()), (0, 0));
    }
    // While it is listed it is remembered, however old; then there is nothing to remember it for.
    pool.observe(lagging(), at(REACH + 1));
    pool.observe(lagging(), at(REACH + 1));
    assert_eq!(pool.others(), 0);
    pool.observe([], at(REACH + 1));
    pool.observe(lagging(), at(REACH + 1));
    assert_eq!(pool.others(), 1);
}

#[test]
fn a_lost_reply_holds_its_slot_and_adopts_the_job_that_it_made() {
    let (mut pool, slot) = pool_in_doubt();
    assert_eq!(pool.observe([foreign("1", Phase::Running)], at(40)), []);
    assert_eq!((pool.ours(), pool.unknown(), pool.others()), (1, 1, 1));
    assert_eq!(
        pool.observe([foreign("1", Phase::Running), listed("2", Phase::Waiting, 5, "window")], at(60)),
        [Settlement::Adopted { reservation: slot, job_id: "2".to_owned(), phase: Phase::Waiting }]
    );
    assert_eq!((pool.ours(), pool.unknown(), pool.others()), (1, 0, 1));
}

#[test]
fn a_job_that_completed_before_it_was_found_is_adopted_and_holds_no_slot() {
    let (mut pool, slot) = pool_in_doubt();
    assert_eq!(
        pool.observe([listed("2", Phase::Completed, 5, "window")], at(60)),
        [Settlement::Adopted { reservation: slot, job_id: "2".to_owned(), phase: Phase::Completed }]
    );
    assert_eq!((pool.ours(), pool.others()), (0, 0));
}

#[test]
fn what_cannot_be_ours_is_not_adopted() {
    let strangers = [
        ("another request", listed("2", Phase::Running, 5, "another window")),
        ("created before the intent", listed("2", Phase::Running, -1, "window")),
        ("failed or canceled", listed("2", Phase::Failed, 5, "window")),
        (
            "created nobody knows when",
            ListedJob { created: None, ..listed("2", Phase::Running, 5, "window") },
        ),
    ];
    for (why, job) in strangers {
        let (mut pool, _) = pool_in_doubt();
        assert_eq!(pool.observe([job], at(60)), [], "{why}");
        assert_eq!(pool.unknown(), 1, "{why}");
    }
}

#[test]
fn the_service_tells_whole_seconds_so_a_job_of_the_same_second_counts_as_later() {
    let mut pool = pool();
    let slot = pool.reserve("window", at(0) + SignedDuration::from_millis(900)).unwrap();
    pool.mark_unknown(slot, at(30));
    assert_eq!(pool.observe([listed("2", Phase::Running, 0, "window")], at(60)).len(), 1);
}

#[test]
fn a_job_of_ours_is_not_found_a_second_time() {
    let mut pool = pool();
    let first = pool.reserve("window", at(0)).unwrap();
    pool.bind(first, "1");
    pool.update("1", Phase::Completed);
    // The same window again, within the same second, and this time the reply is lost.
    let second = pool.reserve("window", at(0)).unwrap();
    pool.mark_unknown(second, at(30));
    assert_eq!(pool.observe([listed("1", Phase::Completed, 0, "window")], at(60)), []);
    assert_eq!(pool.unknown(), 1);
}

#[test]
fn a_creation_is_disproved_only_by_a_list_that_is_younger_than_the_lag() {
    let (mut pool, slot) = pool_in_doubt();
    assert_eq!(pool.observe([], at(30 + 120)), []);
    assert_eq!(pool.observe([], at(30 + 121)), [Settlement::NeverCreated { reservation: slot }]);
    assert_eq!(pool.ours(), 0);
    pool.reserve("window", at(200)).unwrap();
}

#[test]
fn an_equal_creation_has_to_wait_for_the_one_in_doubt() {
    let (mut pool, slot) = pool_in_doubt();
    assert_eq!(pool.reserve("window", at(40)), Err(SlotRefusal::Unanswered));
    pool.reserve("another window", at(40)).unwrap();
    pool.bind(slot, "1");
    pool.reserve("window", at(50)).unwrap();
}

#[test]
fn a_late_reply_takes_the_slot_of_a_disproved_creation_again() {
    let (mut pool, slot) = pool_in_doubt();
    pool.observe([], at(200));
    assert_eq!(pool.ours(), 0);
    pool.bind(slot, "9");
    assert_eq!(pool.ours(), 1);
    pool.update("9", Phase::Completed);
    assert_eq!(pool.ours(), 0);
}

#[test]
fn a_repeated_reply_changes_nothing_not_even_after_the_job_has_ended() {
    let mut pool = pool();
    let slot = pool.reserve("a", at(0)).unwrap();
    pool.bind(slot, "7");
    pool.bind(slot, "7");
    assert_eq!((pool.ours(), pool.others()), (1, 0));
    pool.update("7", Phase::Completed);
    pool.bind(slot, "7");
    assert_eq!((pool.ours(), pool.others()), (0, 0));
}

#[test]
fn a_reply_that_names_another_job_than_the_adopted_one_is_believed() {
    let (mut pool, slot) = pool_in_doubt();
    // Another host asked for the same; its job was taken for ours.
    pool.observe([listed("2", Phase::Running, 5, "window")], at(60));
    pool.bind(slot, "3");
    assert_eq!((pool.ours(), pool.others()), (1, 1));
    pool.update("2", Phase::Completed);
    assert_eq!(pool.ours(), 1);
    pool.update("3", Phase::Completed);
    assert_eq!(pool.ours(), 0);
}

#[test]
fn a_late_refusal_gives_an_adopted_job_back_to_others() {
    let (mut pool, slot) = pool_in_doubt();
    pool.observe([listed("2", Phase::Running, 5, "window")], at(60));
    pool.release(slot);
    assert_eq!((pool.ours(), pool.others()), (0, 1));
}

#[test]
fn two_replies_that_name_one_job_hold_one_slot() {
    let mut pool = pool();
    let first = pool.reserve("a", at(0)).unwrap();
    let second = pool.reserve("b", at(0)).unwrap();
    pool.bind(first, "7");
    pool.bind(second, "7");
    assert_eq!(pool.ours(), 1);
}

#[test]
fn a_job_that_is_attached_to_counts_once_and_even_above_the_policy() {
    let mut pool = pool();
    for request in ["a", "b", "c", "d"] {
        pool.reserve(request, at(0)).unwrap();
    }
    pool.observe([foreign("5", Phase::Running)], at(0));
    assert_eq!(pool.adopt("5", Phase::Running, at(1)), pool.adopt("5", Phase::Running, at(2)));
    assert_eq!((pool.ours(), pool.others()), (5, 0));
    pool.adopt("6", Phase::Completed, at(3));
    assert_eq!(pool.ours(), 5);
}

#[test]
fn a_creation_that_no_list_can_settle_is_given_up_at_its_deadline() {
    let mut pool = pool();
    let slot = pool.reserve_unlisted(at(0)).unwrap();
    pool.mark_unknown(slot, at(30));
    // A list without it proves nothing: contacts have none.
    assert_eq!(pool.observe([], at(300)), []);
    assert_eq!(pool.pass_time(at(30 + 7_199)), []);
    assert_eq!(pool.pass_time(at(30 + 7_200)), [Settlement::Abandoned { reservation: slot }]);
    assert_eq!(pool.ours(), 0);
    // The reply comes after all.
    pool.bind(slot, "77");
    assert_eq!(pool.ours(), 1);
    assert_eq!(pool.observe([], at(20 * 86_400)), []);
    pool.settle(slot);
    assert_eq!(pool.ours(), 0);
}

#[test]
fn refusals_say_what_is_waited_for() {
    assert_eq!(
        SlotRefusal::OursFull { ours: 4 }.to_string(),
        "4 export jobs of ours outstanding; waiting for one to end"
    );
    assert_eq!(
        SlotRefusal::WaitingFull { waiting: 2, others: 3 }.to_string(),
        "2 export jobs of ours waiting behind 3 of other programs; waiting for one to start"
    );
    assert_eq!(
        SlotRefusal::PoolFull { ours: 1, others: 9 }.to_string(),
        "the export queue is full (1 export job of ours, 9 of other programs); waiting for one to end"
    );
    assert!(SlotRefusal::Unanswered.to_string().contains("may exist already"));
}

#[test]
fn times_at_the_ends_of_the_calendar_do_not_panic() {
    let mut pool = pool();
    let slot = pool.reserve("a", Timestamp::MIN).unwrap();
    pool.mark_unknown(slot, Timestamp::MAX);
    pool.observe([listed("1", Phase::Running, 0, "a")], Timestamp::MIN);
    pool.observe([], Timestamp::MAX);
    pool.pass_time(Timestamp::MIN);
}
