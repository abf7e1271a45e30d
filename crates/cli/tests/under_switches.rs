//! `backstory export` under every setting of every unknown of the contract, section (j): the whole file, or an error and
//! an exit code that tell the truth. Each test is named after its row.

mod program;
mod simulated;

use std::time::Duration;

use backstory_sim::{JobEnd, Key, KeyType, Resource, Switch};
use program::run;
use simulated::{CONTACTS, DELTA, KEY, SNAPSHOT, Service, Wanted, rows, small};

const EVERYTHING: [Wanted; 3] = [SNAPSHOT, DELTA, CONTACTS];

/// Each position of a row, written as on the command line.
fn positions(row: &str) -> Vec<Switch> {
    let row = Switch::list().iter().find(|known| known.row == row).expect("a row of the table");
    let text = |value: &str| format!("{}={}", row.row, value.replace("SECONDS", "1"));
    row.values.iter().map(|(value, _)| Switch::parse(&text(value)).unwrap()).collect()
}

/// Exports of everything are whole in every position of a row.
fn is_whole_in_every_position(row: &str) {
    for switch in positions(row) {
        // Several fragments, so that rows about them have something to say.
        let service = Service::start(small().switch(switch).records_per_fragment(20));
        for wanted in EVERYTHING {
            let rows = service.export_is_whole(wanted, &switch.to_string());
            assert!(rows > 10, "{switch}, {wanted:?}: {rows} rows prove little");
        }
    }
}

/// A test for each row: by default that exports are whole in every position; else what is written.
macro_rules! rows {
    ($($row:literal $name:ident $($body:block)?)*) => {
        /// The rows that have a test.
        const ROWS: &[&str] = &[$($row),*];
        $(
            #[test]
            fn $name() {
                rows!(@test $row $($body)?);
            }
        )*
    };
    (@test $row:literal) => { is_whole_in_every_position($row) };
    (@test $row:literal $body:block) => { $body };
}

rows! {
    "a3" a3_a_second_token_is_new_or_the_same
    "j1" j1_a_full_queue_is_told_as_a_use_limit_and_waited_for { a_full_queue() }
    "j2" j2_whoever_shares_the_pool
    "j3" j3_however_days_are_counted { the_longest_legal_ranges() }
    "j4" j4_contacts_have_a_year_or_14_days { contacts_of_a_month() }
    "j6" j6_contacts_jobs_are_listed_or_not
    "j7" j7_whatever_the_list_looks_like
    "j9" j9_early_data_is_never_asked_for { slow_jobs() }
    "j11" j11_an_old_file_is_told_as_expired { an_old_file() }
    "j13" j13_wherever_fragments_begin
    "j14" j14_a_small_file_has_1_or_0_or_no_fragments
    "j15" j15_the_header_is_in_each_fragment_or_in_the_first
    "j16" j16_whatever_unit_the_size_has
    "j17" j17_an_empty_result_is_200_or_204 { nothing_there() }
    "j18" j18_gzip_is_decoded
    "j19" j19_a_range_is_ignored_or_honoured
    "j20" j20_the_length_is_stated_or_not
    "j21" j21_a_missing_last_chunk_is_no_whole_file { a_missing_last_chunk() }
    "j22" j22_a_redirect_is_followed_without_the_token
    "j23" j23_whatever_contains_the_records_of_json
    "j24" j24_whatever_the_order_and_repeats
    "j26" j26_a_future_end_is_allowed_or_refused { a_future_end() }
    "j29" j29_a_key_of_another_type_is_an_authentication_error { a_key_of_another_type() }
    "j30" j30_a_paused_key_ends_in_an_authentication_error { a_paused_key() }
    "j31" j31_a_refused_token_call_ends_in_an_authentication_error { a_wrong_secret() }
    "j32" j32_the_other_endpoints_token
    "j33" j33_a_new_job_is_visible_hidden_or_stateless
    "j35" j35_a_stuck_job_is_given_up_at_the_deadline { stuck_jobs() }
    "j36" j36_job_ids_are_strings_or_numbers
    "j38" j38_whatever_the_dialect_of_csv
    "j41" j41_whichever_ingest_timestamp
    "j42" j42_whichever_state_a_delta_shows
    "j43" j43_once_or_once_per_processing
    "j44" j44_under_every_day_or_the_latest
}

#[test]
fn no_row_is_left_out() {
    let rows: Vec<&str> = Switch::list().iter().map(|row| row.row).collect();
    assert_eq!(rows, ROWS);
}

/// Other programs fill the queue with jobs that no list shows.
fn a_full_queue() {
    for switch in positions("j1") {
        let service = Service::start(small().switch(switch).job_time(Duration::from_secs(3_600)));
        let body = r#"{"start_date":"2026-06-01","end_date":"2026-06-02"}"#;
        for _ in 0..12 {
            service.sim.jobs().create("warehouse", Resource::Contacts, body).unwrap();
        }
        let said = service.export_fails(DELTA, &["--deadline", "300ms"], &switch.to_string());
        said.ended_with(4).error_says("queue");
    }
}

/// 14 days of a delta, and a year of a snapshot that begins in a leap year.
fn the_longest_legal_ranges() {
    for switch in positions("j3") {
        let service = Service::start(small().activities(600).switch(switch));
        let year = Wanted { from: "2025-06-18", to: "2026-06-17", ..SNAPSHOT };
        for wanted in [DELTA, year] {
            service.export_is_whole(wanted, &switch.to_string());
        }
    }
}

fn contacts_of_a_month() {
    let month = Wanted { from: "2026-05-18", ..CONTACTS };
    for switch in positions("j4") {
        let service = Service::start(small().switch(switch));
        service.export_is_whole(CONTACTS, &switch.to_string());
        if switch.to_string() == "j4=year" {
            service.export_is_whole(month, &switch.to_string());
        } else {
            service.export_fails(month, &[], &switch.to_string()).error_says("14 days");
        }
    }
}

fn slow_jobs() {
    for switch in positions("j9") {
        let service = Service::start(small().switch(switch).job_time(Duration::from_millis(30)));
        // An early download would be a finding.
        service.export_is_whole(DELTA, &switch.to_string());
    }
}

fn an_old_file() {
    for switch in positions("j11") {
        let service = Service::start(small().switch(switch));
        let body = r#"{"start_date":"2026-06-04","end_date":"2026-06-17","export_type":"delta"}"#;
        let job = service.sim.jobs().create("warehouse", Resource::Activities, body).unwrap();
        service.sim.clock().advance(jiff::SignedDuration::from_hours(11 * 24));
        let folder = tempfile::tempdir().unwrap();
        let mut download = service.client();
        download.args(["jobs", "download", &job.id.to_string(), "--out"]).arg(folder.path().join("file"));
        run(&mut download).ended_with(1).error_says("10 days");
    }
}

fn nothing_there() {
    for switch in positions("j17") {
        let service = Service::start(small().activities(0).contacts(0).switch(switch));
        for wanted in EVERYTHING {
            assert_eq!(service.export_is_whole(wanted, &switch.to_string()), 0);
        }
    }
}

/// A file whose end can't be proven is refused, and nothing of it lands.
fn a_missing_last_chunk() {
    for switch in positions("j21") {
        let service = Service::start(small().switch(switch));
        if switch.to_string() == "j21=sent" {
            service.export_is_whole(DELTA, "j21=sent");
        } else {
            service.export_fails(DELTA, &[], "j21=missing").ended_with(1).error_says("didn't arrive whole");
        }
    }
}

fn a_future_end() {
    let booked = Wanted { from: "2026-06-04", to: "2026-07-31", ..SNAPSHOT };
    for switch in positions("j26") {
        let service = Service::start(small().switch(switch));
        if switch.to_string() == "j26=allowed" {
            service.export_is_whole(booked, "j26=allowed");
        } else {
            service.export_fails(booked, &[], "j26=future-400").ended_with(1).error_says("in the future");
        }
    }
}

fn a_key_of_another_type() {
    for switch in positions("j29") {
        let wrong = Key::new(KeyType::Object, KEY, "sim-secret");
        let service = Service::start(small().switch(switch).key(wrong));
        let said = service.export_fails(DELTA, &[], &switch.to_string());
        // A 404 may have other reasons as well, so there the hint is all that can be said.
        let code = if switch.to_string() == "j29=404" { 1 } else { 3 };
        said.ended_with(code).error_says("Activity");
    }
}

fn a_paused_key() {
    for switch in positions("j30") {
        let service = Service::start(small().switch(switch));
        service.sim.keys().pause(KEY);
        service.export_fails(DELTA, &[], &switch.to_string()).ended_with(3).error_says("paused");
        service.sim.keys().unpause(KEY);
        service.export_is_whole(DELTA, &switch.to_string());
    }
}

fn a_wrong_secret() {
    for switch in positions("j31") {
        let right = Key::new(KeyType::Any, KEY, "another-secret");
        let service = Service::start(small().switch(switch).key(right));
        service.export_fails(DELTA, &[], &switch.to_string()).ended_with(3).error_says("secret");
    }
}

fn stuck_jobs() {
    for switch in positions("j35") {
        let service = Service::start(small().switch(switch));
        if switch.to_string() == "j35=never" {
            service.export_is_whole(DELTA, "j35=never");
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        let export = || run(service.export(DELTA, folder.path()).args(["--deadline", "200ms"]));
        let said = export().ended_with(5);
        assert_eq!(rows(folder.path()).len(), 0, "{switch}: nothing has landed");
        let job = service.sim.jobs().list()[0].id;
        said.error_says(&job.to_string());
        // The job goes on at the service; once it ends, the same command takes it over.
        assert!(service.sim.jobs().end(job, JobEnd::Completed));
        export().ended_with(0);
        assert_eq!(service.sim.jobs().list().len(), 1, "{switch}: no second job");
        assert_eq!(rows(folder.path()).len(), service.due(DELTA).len());
    }
}
