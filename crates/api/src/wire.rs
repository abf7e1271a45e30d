//! How single values look on the wire: job ids, days, times, and what is taken out of a reply's object.

use std::fmt;

use backstory_formats::{parse_date, parse_timestamp};
use backstory_limits::ExportKind;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

/// The id of an export job. The service has been seen to send it as text and as a number; it is kept as text
/// (contract (c.2), (j.36)).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct JobId(String);

impl JobId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl<T: Into<String>> From<T> for JobId {
    fn from(id: T) -> Self {
        Self(id.into())
    }
}

/// Writes a day as the API reads it, `yyyy-MM-dd`.
pub(crate) fn day<S: Serializer>(day: &Date, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(day)
}

/// Writes a kind of export in the API's own lower case.
pub(crate) fn kind<S: Serializer>(kind: &ExportKind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.as_str())
}

/// Takes a field out of an object. One that can't be read as expected stays where it is, so that nothing is lost.
pub(crate) fn take<T>(
    object: &mut Map<String, Value>,
    name: &str,
    read: impl Fn(&Value) -> Option<T>,
) -> Option<T> {
    let value = read(object.get(name)?)?;
    object.remove(name);
    Some(value)
}

pub(crate) fn job_id(value: &Value) -> Option<JobId> {
    match value {
        Value::String(id) if !id.is_empty() => Some(JobId(id.clone())),
        Value::Number(id) => Some(JobId(id.to_string())),
        _ => None,
    }
}

pub(crate) fn timestamp(value: &Value) -> Option<Timestamp> {
    parse_timestamp(value.as_str()?)
}

pub(crate) fn date(value: &Value) -> Option<Date> {
    parse_date(value.as_str()?)
}
