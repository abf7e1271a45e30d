//! `convert` and `schema` by the binary: what comes of good input, and what is said about bad.

mod program;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use program::{Said, backstory, files, run};

const ACTIVITIES: &str = concat!(
    r#"{"uid":"em-1","type":"email","timestamp":"2026-03-04T09:08:51","participants":[{"name":"Rin"},{"phone":"+1"}]}"#,
    "\n",
    r#"{"uid":"mt-1","type":"meeting","campaigns":[{"name":"Spring"}]}"#,
    "\n"
);
const CONTACTS: &str = "first_name,email\nRin,rin@quillmark.example\n";

/// A folder with inputs in it, which is where the binary runs.
struct Desk(tempfile::TempDir);

impl Desk {
    fn with(inputs: &[(&str, &str)]) -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        for (name, content) in inputs {
            fs::write(desk.path(name), content).unwrap();
        }
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn convert(&self, arguments: &[&str]) -> Command {
        let mut command = backstory();
        command.arg("convert").args(arguments).current_dir(self.0.path());
        command
    }

    fn run(&self, arguments: &[&str]) -> Said {
        run(&mut self.convert(arguments))
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn files(&self) -> Vec<String> {
        files(self.0.path())
    }
}

/// Runs a command with something on its standard input.
fn fed(mut command: Command, input: &[u8]) -> (i32, Vec<u8>, String) {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    process.stdin.take().unwrap().write_all(input).unwrap();
    let output = process.wait_with_output().unwrap();
    (output.status.code().unwrap(), output.stdout, String::from_utf8(output.stderr).unwrap())
}

#[test]
fn without_flags_parquet_files_land_where_the_command_runs() {
    let desk = Desk::with(&[("activities.jsonl", ACTIVITIES), ("march.csv", CONTACTS)]);
    let said = desk.run(&["activities.jsonl", "march.csv"]).ended_with(0).error_says("3 rows from");
    assert!(said.stdout.contains("activities/activities.parquet"), "{}", said.stdout);
    assert_eq!(
        desk.files(),
        ["activities.jsonl", "activities/activities.parquet", "contacts/contacts_march.parquet", "march.csv"]
    );
    // Again, into the same folder.
    desk.run(&["activities.jsonl", "march.csv", "--quiet"]).ended_with(0);
}

#[test]
fn the_summary_for_machines_tells_of_inputs_tables_and_files() {
    let desk = Desk::with(&[("a.jsonl", ACTIVITIES), ("b.csv", CONTACTS)]);
    let said = desk.run(&["a.jsonl", "b.csv", "--format", "csv", "--out", "out", "--json"]).ended_with(0);
    let report = said.json();
    assert_eq!((&report["complete"], &report["rows"]), (&true.into(), &3.into()));
    assert_eq!(
        report["tables"].to_string(),
        r#"{"activities":2,"campaigns":1,"contacts":1,"participants":2}"#
    );
    let first = &report["inputs"][0];
    assert_eq!((&first["input"], &first["resource"]), (&"a.jsonl".into(), &"activities".into()));
    assert_eq!(first["files"][1]["table"], "participants");
    assert_eq!(first["files"][0]["sha256"].as_str().unwrap().len(), 64);
    let path = Path::new(first["files"][0]["path"].as_str().unwrap());
    assert_eq!(path, Path::new("out/activities/activities_a.csv"));
}

#[test]
fn one_input_becomes_the_one_file_that_is_named() {
    let desk = Desk::with(&[("a.jsonl", ACTIVITIES)]);
    for (file, format, mark) in [("x.parquet", "parquet", "PAR1"), ("deep/x.arrow", "arrow", "ARROW1")] {
        desk.run(&["a.jsonl", "--format", format, "--out", file]).ended_with(0);
        assert!(fs::read(desk.path(file)).unwrap().starts_with(mark.as_bytes()));
    }
}

#[test]
fn standard_input_and_output_can_be_the_ends_of_a_pipe() {
    let desk = Desk::with(&[]);
    let (code, out, said) =
        fed(desk.convert(&["-", "--format", "jsonl", "--out", "-"]), ACTIVITIES.as_bytes());
    assert_eq!((code, String::from_utf8(out).unwrap()), (0, ACTIVITIES.to_owned()), "{said}");
    let (code, out, said) = fed(desk.convert(&["-", "--format", "arrow", "--out", "-"]), CONTACTS.as_bytes());
    // A stream begins with its first message, and has no footer.
    assert_eq!((code, &out[..4]), (0, &[0xff; 4][..]), "{said}");
    let contacts = ["-", "--resource", "contacts", "--format", "csv", "--out", "-"];
    let (code, out, said) = fed(desk.convert(&contacts), b"");
    assert!(code == 0 && out.starts_with(b"_key,first_name"), "{said}");
    assert_eq!(desk.files(), Vec::<String>::new());

    let (code, _, said) = fed(desk.convert(&["-", "--out", "out"]), ACTIVITIES.as_bytes());
    assert_eq!(
        (code, desk.files()),
        (0, vec!["out/activities/activities_stdin.parquet".to_owned()]),
        "{said}"
    );
}

#[test]
fn threads_and_row_groups_change_nothing_but_what_they_say() {
    let desk = Desk::with(&[("a.jsonl", &ACTIVITIES.repeat(3_000))]);
    let mut contents = Vec::new();
    for threads in ["1", "2", "5"] {
        let (out, threads) = (format!("{threads}.parquet"), ["--threads", threads]);
        desk.run(&[&["a.jsonl", "--out", &out, "--row-group-bytes", "64KiB"], &threads[..]].concat())
            .ended_with(0);
        contents.push(fs::read(desk.path(&out)).unwrap());
    }
    assert!(contents.iter().all(|content| *content == contents[0]));
    let mut sizes = Vec::new();
    for codec in ["none", "snappy", "zstd", "zstd:19"] {
        desk.run(&["a.jsonl", "--out", "x.parquet", "--compression", codec]).ended_with(0);
        sizes.push(fs::metadata(desk.path("x.parquet")).unwrap().len());
    }
    assert!(sizes[0] > sizes[1] && sizes[1] > sizes[2], "{sizes:?}");
}

#[test]
fn bad_rows_end_it_with_1_or_are_set_apart_with_5() {
    let (first, last) = ("{\"uid\":\n", "{\"uid\":\"c\"}\nnonsense\n");
    let desk = Desk::with(&[("a.jsonl", &format!("{ACTIVITIES}{first}{last}"))]);
    desk.run(&["a.jsonl"]).ended_with(1).error_says("line 3").error_says("--on-bad-row quarantine");
    assert_eq!(desk.files(), ["a.jsonl"]);

    let quarantine = ["a.jsonl", "--out", "out", "--on-bad-row", "quarantine"];
    let report =
        desk.run(&[&quarantine[..], &["--json"]].concat()).ended_with(5).error_says("set apart").json();
    assert_eq!(
        (&report["rows"], &report["bad_rows"], &report["complete"]),
        (&3.into(), &2.into(), &false.into())
    );
    let lines = desk.read("out/quarantine/quarantine_activities_a.jsonl");
    let lines: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let place = |line: &serde_json::Value| ["record", "line", "byte"].map(|key| line[key].as_u64().unwrap());
    let byte = ACTIVITIES.len() as u64;
    assert_eq!(place(&lines[0]), [3, 3, byte]);
    assert_eq!(place(&lines[1]), [5, 5, byte + (first.len() + 12) as u64]);
    assert_eq!((&lines[1]["raw"], &lines[1]["file"]), (&"nonsense".into(), &"a.jsonl".into()));
    assert!(lines[1]["reason"].as_str().unwrap().contains("JSON"));

    let most = desk.run(&[&quarantine[..], &["--max-bad-rows", "1"]].concat());
    most.ended_with(1).error_says("more than 1 rows").error_says("--max-bad-rows");
    let one_file = ["a.jsonl", "--out", "x.parquet", "--on-bad-row", "quarantine"];
    desk.run(&one_file).ended_with(5).error_says("x.quarantine.jsonl");
}

#[test]
fn bad_rows_are_counted_over_all_inputs() {
    let bad = format!("{ACTIVITIES}bad\n");
    let desk = Desk::with(&[("a.jsonl", &bad), ("b.jsonl", &bad), ("c.jsonl", &bad)]);
    let inputs = ["a.jsonl", "b.jsonl", "c.jsonl", "--out", "out", "--on-bad-row", "quarantine"];
    desk.run(&[&inputs[..], &["--max-bad-rows", "3"]].concat()).ended_with(5);
    // The third is one too many; what came before it stays.
    let said = desk.run(&[&inputs[..], &["--max-bad-rows", "2", "--json"]].concat()).ended_with(5);
    let report = said.json();
    assert_eq!(report["failures"][0]["input"], "c.jsonl");
    assert_eq!(report["inputs"].as_array().unwrap().len(), 2);
}

#[test]
fn what_fails_beside_what_lands_is_told_and_ends_it_with_5() {
    let desk = Desk::with(&[("a.jsonl", ACTIVITIES), ("page.jsonl", "<html>\n"), ("z.csv", CONTACTS)]);
    let said = desk.run(&["a.jsonl", "page.jsonl", "z.csv", "--out", "out"]).ended_with(5);
    said.error_says("page.jsonl isn't an export")
        .error_says("HTML")
        .error_says("what was converted is whole");
    assert!(desk.path("out/contacts/contacts_z.parquet").exists());
    assert!(!desk.path("out/activities/activities_page.parquet").exists());
}

#[test]
fn bad_usage_ends_with_2_and_says_what_is_wrong() {
    let desk = Desk::with(&[("a.jsonl", ACTIVITIES), ("a.csv", CONTACTS), ("b.txt", "one\n"), ("empty", "")]);
    fs::create_dir(desk.path("sub")).unwrap();
    fs::write(desk.path("sub/a.jsonl"), ACTIVITIES).unwrap();
    let before = desk.files();
    for (arguments, words) in [
        (&[][..], "required"),
        (&["a.jsonl", "--format", "xlsx"], "parquet, csv, jsonl, arrow"),
        (&["a.jsonl", "--shape", "flat"], "nested, relational"),
        (&["a.jsonl", "--compression", "gzip"], "zstd:LEVEL"),
        (&["a.jsonl", "--compression", "zstd:99"], "1 to 22"),
        (&["a.jsonl", "--format", "arrow", "--compression", "snappy"], "no snappy"),
        (&["a.jsonl", "--format", "csv", "--compression", "zstd"], "--compression is for"),
        (&["a.jsonl", "--format", "csv", "--row-group-bytes", "1MiB"], "--row-group-bytes is for"),
        (&["a.jsonl", "--row-group-bytes", "many"], "64MiB"),
        (&["a.jsonl", "--threads", "0"], "1..=256"),
        (&["a.jsonl", "--format", "csv", "--shape", "nested"], "CSV can't hold nested rows"),
        (&["a.jsonl", "--format", "jsonl", "--shape", "relational"], "as they were delivered"),
        (&["a.jsonl", "sub/a.jsonl"], "would both become"),
        (&["a.jsonl", "a.csv", "--out", "x.parquet"], "more than the one file"),
        (&["a.jsonl", "--format", "csv", "--out", "x.csv"], "3 tables"),
        (&["a.jsonl", "--format", "csv", "--out", "-"], "3 tables"),
        (&["a.jsonl", "a.csv", "--out", "-"], "one stream"),
        (&["a.jsonl", "--out", "-", "--json"], "both want standard output"),
        (&["a.jsonl", "--format", "jsonl", "--out", "a.jsonl"], "would be replaced"),
        (&["-", "-"], "once only"),
        (&["b.txt"], "--resource"),
        (&["empty"], "--resource"),
    ] {
        desk.run(arguments).ended_with(2).error_says(words);
        assert_eq!(desk.files(), before, "{arguments:?}");
    }
}

#[test]
fn what_can_not_be_read_or_written_ends_with_1_and_is_named() {
    let desk = Desk::with(&[("a.jsonl", ACTIVITIES), ("cut.jsonl", &ACTIVITIES[..ACTIVITIES.len() - 7])]);
    fs::create_dir(desk.path("folder")).unwrap();
    let before = desk.files();
    for (arguments, words) in [
        (&["missing.jsonl"][..], "can't read missing.jsonl"),
        (&["folder"], "folder is a folder"),
        (&["cut.jsonl", "--on-bad-row", "quarantine"], "download it again"),
        (&["a.jsonl", "--out", "a.jsonl/below"], "can't write a.jsonl/below/activities/activities_a.parquet"),
    ] {
        desk.run(arguments).ended_with(1).error_says(words).error_says("what to do");
        assert_eq!(desk.files(), before, "{arguments:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_device_is_written_to_and_a_full_one_is_told() {
    let desk = Desk::with(&[("a.jsonl", ACTIVITIES)]);
    desk.run(&["a.jsonl", "--out", "/dev/null"]).ended_with(0);
    for format in ["parquet", "jsonl", "arrow"] {
        let said = desk.run(&["a.jsonl", "--format", format, "--out", "/dev/full"]).ended_with(1);
        said.error_says("No space left").error_says("make room");
    }
    assert_eq!(desk.files(), ["a.jsonl"]);
}

#[test]
fn a_name_with_an_ending_tells_the_form() {
    let desk = Desk::with(&[("a.jsonl", ACTIVITIES)]);
    desk.run(&["a.jsonl", "--out", "b.jsonl"]).ended_with(0);
    assert!(std::fs::read(desk.path("b.jsonl")).unwrap().starts_with(b"{"));
    desk.run(&["a.jsonl", "--shape", "nested", "--out", "c.arrow"]).ended_with(0);
    assert!(std::fs::read(desk.path("c.arrow")).unwrap().starts_with(b"ARROW1"));
    desk.run(&["a.jsonl", "--format", "parquet", "--out", "d.jsonl"]).ended_with(0);
    assert!(std::fs::read(desk.path("d.jsonl")).unwrap().starts_with(b"PAR1"), "what is said counts more");
}

#[cfg(unix)]
#[test]
fn a_reader_that_goes_away_early_is_no_failure() {
    let desk = Desk::with(&[("a.jsonl", &ACTIVITIES.repeat(20_000))]);
    let mut process =
        desk.convert(&["a.jsonl", "--format", "jsonl", "--out", "-"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(process.stdout.take());
    assert_eq!(process.wait().unwrap().code(), Some(0));
}

#[cfg(unix)]
#[test]
fn an_interrupted_conversion_leaves_nothing_behind() {
    for signal in ["-INT", "-TERM"] {
        let desk = Desk::with(&[]);
        let mut process = desk
            .convert(&["-", "--resource", "activities", "--out", "out"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It waits for more, and has begun a file meanwhile.
        let mut stdin = process.stdin.take().unwrap();
        stdin.write_all(ACTIVITIES.repeat(1_000).as_bytes()).unwrap();
        while !desk.files().iter().any(|name| name.ends_with(".partial")) {
            assert!(process.try_wait().unwrap().is_none(), "it ended by itself");
            std::thread::yield_now();
        }
        assert!(Command::new("kill").args([signal, &process.id().to_string()]).status().unwrap().success());
        let output = process.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(desk.files(), Vec::<String>::new(), "{signal}");
        drop(stdin);
    }
}

#[test]
fn the_schema_tells_of_every_column_where_it_comes_from() {
    let said = run(backstory().args(["schema"])).ended_with(0);
    for words in
        ["activities\n", "contacts\n", "BYTE_ARRAY (STRING) not null", "participants.name", "contract (e."]
    {
        assert!(said.stdout.contains(words), "`{words}` is not in {}", said.stdout);
    }
    let said = run(backstory().args(["schema", "--format", "arrow", "--shape", "relational"])).ended_with(0);
    assert!(said.stdout.contains("Timestamp(us, UTC)") && said.stdout.contains("stats_total_participants"));
    let sql =
        run(backstory().args(["schema", "--format", "sql", "--resource", "activities"])).ended_with(0).stdout;
    assert_eq!(sql.matches("CREATE TABLE").count(), 3);
    assert!(sql.contains("    \"_key\" VARCHAR NOT NULL, -- ") && sql.contains("TIMESTAMP WITH TIME ZONE"));
    for arguments in [&["schema", "--format", "json"][..], &["schema", "--json"]] {
        let tables = run(backstory().args(arguments)).ended_with(0).json();
        let tables = tables["tables"].as_array().unwrap().clone();
        assert_eq!(tables.len(), 6);
        for column in tables.iter().flat_map(|table| table["columns"].as_array().unwrap()) {
            for key in ["name", "type", "parquet", "arrow", "sql", "docs", "source"] {
                assert!(!column[key].as_str().unwrap().is_empty(), "{key} of {column}");
            }
        }
    }
    run(backstory().args(["schema", "--format", "sql", "--shape", "nested"])).ended_with(2);
}
