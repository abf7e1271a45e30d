//! How much there is, and what it is: counts of rows, and the content hash of the current records.

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{BooleanArray, RecordBatch};
use arrow_select::filter::filter_record_batch;
use backstory_destination::{Digest, Error};
use backstory_tables::ContentHash;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::current::{Chosen, Current, row_groups};
use crate::problem::{damaged, unreadable_rows};
use crate::rows::{Columns, Rows, in_parallel};

/// One column of each list, to count elements by.
const PARTICIPANT: &str = "participants.list.element.time_spent";
const CAMPAIGN: &str = "campaigns.list.element.start_date";

/// The content hash of current records; of activities, those that were processed up to the end of a day.
pub(crate) fn digest(current: &Current, processed_through: Option<Date>) -> Result<Digest, Error> {
    let before = processed_through.map(first_instant_behind);
    let hashes = in_parallel(&current.row_groups(), ContentHash::new, |hash, group| {
        let path = &group.file.path;
        Rows::open(&group.file)?.read(group.row_group, Columns::All, group.chosen.as_ref(), |batch| {
            let batch = match before {
                Some(before) => ingested_before(&batch, before)
                    .ok_or_else(|| damaged(path, "has no column `ingest_timestamp` of instants"))?,
                None => batch,
            };
            hash.update(&batch).map_err(|error| unreadable_rows(path, error))
        })
    })?;
    let mut sum = ContentHash::new();
    hashes.iter().for_each(|hash| sum.merge(hash));
    Ok(Digest { count: sum.count(), content_hash: sum.hex() })
}

/// The microsecond with which the day after begins.
fn first_instant_behind(day: Date) -> i64 {
    let next = day.tomorrow().and_then(|day| TimeZone::UTC.to_timestamp(day.at(0, 0, 0, 0)));
    next.map_or(i64::MAX, Timestamp::as_microsecond)
}

fn ingested_before(batch: &RecordBatch, before: i64) -> Option<RecordBatch> {
    let ingested =
        batch.column_by_name("ingest_timestamp")?.as_primitive_opt::<TimestampMicrosecondType>()?;
    let chosen: BooleanArray =
        ingested.iter().map(|ingested| Some(ingested.is_some_and(|ingested| ingested < before))).collect();
    filter_record_batch(batch, &chosen).ok()
}

/// The rows of the tables that activities become.
pub(crate) fn activity_tables(current: &Current) -> Result<BTreeMap<String, u64>, Error> {
    let (mut participants, mut campaigns) = (0, 0);
    // Row groups to be looked at, and whether what they hold is added or taken away.
    let mut work = Vec::new();
    for (file, chosen) in &current.files {
        let missing = file.rows() - chosen.count(file.rows());
        // It is the fewer rows that are read: the current ones, or the others.
        let most_are_current = missing * 2 <= file.rows();
        if most_are_current {
            let (all_participants, all_campaigns) = file.children();
            participants += all_participants;
            campaigns += all_campaigns;
        }
        match chosen {
            Chosen::Some(chosen) if most_are_current && missing > 0 => {
                work.extend(row_groups(file, &Chosen::Some(!chosen)).into_iter().map(|group| (group, -1)));
            }
            chosen if !most_are_current => {
                work.extend(row_groups(file, chosen).into_iter().map(|group| (group, 1)));
            }
            _ => {}
        }
    }
    let counts = in_parallel(&work, Default::default, |sum: &mut (i64, i64), (group, sign)| {
        let columns = Columns::Only(&[PARTICIPANT, CAMPAIGN]);
        Rows::open(&group.file)?.read(group.row_group, columns, group.chosen.as_ref(), |batch| {
            sum.0 += sign * elements(&batch, "participants");
            sum.1 += sign * elements(&batch, "campaigns");
            Ok(())
        })
    })?;
    for (more_participants, more_campaigns) in counts {
        participants = participants.saturating_add_signed(more_participants);
        campaigns = campaigns.saturating_add_signed(more_campaigns);
    }
    Ok(BTreeMap::from([
        ("activities".to_owned(), current.count()),
        ("participants".to_owned(), participants),
        ("campaigns".to_owned(), campaigns),
    ]))
}

/// How many elements the lists of a column have.
pub(crate) fn elements(batch: &RecordBatch, column: &str) -> i64 {
    let list = batch.column_by_name(column).and_then(|column| column.as_list_opt::<i32>());
    list.map_or(0, |list| {
        let offsets = list.value_offsets();
        i64::from(offsets[offsets.len() - 1] - offsets[0])
    })
}
