//! `backstory export` under faults: the exit code tells the truth about what landed, and the words about why. That every
//! effect by itself is survived, or ends in an error of the right kind, is tested without a process around it, where
//! pauses cost no time.

mod program;
mod simulated;

use backstory_sim::Faults;
use simulated::{CONTACTS, DELTA, Service, Wanted, small};

/// A service under one rule.
fn under(rule: &str) -> Service {
    let plan = format!("[[rule]]\n{rule}");
    Service::start(small().faults(Faults::from_toml(&plan).unwrap()))
}

/// The export ends with this code and these words, and nothing has landed.
#[track_caller]
fn ends_with(wanted: Wanted, rule: &str, code: i32, words: &str) {
    let service = under(rule);
    let said = service.export_fails(wanted, &["--deadline", "300ms"], rule);
    assert!(!service.sim.fault_log().is_empty(), "{rule}: it never fired");
    assert!(said.stderr.contains(words), "{rule}: `{words}` is not in: {}", said.stderr);
    assert_eq!(said.code, code, "{rule}: {}", said.stderr);
}

#[test]
fn a_job_that_fails_or_is_cancelled_ends_with_1_and_its_state() {
    ends_with(DELTA, "effect = \"job-fails\"", 1, "has failed");
    ends_with(CONTACTS, "effect = \"job-cancelled\"", 1, "cancel");
}

#[test]
fn a_job_that_hangs_ends_with_5_at_the_deadline() {
    ends_with(DELTA, "effect = \"job-hangs\"", 5, "has not ended");
    ends_with(CONTACTS, "effect = \"job-hangs\"", 5, "has not ended");
}

#[test]
fn a_token_that_is_never_taken_ends_with_3() {
    for status in [401, 403] {
        let rule = format!("effect = \"status\"\nroute = \"create\"\nstatus = {status}");
        ends_with(DELTA, &rule, 3, "key");
    }
}

#[test]
fn an_expired_file_a_missing_one_and_a_torn_one_end_with_1() {
    ends_with(DELTA, "effect = \"status\"\nstatus = 404\nroute = \"data\"", 1, "404");
    ends_with(DELTA, "effect = \"torn\"\nat_byte = 1500", 1, "isn't whole");
    ends_with(CONTACTS, "effect = \"torn\"\nat_byte = 1500", 1, "isn't whole");
}

#[test]
fn another_job_than_was_asked_for_ends_with_1() {
    ends_with(DELTA, "effect = \"wrong-echo\"", 1, "2001-01-01");
}

#[test]
fn a_lost_reply_to_a_create_of_contacts_ends_with_1_and_says_that_the_outcome_is_unknown() {
    ends_with(CONTACTS, "effect = \"reset-after\"\nroute = \"create\"", 1, "the reply was lost");
}

#[test]
fn what_is_survived_ends_with_0() {
    for rule in [
        "effect = \"status\"\nroute = \"token\"\nstatus = 408\nnth = 1",
        "effect = \"status\"\nroute = \"status\"\nstatus = 503\nbody = \"html\"\nnth = 1",
        "effect = \"reset-after\"\nroute = \"create\"\nnth = 1",
        "effect = \"cut\"\nnth = 1",
        "effect = \"no-last-chunk\"\nnth = 1",
        "effect = \"long\"",
        "effect = \"redirect\"",
        "effect = \"gzip-unlabelled\"",
        "effect = \"duplicates\"",
    ] {
        let service = under(rule);
        service.export_is_whole(DELTA, rule);
        assert!(!service.sim.fault_log().is_empty(), "{rule}: it never fired");
        assert_eq!(service.sim.jobs().list().len(), 1, "{rule}: jobs");
    }
}
