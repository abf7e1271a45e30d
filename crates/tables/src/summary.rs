//! What a conversion saw: how many rows, and from when.

use std::collections::BTreeMap;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use backstory_formats::Activity;
use jiff::civil;

use crate::instant;

/// What a conversion saw. Rows are those that landed, without the bad ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Activities or contacts.
    pub rows: u64,
    /// Participants of the activities.
    pub participants: u64,
    /// Campaigns of the activities.
    pub campaigns: u64,
    /// Bytes read.
    pub bytes_in: u64,
    /// Rows that could not be decoded and were quarantined.
    pub bad_rows: u64,
    /// The columns of a contacts CSV, for [`Conversion::with_csv_header`](crate::Conversion::with_csv_header) of the
    /// fragments that follow.
    pub csv_header: Option<Vec<String>>,
    /// Activities by the UTC day of their `timestamp`, in days since 1970.
    days: BTreeMap<i32, u64>,
    /// The day of the last activities and how many they are, which aren't in `days` yet: most follow one of the same day.
    last_day: Option<(i32, u64)>,
}

impl Summary {
    pub(crate) fn count_activity(&mut self, activity: &Activity<'_>) {
        self.rows += 1;
        self.participants += activity.participants.as_ref().map_or(0, Vec::len) as u64;
        self.campaigns += activity.campaigns.as_ref().map_or(0, Vec::len) as u64;
        if let Some(micros) = activity.timestamp.as_deref().and_then(instant::micros) {
            self.count_day(micros);
        }
    }

    /// Counts a nested batch.
    pub(crate) fn count_batch(&mut self, batch: &RecordBatch) {
        let items = |name: &str| {
            let list = batch.column_by_name(name).and_then(|column| column.as_list_opt::<i32>());
            list.map_or(0, |list| list.values().len() as u64)
        };
        self.rows += batch.num_rows() as u64;
        self.participants += items("participants");
        self.campaigns += items("campaigns");
        let instants = batch.column_by_name("timestamp");
        let instants = instants.and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>());
        for micros in instants.into_iter().flatten().flatten() {
            self.count_day(micros);
        }
    }

    pub(crate) fn count_day(&mut self, micros: i64) {
        let day = i32::try_from(micros.div_euclid(86_400_000_000)).unwrap_or(i32::MAX);
        match &mut self.last_day {
            Some((last, count)) if *last == day => *count += 1,
            last => {
                let before = last.replace((day, 1));
                self.settle(before);
            }
        }
    }

    fn settle(&mut self, day: Option<(i32, u64)>) {
        if let Some((day, count)) = day {
            *self.days.entry(day).or_default() += count;
        }
    }

    /// The summary of a finished conversion.
    pub(crate) fn settled(mut self) -> Self {
        let last = self.last_day.take();
        self.settle(last);
        self
    }

    /// Activities by the month of their `timestamp`, each month as its first UTC day; without those whose timestamp is
    /// missing or unreadable.
    pub fn activities_by_month(&self) -> BTreeMap<civil::Date, u64> {
        let mut months = BTreeMap::new();
        for (&day, count) in &self.days {
            if let Some(date) = instant::date_of(day) {
                *months.entry(date.first_of_month()).or_default() += count;
            }
        }
        months
    }

    /// The first and the last UTC day on which activities took place.
    pub fn days(&self) -> Option<(civil::Date, civil::Date)> {
        let (first, last) = (*self.days.keys().next()?, *self.days.keys().next_back()?);
        Some((instant::date_of(first)?, instant::date_of(last)?))
    }

    /// Adds what another conversion saw.
    pub fn add(&mut self, other: &Self) {
        self.rows += other.rows;
        self.participants += other.participants;
        self.campaigns += other.campaigns;
        self.bytes_in += other.bytes_in;
        self.bad_rows += other.bad_rows;
        if self.csv_header.is_none() {
            self.csv_header.clone_from(&other.csv_header);
        }
        for (day, count) in &other.days {
            *self.days.entry(*day).or_default() += count;
        }
    }
}
