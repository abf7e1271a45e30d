//! What a job has delivered: described before its first byte, recorded once its rows are committed.

use std::fmt;

use backstory_tables::{Origin, Resource};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The result of one export job: the unit that a destination commits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Delivery {
    /// The job's id.
    pub job_id: String,
    /// What was exported.
    #[serde(serialize_with = "resource_as_word", deserialize_with = "resource_from_word")]
    pub resource: Resource,
    /// What the window selects on; contacts have one kind only.
    pub kind: DeliveryKind,
    /// Which activities: `all`, `email`, `meeting` or `call` (contract (c.1)); `all` for contacts.
    pub activity_type: String,
    /// The job's range of UTC days.
    pub window: Window,
    /// The set of deliveries that this one is a part of, where it takes several to be complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part_of: Option<PartOf>,
    /// The server's time when the job was asked for. The job was created no earlier, so it stands in where the server
    /// doesn't tell `job_created_time`.
    pub requested_at: Timestamp,
    /// When the job was created, by the server's clock (contract (c.2)).
    pub job_created_time: Option<Timestamp>,
    /// When it began to run.
    pub job_start_time: Option<Timestamp>,
    /// When it ended.
    pub job_end_time: Option<Timestamp>,
    /// When the result was fetched.
    pub extracted_at: Timestamp,
    /// How many fragments make up the result; 1 when it was downloaded whole (contract (j.13)).
    pub fragments: u32,
}

/// What a delivery's window selects on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryKind {
    /// Activities by their own date.
    Snapshot,
    /// Activities by the day on which they were processed.
    Delta,
    /// Contacts.
    Contacts,
}

/// A range of UTC days, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Window {
    /// The first day.
    pub from: Date,
    /// The last day.
    pub to: Date,
}

/// What a delivery is a part of. A refresh of contacts is complete once the windows of its set cover its range: it is one
/// observation. A history of activities is complete once the windows of any of its snapshots cover its range, since what is
/// there already isn't asked for again.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PartOf {
    /// Tells the set from others. Sets are ordered by it: it is the server's time at which the set was begun, as RFC 3339
    /// text with whole seconds and `Z`.
    pub set: String,
    /// The whole range.
    pub range: Window,
}

/// A delivery whose rows are committed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DeliveryRecord {
    /// What was delivered.
    #[serde(flatten)]
    pub delivery: Delivery,
    /// The fragments, in order.
    pub parts: Vec<FragmentRecord>,
}

/// One fragment of a delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FragmentRecord {
    /// Which one, from 0; the whole is 0.
    pub fragment: u32,
    /// Bytes as delivered, decompressed.
    pub bytes: u64,
    /// Line feeds in these bytes.
    pub lines: u64,
    /// SHA-256 of these bytes, in lower-case hex.
    pub sha256: String,
    /// Records that became rows.
    pub rows: u64,
    /// Records that were quarantined.
    pub bad_rows: u64,
    /// Rows of the table `participants`.
    #[serde(default)]
    pub participants: u64,
    /// Rows of the table `campaigns`.
    #[serde(default)]
    pub campaigns: u64,
    /// Whether these bytes were kept beside the tables as they came; `None` in records of versions that didn't tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw_kept: Option<bool>,
}

impl Delivery {
    /// A delivery by one job, downloaded whole; of all activity types.
    pub fn new(
        job_id: impl Into<String>,
        kind: DeliveryKind,
        window: Window,
        requested_at: Timestamp,
        extracted_at: Timestamp,
    ) -> Self {
        let resource = match kind {
            DeliveryKind::Snapshot | DeliveryKind::Delta => Resource::Activities,
            DeliveryKind::Contacts => Resource::Contacts,
        };
        Self {
            job_id: job_id.into(),
            resource,
            kind,
            activity_type: "all".to_owned(),
            window,
            part_of: None,
            requested_at,
            job_created_time: None,
            job_start_time: None,
            job_end_time: None,
            extracted_at,
            fragments: 1,
        }
    }

    /// When the job was created, by the server's clock; no later than it really was.
    pub fn created(&self) -> Timestamp {
        self.job_created_time.unwrap_or(self.requested_at)
    }

    /// Where the rows of a fragment come from, for the columns that begin with `_`.
    pub fn origin(&self, fragment: u32) -> Origin {
        Origin::of_job(&self.job_id, (self.window.from, self.window.to), self.extracted_at)
            .with_fragment(fragment)
            .with_job_times(Some(self.created()), self.job_start_time)
    }
}

impl DeliveryRecord {
    /// A delivery with its fragments.
    pub fn new(delivery: Delivery, mut parts: Vec<FragmentRecord>) -> Self {
        parts.sort_by_key(|part| part.fragment);
        Self { delivery, parts }
    }

    /// Whether every fragment is there.
    pub fn is_whole(&self) -> bool {
        self.parts.len() == self.delivery.fragments as usize
            && self.parts.iter().zip(0..).all(|(part, at)| part.fragment == at)
    }

    /// Records that became rows.
    pub fn rows(&self) -> u64 {
        self.parts.iter().map(|part| part.rows).sum()
    }

    /// Records that were quarantined.
    pub fn bad_rows(&self) -> u64 {
        self.parts.iter().map(|part| part.bad_rows).sum()
    }

    /// Whether the delivery was kept beside the tables as it came, as far as its record tells.
    pub fn was_kept(&self) -> bool {
        self.parts.iter().any(|part| part.raw_kept == Some(true))
    }

    /// Bytes as delivered, decompressed.
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes).sum()
    }
}

impl FragmentRecord {
    /// A fragment of so many bytes and lines, with the checksum of the bytes.
    pub fn new(fragment: u32, bytes: u64, lines: u64, sha256: impl Into<String>) -> Self {
        Self {
            fragment,
            bytes,
            lines,
            sha256: sha256.into(),
            rows: 0,
            bad_rows: 0,
            participants: 0,
            campaigns: 0,
            raw_kept: None,
        }
    }

    /// Adds whether the fragment's bytes are [kept](crate::Delivered::is_kept).
    #[must_use]
    pub fn with_raw_kept(mut self, raw_kept: Option<bool>) -> Self {
        self.raw_kept = raw_kept;
        self
    }

    /// Adds what became of the fragment's records.
    #[must_use]
    pub fn with_summary(mut self, summary: &backstory_tables::Summary) -> Self {
        self.rows = summary.rows;
        self.bad_rows = summary.bad_rows;
        self.participants = summary.participants;
        self.campaigns = summary.campaigns;
        self
    }
}

impl DeliveryKind {
    /// Its word: `snapshot`, `delta` or `contacts`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Delta => "delta",
            Self::Contacts => "contacts",
        }
    }
}

impl Window {
    /// The days from `from` to `to`, both included.
    pub fn new(from: Date, to: Date) -> Self {
        Self { from, to }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.from, self.to)
    }
}

fn resource_as_word<S: Serializer>(resource: &Resource, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(resource.as_str())
}

fn resource_from_word<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Resource, D::Error> {
    let word = String::deserialize(deserializer)?;
    Resource::from_word(&word).ok_or_else(|| {
        serde::de::Error::custom(format!("`{word}` is not a resource that this version knows"))
    })
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn record() -> DeliveryRecord {
        let window = Window::new(date(2026, 3, 1), date(2026, 3, 14));
        let requested = "2026-03-15T06:00:00Z".parse().unwrap();
        let delivery = Delivery::new("17", DeliveryKind::Delta, window, requested, requested);
        DeliveryRecord::new(delivery, vec![FragmentRecord::new(0, 12, 1, "ab")])
    }

    #[test]
    fn a_record_is_read_back_as_it_was_written() {
        let text = serde_json::to_string(&record()).unwrap();
        assert_eq!(serde_json::from_str::<DeliveryRecord>(&text).unwrap(), record());
        assert!(!text.contains("raw_kept"), "what isn't known isn't told: {text}");
        let mut kept = record();
        kept.parts[0].raw_kept = Some(true);
        let text = serde_json::to_string(&kept).unwrap();
        assert!(serde_json::from_str::<DeliveryRecord>(&text).unwrap().was_kept() && !record().was_kept());
    }

    #[test]
    fn a_record_that_lacks_a_fragment_is_not_whole() {
        let mut record = record();
        assert!(record.is_whole());
        record.delivery.fragments = 2;
        assert!(!record.is_whole());
        record.parts.push(FragmentRecord::new(2, 1, 1, "cd"));
        assert!(!record.is_whole());
        record.parts[1].fragment = 1;
        assert!(record.is_whole());
    }

    #[test]
    fn a_job_whose_creation_time_is_unknown_counts_from_its_request() {
        let mut delivery = record().delivery;
        assert_eq!(delivery.created(), delivery.requested_at);
        delivery.job_created_time = Some("2026-03-15T06:00:02Z".parse().unwrap());
        assert_eq!(delivery.created().to_string(), "2026-03-15T06:00:02Z");
    }
}
