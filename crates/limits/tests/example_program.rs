//! The example program does what its first lines promise.

// Its `main` only prints what `describe` returns, so it isn't called here.
#[allow(dead_code)]
#[path = "../examples/split_range.rs"]
mod split_range;

#[test]
fn a_wide_delta_is_cut_into_windows_that_are_listed() {
    assert_eq!(
        split_range::describe("delta", "2026-01-01..2026-02-01").unwrap(),
        "2026-01-01..2026-02-01 has 32 days, but a delta may cover at most 14 days (14 days here, both ends counted); split the range\n\
         window 1: 2026-01-01..2026-01-14  days: 14\n\
         window 2: 2026-01-15..2026-01-28  days: 14\n\
         window 3: 2026-01-29..2026-02-01  days: 4\n"
    );
}

#[test]
fn a_legal_range_is_one_window() {
    assert_eq!(
        split_range::describe("Snapshot", "2026-03-05").unwrap(),
        "2026-03-05..2026-03-05: legal as one snapshot\nwindow 1: 2026-03-05..2026-03-05  days: 1\n"
    );
}

#[test]
fn what_cannot_be_read_is_refused_in_words() {
    assert!(
        split_range::describe("full", "2026-03-05").unwrap_err().to_string().contains("not a kind of export")
    );
    assert!(split_range::describe("delta", "2026-02-30").unwrap_err().to_string().contains("no such day"));
}

/// As a user runs it: what it prints, and how it ends.
#[test]
fn it_prints_the_windows_and_ends_badly_when_it_can_not() {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().unwrap().parent().unwrap();
    let program = folder.join("examples").join(format!("split_range{}", std::env::consts::EXE_SUFFIX));
    if !program.exists() {
        // `cargo test --test …` builds no examples.
        let build = ["build", "--offline", "--package", env!("CARGO_PKG_NAME"), "--example", "split_range"];
        assert!(std::process::Command::new(env!("CARGO")).args(build).status().unwrap().success());
    }
    let run = |range: &str| std::process::Command::new(&program).args(["delta", range]).output().unwrap();
    let good = run("2026-01-01..2026-02-01");
    assert!(good.status.success());
    assert!(String::from_utf8(good.stdout).unwrap().contains("window 3: 2026-01-29..2026-02-01  days: 4\n"));
    let bad = run("2026-02-30");
    assert_eq!((bad.status.code(), bad.stdout.is_empty()), (Some(2), true));
    assert!(String::from_utf8(bad.stderr).unwrap().starts_with("error: "));
}
