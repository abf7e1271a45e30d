//! Reads the body of a create, and refuses what the contract says is refused: sections (c.1), (d.1), (j.3), (j.4),
//! (j.26) to (j.28).

use jiff::civil::Date;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::switches::{Row, Switches};
use crate::world::{ActivityType, ContactFilter, Day, day_of};

/// What a job exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Resource {
    /// Raw activities, contract (c).
    Activities,
    /// Enriched contacts, contract (d).
    Contacts,
}

impl Resource {
    /// The word in the paths of the API: `activities` or `contacts`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Activities => "activities",
            Self::Contacts => "contacts",
        }
    }

    pub(crate) fn read(text: &str) -> Option<Self> {
        [Self::Activities, Self::Contacts].into_iter().find(|known| known.as_str() == text)
    }
}

/// How activities are selected, contract (c.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ActivityExport {
    Snapshot,
    Delta,
}

impl ActivityExport {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Delta => "delta",
        }
    }
}

/// The format of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    JsonLines,
    Json,
    Csv,
}

impl Output {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::JsonLines => "JSONLines",
            Self::Json => "JSON",
            Self::Csv => "CSV",
        }
    }
}

/// A legal request for a job.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) from: Date,
    pub(crate) to: Date,
    pub(crate) output: Output,
    pub(crate) what: What,
}

#[derive(Clone, Debug)]
pub(crate) enum What {
    Activities {
        export: ActivityExport,
        kind: Option<ActivityType>,
    },
    Contacts {
        filter: ContactFilter,
        /// The request as it came, on one line (contract (d.2)).
        params: String,
    },
}

/// Why a body is refused: the `message` of a 400.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal(pub(crate) String);

impl Refusal {
    /// The official sample's words, contract (h.1): names inside a message are in camel case.
    fn parameter(name: &str) -> Self {
        Self(format!("Invalid parameter format: {name}"))
    }
}

const ACTIVITY_FIELDS: [&str; 5] =
    ["start_date", "end_date", "activity_type", "output_format", "export_type"];
const CONTACT_FIELDS: [&str; 8] = [
    "start_date",
    "end_date",
    "include_historical",
    "include_existing",
    "is_sourced_by_people_ai",
    "output_format",
    "country",
    "state",
];

impl Request {
    /// Reads a body. The second part of the answer names the fields that the contract does not know; they are ignored.
    pub(crate) fn read(
        resource: Resource,
        body: &[u8],
        switches: &Switches,
        today: Day,
    ) -> (Result<Self, Refusal>, Vec<String>) {
        let Ok(Value::Object(fields)) = serde_json::from_slice(body) else {
            return (Err(Refusal("Invalid request body: a JSON object is expected".to_owned())), Vec::new());
        };
        let known: &[&str] = match resource {
            Resource::Activities => &ACTIVITY_FIELDS,
            Resource::Contacts => &CONTACT_FIELDS,
        };
        let unknown = fields.keys().filter(|key| !known.contains(&key.as_str())).cloned().collect();
        (Self::from_fields(resource, &fields, switches, today), unknown)
    }

    fn from_fields(
        resource: Resource,
        fields: &Map<String, Value>,
        switches: &Switches,
        today: Day,
    ) -> Result<Self, Refusal> {
        let from = date(fields, "start_date", "startDate")?;
        let to = date(fields, "end_date", "endDate")?;
        let output = text(fields, "output_format", "outputFormat")?;
        let (output, what, limit) = match resource {
            Resource::Activities => {
                let export = text(fields, "export_type", "exportType")?;
                let export = match export.map(str::to_ascii_lowercase).as_deref() {
                    Some("snapshot") => ActivityExport::Snapshot,
                    Some("delta") => ActivityExport::Delta,
                    _ => return Err(Refusal::parameter("exportType")),
                };
                let kind = match text(fields, "activity_type", "activityType")? {
                    None => None,
                    Some(all) if all.eq_ignore_ascii_case("all") => None,
                    Some(word) => {
                        Some(ActivityType::read(word).ok_or_else(|| Refusal::parameter("activityType"))?)
                    }
                };
                let output = read_output(output, Output::JsonLines, &[Output::JsonLines, Output::Json])?;
                (output, What::Activities { export, kind }, export == ActivityExport::Delta)
            }
            Resource::Contacts => {
                let filter = ContactFilter {
                    historical: flag(fields, "include_historical", "includeHistorical")?,
                    existing: flag(fields, "include_existing", "includeExisting")?,
                    sourced_only: flag(fields, "is_sourced_by_people_ai", "isSourcedByPeopleAi")?,
                    country: text(fields, "country", "country")?.map(str::to_owned),
                    state: text(fields, "state", "state")?.map(str::to_owned),
                };
                let output = read_output(output, Output::Csv, &[Output::Csv, Output::Json])?;
                let params = Value::Object(fields.clone()).to_string();
                (output, What::Contacts { filter, params }, switches.is(Row::J4, "14-days"))
            }
        };
        check_range(from, to, limit, switches, today)?;
        Ok(Self { from, to, output, what })
    }

    pub(crate) fn resource(&self) -> Resource {
        match self.what {
            What::Activities { .. } => Resource::Activities,
            What::Contacts { .. } => Resource::Contacts,
        }
    }
}

/// Row j.3: 14 days, or a year, counted as switched.
fn check_range(from: Date, to: Date, short: bool, switches: &Switches, today: Day) -> Result<(), Refusal> {
    if from > to {
        return Err(Refusal(format!("Invalid date range: start date {from} is after end date {to}")));
    }
    if day_of(to) > today && switches.is(Row::J26, "future-400") {
        return Err(Refusal(format!("Invalid date range: end date {to} is in the future")));
    }
    let days = day_of(to) - day_of(from) + i32::from(!switches.is(Row::J3, "exclusive"));
    let (most, name) = match (short, switches.is(Row::J3, "365")) {
        (true, _) => (14, "14 days"),
        (false, true) => (365, "1 year"),
        (false, false) => (366, "1 year"),
    };
    if days > most {
        return Err(Refusal(format!("Invalid date range: the maximum is {name}")));
    }
    Ok(())
}

/// A field's text; absent and null are the same.
fn text<'a>(fields: &'a Map<String, Value>, key: &str, name: &str) -> Result<Option<&'a str>, Refusal> {
    match fields.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Refusal::parameter(name)),
    }
}

fn flag(fields: &Map<String, Value>, key: &str, name: &str) -> Result<bool, Refusal> {
    match fields.get(key) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(_) => Err(Refusal::parameter(name)),
    }
}

/// `yyyy-MM-dd` and nothing else.
fn date(fields: &Map<String, Value>, key: &str, name: &str) -> Result<Date, Refusal> {
    text(fields, key, name)?
        .filter(|text| text.len() == 10 && text.as_bytes()[4] == b'-' && text.as_bytes()[7] == b'-')
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| Refusal::parameter(name))
}

fn read_output(given: Option<&str>, default: Output, allowed: &[Output]) -> Result<Output, Refusal> {
    let Some(given) = given else { return Ok(default) };
    allowed
        .iter()
        .copied()
        .find(|output| output.as_str().eq_ignore_ascii_case(given))
        .ok_or_else(|| Refusal::parameter("outputFormat"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::switches::Switch;

    fn read_with(resource: Resource, body: &str, switch: &str) -> Result<Request, String> {
        let mut switches = Switches::default();
        if !switch.is_empty() {
            switches.apply(Switch::parse(switch).unwrap());
        }
        let today = day_of("2026-06-18".parse().unwrap());
        Request::read(resource, body.as_bytes(), &switches, today).0.map_err(|refusal| refusal.0)
    }

    fn range(kind: &str, from: &str, to: &str, switch: &str) -> bool {
        let body = format!(r#"{{"start_date":"{from}","end_date":"{to}","export_type":"{kind}"}}"#);
        let resource = if kind == "contacts" { Resource::Contacts } else { Resource::Activities };
        read_with(resource, &body, switch).is_ok()
    }

    #[test]
    fn words_are_read_in_any_case_and_defaults_are_the_documented_ones() {
        let body = r#"{"start_date":"2026-06-01","end_date":"2026-06-02","export_type":"Delta",
            "activity_type":"All","output_format":"jsonlines"}"#;
        let request = read_with(Resource::Activities, body, "").unwrap();
        assert!(matches!(request.what, What::Activities { export: ActivityExport::Delta, kind: None }));
        let body = r#"{"start_date":"2026-06-01","end_date":"2026-06-02"}"#;
        assert_eq!(read_with(Resource::Contacts, body, "").unwrap().output, Output::Csv);
    }

    #[test]
    fn the_message_names_the_parameter_in_camel_case() {
        let dates = r#""start_date":"2026-06-01","end_date":"2026-06-02""#;
        for (fields, name) in [
            (dates.to_owned(), "exportType"),
            (format!(r#"{dates},"export_type":"full""#), "exportType"),
            (format!(r#"{dates},"export_type":"delta","activity_type":"fax""#), "activityType"),
            (format!(r#"{dates},"export_type":"delta","output_format":"CSV""#), "outputFormat"),
            (r#""start_date":"2026-6-1","end_date":"2026-06-02""#.to_owned(), "startDate"),
            (r#""start_date":"2026-06-01","end_date":"2026-02-30""#.to_owned(), "endDate"),
            (r#""start_date":"2026-06-01","end_date":20260602"#.to_owned(), "endDate"),
        ] {
            let refused = read_with(Resource::Activities, &format!("{{{fields}}}"), "").unwrap_err();
            assert_eq!(refused, format!("Invalid parameter format: {name}"));
        }
        assert!(read_with(Resource::Activities, "[]", "").is_err());
    }

    #[test]
    fn ranges_are_limited_to_14_days_and_a_year_counted_as_switched() {
        assert!(range("delta", "2026-06-01", "2026-06-14", ""));
        assert!(!range("delta", "2026-06-01", "2026-06-15", ""));
        assert!(range("delta", "2026-06-01", "2026-06-15", "j3=exclusive"));
        assert!(range("snapshot", "2025-06-01", "2026-06-01", ""));
        assert!(!range("snapshot", "2025-06-01", "2026-06-02", ""));
        assert!(!range("snapshot", "2025-06-01", "2026-06-01", "j3=365"));
        assert!(range("contacts", "2025-06-01", "2026-06-01", ""));
        assert!(!range("contacts", "2026-06-01", "2026-06-15", "j4=14-days"));
    }

    #[test]
    fn a_future_end_is_legal_unless_switched_and_a_start_after_its_end_never_is() {
        assert!(range("snapshot", "2026-06-01", "2026-12-31", ""));
        assert!(!range("snapshot", "2026-06-01", "2026-06-19", "j26=future-400"));
        assert!(range("snapshot", "2026-06-01", "2026-06-18", "j26=future-400"));
        assert!(!range("snapshot", "2026-06-02", "2026-06-01", ""));
    }

    #[test]
    fn unknown_fields_are_ignored_and_named() {
        let body = br#"{"start_date":"2026-06-01","end_date":"2026-06-02","export_type":"delta","colour":1}"#;
        let (request, unknown) = Request::read(Resource::Activities, body, &Switches::default(), 0);
        assert!(request.is_ok());
        assert_eq!(unknown, ["colour"]);
    }
}
