//! What a lake does with deliveries: files, records, current rows, compaction.

mod deliver;

use backstory_destination::{Destination, ErrorKind};
use backstory_lake::Lake;
use backstory_tables::{OutputFormat, Resource};
use deliver::{activity, at, contacts, data_files, delta, digest, folder, load};
use jiff::civil::date;

fn names(folder: &std::path::Path) -> Vec<String> {
    let files = data_files(folder);
    files.iter().map(|path| path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned()).collect()
}

#[test]
fn a_delivery_is_a_file_that_describes_itself() {
    let folder = folder();
    let lake = Lake::open_or_create(folder.path()).unwrap();
    let lines = activity("a", 1, "one") + &activity("b", 2, "two");
    let committed = load(&lake, &delta("17", 6), &[&lines]).unwrap();
    assert!(!committed.repeated);
    assert_eq!(names(folder.path()), ["activities/delta/2026-11-01_2026-11-14.job-17.0.parquet"]);

    // Another process knows what this one knows.
    let again = Lake::open(folder.path()).unwrap();
    assert_eq!(again.id(), lake.id());
    let records = again.deliveries().unwrap();
    assert_eq!(records, [committed.record]);
    assert_eq!((records[0].rows(), records[0].bytes()), (2, lines.len() as u64));
    assert_eq!(records[0].parts[0].lines, 2);
    assert_eq!(again.verify().unwrap(), []);
}

#[test]
fn a_repetition_changes_nothing() {
    let folder = folder();
    let lake = Lake::open_or_create(folder.path()).unwrap();
    let lines = activity("a", 1, "one");
    load(&lake, &delta("17", 6), &[&lines]).unwrap();
    let before = digest(&lake);
    let committed = load(&lake, &delta("17", 6), &[&lines]).unwrap();
    assert!(committed.repeated);
    assert_eq!((digest(&lake), lake.deliveries().unwrap().len()), (before, 1));
}

#[test]
fn the_greatest_version_of_a_key_is_current_in_whatever_order_it_came() {
    let folder = folder();
    let lake = Lake::open_or_create(folder.path()).unwrap();
    load(&lake, &delta("2", 9), &[&(activity("a", 5, "newer") + &activity("b", 1, "b"))]).unwrap();
    load(&lake, &delta("1", 6), &[&(activity("a", 3, "older") + &activity("c", 1, "c"))]).unwrap();
    let tables = lake.tables().unwrap();
    assert_eq!(tables["activities"], 3);
    assert_eq!((tables["participants"], tables["campaigns"], tables["contacts"]), (6, 3, 0));
    let history = lake.history("a").unwrap();
    let subjects: Vec<_> = history.iter().map(|entry| entry.record["subject"].as_str().unwrap()).collect();
    assert_eq!(subjects, ["older", "newer"]);
    assert_eq!(history.iter().map(|entry| entry.current).collect::<Vec<_>>(), [false, true]);
    assert_eq!((history[0].job_id.as_deref(), history[0].line), (Some("1"), 1));
    assert_eq!(history[0].window.unwrap().to, date(2026, 11, 14));
    assert_eq!(lake.history("nobody").unwrap(), []);
}

#[test]
fn a_digest_can_be_of_what_was_processed_up_to_a_day() {
    let folder = folder();
    let lake = Lake::open_or_create(folder.path()).unwrap();
    let lines = activity("a", 1439, "on the 10th") + &activity("b", 1440, "on the 11th");
    load(&lake, &delta("1", 6), &[&lines]).unwrap();
    let through = |day| lake.digest(Resource::Activities, Some(date(2026, 11, day))).unwrap().count;
    assert_eq!((through(9), through(10), through(11)), (0, 1, 2));
}

#[test]
fn a_delivery_counts_once_all_its_fragments_are_there() {
    let folder = folder();
    let lake = Lake::open_or_create(folder.path()).unwrap();
    let (one, two) = (activity("a", 1, "one"), activity("b", 2, "two"));
    load(&lake, &delta("17", 6), &[&one, &two]).unwrap();
    assert_eq!(digest(&lake).0, 2);
    std::fs::remove_file(&data_files(folder.path())[1]).unwrap();
    assert_eq!(lake.deliveries().unwrap(), []);
    assert_eq!(digest(&lake).0, 0);
    let findings = lake.verify().unwrap();
    assert!(findings[0].problem.contains("1 of 2 fragments"), "{findings:?}");
    load(&lake, &delta("17", 6), &[&(one + &two)]).unwrap();
    assert_eq!(digest(&lake).0, 2);
    assert_eq!(lake.verify().unwrap(), []);
}

#[test]
fn a_compacted_lake_holds_the_same_and_goes_on() {
    let folder = folder();
    let lake = Lake::open_or_create(folder.path()).unwrap();
    let now = at("2026-11-16T00:00:00Z");
    let many: String = (0..500).map(|number| activity(&format!("u{number}"), 1, "first")).collect();
    load(&lake, &delta("1", 1), &[&many]).unwrap();
    load(&lake, &delta("2", 2), &[&activity("u7", 9, "changed")]).unwrap();
    let before = (digest(&lake), lake.tables().unwrap(), lake.deliveries().unwrap());
    let compacted = lake.compact(now).unwrap();
    assert_eq!((compacted.rows, compacted.superseded_versions, compacted.deliveries), (500, 1, 2));
    assert_eq!((digest(&lake), lake.tables().unwrap(), lake.deliveries().unwrap()), before);
    assert!(!lake.compact(now).unwrap().is_new);

    // Newer rows, older rows, and new ones lie over the base.
    load(&lake, &delta("4", 4), &[&(activity("u8", 20, "changed") + &activity("new", 1, "new"))]).unwrap();
    load(&lake, &delta("3", 3), &[&activity("u9", 0, "older than what there is")]).unwrap();
    assert_eq!(digest(&lake).0, 501);
    let current = lake.history("u9").unwrap();
    assert_eq!(current.len(), 2);
    assert_eq!(current[1].record["subject"], "first");
    let before = (digest(&lake), lake.tables().unwrap());
    assert_eq!(before.1["participants"], 1002);
    lake.compact(now).unwrap();
    assert_eq!((digest(&lake), lake.tables().unwrap()), before);
    assert_eq!(lake.verify().unwrap(), []);

    // Readers of the first state have a day; then only the base is left.
    lake.settle(at("2026-11-16T23:59:59Z")).unwrap();
    assert!(names(folder.path()).len() > 2);
    assert_eq!(lake.thinned().unwrap(), []);
    lake.settle(at("2026-11-17T00:00:00Z")).unwrap();
    assert_eq!(names(folder.path()), ["activities/base/000002/0000-of-0001.parquet"]);
    assert_eq!((digest(&lake), lake.tables().unwrap()), before);
    assert_eq!(Lake::open(folder.path()).unwrap().deliveries().unwrap().len(), 4);
    assert_eq!(lake.history("u8").unwrap().len(), 1);
    assert_eq!(lake.thinned().unwrap().len(), 4, "of these, only current rows are left");
}

#[test]
fn a_copy_of_a_file_counts_for_nothing_and_is_named() {
    let folder = folder();
    let lake = Lake::open_or_create(folder.path()).unwrap();
    load(&lake, &delta("17", 6), &[&activity("a", 1, "one")]).unwrap();
    let before = (digest(&lake), lake.tables().unwrap());
    let file = data_files(folder.path()).remove(0);
    let copy = file.with_file_name("copy.parquet");
    std::fs::copy(&file, &copy).unwrap();
    assert_eq!((digest(&lake), lake.tables().unwrap()), before);
    let findings = lake.verify().unwrap();
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(findings[0].problem.ends_with("move it out"), "{findings:?}");
    assert!([&file, &copy].contains(&&findings[0].what));
}

#[test]
fn a_delivery_that_is_loaded_again_after_a_compaction_is_a_repetition() {
    let folder = folder();
    let lake = Lake::open_or_create(folder.path()).unwrap();
    let now = at("2026-11-16T00:00:00Z");
    load(&lake, &delta("1", 1), &[&activity("a", 1, "one")]).unwrap();
    lake.compact(now).unwrap();
    assert!(load(&lake, &delta("1", 1), &[&activity("a", 1, "one")]).unwrap().repeated);
    assert_eq!((digest(&lake).0, lake.deliveries().unwrap().len()), (1, 1));
    assert_eq!(lake.verify().unwrap(), []);
}

#[test]
fn a_rebuild_takes_the_rows_of_the_loaded_jobs_and_of_no_others_anew() {
    let folder = folder();
    let lake = Lake::open_or_create(folder.path()).unwrap();
    let now = at("2026-11-16T00:00:00Z");
    load(&lake, &delta("1", 1), &[&(activity("a", 1, "a") + &activity("b", 1, "b"))]).unwrap();
    load(&lake, &delta("2", 2), &[&activity("c", 1, "c")]).unwrap();
    lake.compact(now).unwrap();
    lake.settle(at("2026-11-18T00:00:00Z")).unwrap();
    // As if a later version of this program read the same bytes in another way.
    load(&lake, &delta("1", 1), &[&(activity("a", 1, "a") + &activity("b", 1, "better"))]).unwrap();
    lake.rebuilt(&["1".to_owned()], now).unwrap();
    assert_eq!(lake.history("b").unwrap().last().unwrap().record["subject"], "better");
    assert_eq!((digest(&lake).0, lake.deliveries().unwrap().len()), (3, 2));
    assert_eq!(lake.verify().unwrap(), []);
}

#[test]
fn current_contacts_are_those_of_the_last_complete_refresh() {
    let folder = folder();
    let lake = Lake::open_or_create(folder.path()).unwrap();
    let (first, second) = ("2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z");
    let csv = |emails: &[&str]| format!("email\n{}\n", emails.join("\n"));
    load(&lake, &contacts("1", first, (1, 14), (1, 20)), &[&csv(&["a@x", "b@x"])]).unwrap();
    assert_eq!(lake.tables().unwrap()["contacts"], 0);
    load(&lake, &contacts("2", first, (15, 20), (1, 20)), &[&csv(&["b@x", "c@x"])]).unwrap();
    assert_eq!(lake.tables().unwrap()["contacts"], 3);
    // One who is gone stays current until the next refresh is complete.
    load(&lake, &contacts("3", second, (1, 14), (1, 20)), &[&csv(&["a@x"])]).unwrap();
    assert_eq!(lake.tables().unwrap()["contacts"], 3);
    load(&lake, &contacts("4", second, (15, 20), (1, 20)), &[&csv(&["c@x"])]).unwrap();
    assert_eq!(lake.tables().unwrap()["contacts"], 2);
    assert_eq!(lake.digest(Resource::Contacts, None).unwrap().count, 2);
    assert_eq!(lake.verify().unwrap(), []);
}

#[test]
fn the_current_state_is_exported_as_plain_files() {
    let folder = folder();
    let lake = Lake::open_or_create(folder.path().join("lake")).unwrap();
    load(&lake, &delta("1", 1), &[&(activity("a", 1, "old") + &activity("b", 1, "b"))]).unwrap();
    load(&lake, &delta("2", 2), &[&activity("a", 2, "new")]).unwrap();
    let set = "2026-11-20T00:00:00Z";
    load(&lake, &contacts("3", set, (1, 20), (1, 20)), &["email\na@x\n"]).unwrap();
    let out = folder.path().join("out");
    for format in OutputFormat::ALL {
        let exported = lake.export_current(*format, &out).unwrap();
        assert_eq!((exported.activities, exported.contacts), (2, 1));
        assert!(exported.files.iter().all(|file| file.is_file()), "{exported:?}");
    }
    let lines = std::fs::read_to_string(out.join("activities.jsonl")).unwrap();
    assert_eq!(lines.lines().count(), 2);
    assert!(lines.contains(r#""subject":"new""#) && !lines.contains("old"));
    let participants = std::fs::read_to_string(out.join("participants.csv")).unwrap();
    assert_eq!(participants.lines().count(), 5);
    assert_eq!(std::fs::read_to_string(out.join("contacts.jsonl")).unwrap(), "{\"email\":\"a@x\"}\n");
}

#[test]
fn a_folder_without_a_lake_is_told_apart_from_one_with() {
    let folder = folder();
    assert_eq!(Lake::open(folder.path()).unwrap_err().kind(), ErrorKind::Usage);
    assert_eq!(Lake::open(folder.path().join("nowhere")).unwrap_err().kind(), ErrorKind::Usage);
    std::fs::create_dir(folder.path().join("contacts")).unwrap();
    std::fs::write(folder.path().join("contacts/mine.parquet"), "not yours").unwrap();
    let error = Lake::open_or_create(folder.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert!(error.to_string().contains("mine.parquet"), "{error}");
}

#[test]
fn files_of_strangers_are_left_aside_and_those_of_another_lake_refused() {
    let folder = folder();
    let lake = Lake::open_or_create(folder.path()).unwrap();
    load(&lake, &delta("1", 1), &[&activity("a", 1, "one")]).unwrap();
    std::fs::write(folder.path().join("activities/notes.txt"), "hello").unwrap();
    std::fs::write(folder.path().join("activities/zero.parquet"), "").unwrap();
    assert_eq!(digest(&lake).0, 1);
    let findings = lake.verify().unwrap();
    assert_eq!(findings.len(), 1);
    assert!(findings[0].what.ends_with("zero.parquet"), "{findings:?}");

    let elsewhere = tempfile::tempdir().unwrap();
    let other = Lake::open_or_create(elsewhere.path()).unwrap();
    load(&other, &delta("9", 1), &[&activity("z", 1, "one")]).unwrap();
    let file = data_files(elsewhere.path()).remove(0);
    std::fs::copy(&file, folder.path().join("activities/delta").join(file.file_name().unwrap())).unwrap();
    let error = lake.deliveries().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
    assert!(error.to_string().contains("belongs to another lake"), "{error}");
}

#[test]
fn a_lake_that_lost_its_own_folder_is_still_the_same() {
    let folder = folder();
    let lake = Lake::open_or_create(folder.path()).unwrap();
    load(&lake, &delta("1", 1), &[&activity("a", 1, "one")]).unwrap();
    std::fs::remove_dir_all(folder.path().join("_backstory")).unwrap();
    assert_eq!(Lake::open(folder.path()).unwrap().id(), lake.id());
    assert_eq!(Lake::open_or_create(folder.path()).unwrap().id(), lake.id());
    assert!(folder.path().join("_backstory/lake.json").is_file());
}

#[test]
fn a_bit_that_has_changed_is_found_and_named() {
    let folder = folder();
    let lake = Lake::open_or_create(folder.path()).unwrap();
    load(&lake, &delta("1", 1), &[&activity("a", 1, "one")]).unwrap();
    let file = data_files(folder.path()).remove(0);
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let findings = lake.verify().unwrap();
    assert_eq!((findings.len(), findings[0].job_id.as_deref()), (1, Some("1")));
    assert!(findings[0].problem.contains("checksum"), "{findings:?}");
}

#[test]
fn statistics_that_are_not_those_of_the_rows_are_found() {
    let folder = folder();
    let lake = Lake::open_or_create(folder.path()).unwrap();
    load(&lake, &delta("1", 1), &[&(activity("a", 1, "one") + &activity("b", 7, "two"))]).unwrap();
    load(&lake, &delta("2", 1), &["{\"uid\":\"c\"}\n"]).unwrap();
    lake.compact(at("2026-11-16T00:00:00Z")).unwrap();
    load(&lake, &delta("3", 1), &[""]).unwrap();
    assert_eq!(lake.verify().unwrap(), []);
    lake.settle(at("2026-11-18T00:00:00Z")).unwrap();
    let file = data_files(folder.path()).remove(0);
    let bytes = std::fs::read(&file).unwrap();
    let length = u32::from_le_bytes(bytes[bytes.len() - 8..bytes.len() - 4].try_into().unwrap());
    let footer = bytes.len() - 8 - length as usize;
    let (least, greatest) = (at("2026-11-10T00:01:00Z"), at("2026-11-10T00:07:00Z"));
    for told in [least, greatest] {
        let told = told.as_microsecond().to_le_bytes();
        let mut bytes = bytes.clone();
        let found: Vec<_> = (footer..bytes.len() - 8).filter(|&at| bytes[at..at + 8] == told).collect();
        assert!(!found.is_empty());
        found.iter().for_each(|at| bytes[at + 5] ^= 4);
        std::fs::write(&file, bytes).unwrap();
        let findings = Lake::open(folder.path()).unwrap().verify().unwrap();
        assert_eq!((findings.len(), &findings[0].what), (1, &file), "{findings:?}");
        assert!(findings[0].problem.contains("another range of `ingest_timestamp`"), "{findings:?}");
    }
}

#[test]
fn every_file_that_cannot_be_read_is_named() {
    let folder = folder();
    let lake = Lake::open_or_create(folder.path()).unwrap();
    for id in ["1", "2", "3"] {
        load(&lake, &delta(id, 1), &[&activity(id, 1, "one")]).unwrap();
    }
    let files = data_files(folder.path());
    for file in &files[..2] {
        let mut bytes = std::fs::read(file).unwrap();
        bytes[4..2_000].fill(0);
        std::fs::write(file, bytes).unwrap();
    }
    let named: Vec<_> = lake.verify().unwrap().into_iter().map(|finding| finding.what).collect();
    assert_eq!(named, files[..2]);
    assert_eq!(lake.digest(Resource::Activities, None).unwrap_err().kind(), ErrorKind::Damaged);
}

/// Changes one bit of a data file in such a way that its rows can still be read, and aren't the same.
fn damage_unseen(lake: &Lake, file: &std::path::Path) {
    let (whole, before) = (std::fs::read(file).unwrap(), digest(lake));
    for at in 4..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        std::fs::write(file, bytes).unwrap();
        let rows = lake.digest(Resource::Activities, None);
        if rows.is_ok_and(|rows| rows.count == before.0 && rows.content_hash != before.1) {
            return;
        }
    }
    panic!("no bit of {} can change unseen", file.display());
}

#[test]
fn a_compaction_takes_nothing_from_a_file_that_has_changed_since_it_was_written() {
    let now = at("2026-11-16T00:00:00Z");
    let refused = |lake: &Lake, file: &std::path::Path| {
        let (files, records) = (data_files(lake.folder()), lake.deliveries().unwrap());
        let error = lake.compact(now).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged);
        assert!(error.to_string().contains(file.file_name().unwrap().to_str().unwrap()), "{error}");
        assert!(error.to_string().contains("checksum"), "{error}");
        assert!(error.hint().unwrap().contains("`backstory rebuild`"), "{error:?}");
        assert_eq!((data_files(lake.folder()), lake.deliveries().unwrap()), (files, records));
        assert_eq!(lake.verify().unwrap().len(), 1, "the damage is still there to be found");
    };
    let folder = folder();
    let lake = Lake::open_or_create(folder.path()).unwrap();
    load(&lake, &delta("1", 1), &[&(activity("a", 1, "one") + &activity("b", 1, "two"))]).unwrap();
    load(&lake, &delta("2", 2), &[&activity("c", 1, "three")]).unwrap();
    let file = data_files(folder.path()).remove(0);
    let whole = std::fs::read(&file).unwrap();
    damage_unseen(&lake, &file);
    refused(&lake, &file);

    // So it is with a base that the next one would be built from.
    std::fs::write(&file, whole).unwrap();
    lake.compact(now).unwrap();
    lake.settle(at("2026-11-18T00:00:00Z")).unwrap();
    let base = data_files(folder.path()).remove(0);
    damage_unseen(&lake, &base);
    load(&lake, &delta("3", 3), &[&activity("d", 1, "four")]).unwrap();
    refused(&lake, &base);
}

#[test]
fn a_damaged_file_keeps_a_run_from_compacting_and_from_nothing_else() {
    let folder = folder();
    let lake = Lake::open_or_create(folder.path()).unwrap();
    load(&lake, &delta("0", 1), &[&(activity("a", 1, "one") + &activity("b", 1, "two"))]).unwrap();
    damage_unseen(&lake, &data_files(folder.path())[0]);
    // So many files that a base would pay.
    for number in 1..202 {
        let (id, uid) = (number.to_string(), format!("u{number}"));
        load(&lake, &delta(&id, 1), &[&activity(&uid, 1, "one")]).unwrap();
    }
    let lake = Lake::open(folder.path()).unwrap();
    load(&lake, &delta("new", 2), &[&activity("new", 1, "new")]).unwrap();
    lake.settle(at("2026-11-16T00:00:00Z")).unwrap();
    assert!(!folder.path().join("_backstory/compaction").exists());
    let views = std::fs::read_to_string(folder.path().join("views.duckdb.sql")).unwrap();
    assert!(views.contains("job-new"));
    assert_eq!((data_files(folder.path()).len(), lake.verify().unwrap().len()), (203, 1));
}

#[test]
fn what_is_not_committed_leaves_nothing_behind() {
    let folder = folder();
    let lake = Lake::open_or_create(folder.path()).unwrap();
    let mut delivery = delta("1", 1);
    delivery.fragments = 2;
    let mut started = lake.begin(&delivery).unwrap();
    let conversion = backstory_tables::Conversion::new(
        Resource::Activities,
        backstory_tables::SourceFormat::JsonLines,
        delivery.origin(0),
    );
    let line = activity("a", 1, "one");
    let mut delivered = backstory_destination::Proving::new(line.as_bytes());
    started.fragment(0, conversion, &mut delivered, &mut backstory_tables::BadRows::fail()).unwrap();
    let error = started.commit().unwrap_err();
    assert!(error.to_string().contains("1 of its 2 fragments"), "{error}");
    assert_eq!(lake.deliveries().unwrap(), []);
    assert_eq!(std::fs::read_dir(folder.path().join("activities/delta")).unwrap().count(), 0);
}

#[test]
fn a_lake_that_cannot_be_written_says_so_and_is_as_it_was() {
    let folder = folder();
    let lake = Lake::open_or_create(folder.path()).unwrap();
    load(&lake, &delta("1", 1), &[&activity("a", 1, "one")]).unwrap();
    let before = digest(&lake);
    // Permissions don't hold back the superuser, so files stand where folders should be, and the other way round.
    let blocked = |path: &str, block: &dyn Fn()| {
        let (path, aside) = (folder.path().join(path), folder.path().join("aside"));
        let was_there = path.exists();
        if was_there {
            std::fs::rename(&path, &aside).unwrap();
        }
        std::fs::write(&path, "in the way").unwrap();
        block();
        std::fs::remove_file(&path).unwrap();
        if was_there {
            std::fs::rename(&aside, &path).unwrap();
        }
    };
    blocked("activities/snapshot", &|| {
        let mut snapshot = delta("2", 2);
        snapshot.kind = backstory_destination::DeliveryKind::Snapshot;
        let error = load(&lake, &snapshot, &[&activity("b", 1, "b")]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Write);
        assert!(error.to_string().contains("activities/snapshot") && error.hint().is_some(), "{error:?}");
    });
    blocked("_backstory/compaction", &|| {
        let error = lake.compact(at("2026-11-16T00:00:00Z")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Write);
    });
    blocked("activities/base", &|| {
        let error = lake.compact(at("2026-11-16T00:00:00Z")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Write);
    });
    assert_eq!((digest(&lake), lake.deliveries().unwrap().len()), (before.clone(), 1));

    // Views that can't be written keep nobody from committing; whoever settles is told.
    let views = folder.path().join("views.duckdb.sql");
    std::fs::remove_file(&views).unwrap();
    std::fs::create_dir(&views).unwrap();
    load(&lake, &delta("3", 3), &[&activity("c", 1, "c")]).unwrap();
    assert_eq!(lake.settle(at("2026-11-16T00:00:00Z")).unwrap_err().kind(), ErrorKind::Write);
    std::fs::remove_dir(&views).unwrap();
    lake.settle(at("2026-11-16T00:00:00Z")).unwrap();
    assert_eq!(lake.verify().unwrap(), []);
    assert_eq!(digest(&lake).0, 2);
}

#[test]
fn a_second_compaction_at_the_same_time_is_refused() {
    let folder = folder();
    let lake = Lake::open_or_create(folder.path()).unwrap();
    load(&lake, &delta("1", 1), &[&activity("a", 1, "one")]).unwrap();
    let lock = std::fs::File::create(folder.path().join("_backstory/compaction.lock")).unwrap();
    lock.lock().unwrap();
    assert_eq!(lake.compact(at("2026-11-16T00:00:00Z")).unwrap_err().kind(), ErrorKind::Busy);
    drop(lock);
    assert!(lake.compact(at("2026-11-16T00:00:00Z")).unwrap().is_new);
}

#[test]
fn what_a_dead_process_left_half_written_is_removed_and_what_a_living_one_writes_is_not() {
    let folder = folder();
    let lake = Lake::open_or_create(folder.path()).unwrap();
    let left = folder.path().join("activities/delta/.2026-11-01_2026-11-14.job-9.0.parquet.partial");
    let (path, living) =
        (folder.path().join("activities/delta/x.parquet"), "activities/delta/.x.parquet.partial");
    std::fs::write(&left, "half").unwrap();
    let landing = backstory_destination::Landing::begin(&path).unwrap();
    lake.settle(at("2026-11-16T00:00:00Z")).unwrap();
    assert!(!left.exists() && folder.path().join(living).exists());
    drop(landing);
}
