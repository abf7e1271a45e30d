//! The plain way to read a record: serde_json takes the object apart, and each value is read by itself as what its field
//! wants it to be. It is slow, short, and shares no code with the decoders.

use std::collections::BTreeMap;
use std::fmt;

use backstory_formats::{
    Activity, Campaign, Contact, CrmAccount, CrmAccountName, CrmLead, CrmOpportunity, CrmStatus, Extra,
    Participant, Stats, Team, Text,
};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A record with its fields by name.
pub(crate) trait Record {
    fn fields(&self) -> Vec<(&'static str, Field<'_>)>;
    fn extra(&self) -> &Extra<'_>;
}

/// What a field holds.
pub(crate) enum Field<'f> {
    Text(Option<&'f str>),
    Integer(Option<i64>),
    Boolean(Option<bool>),
    Texts(Option<Vec<&'f str>>),
    Record(Option<&'f dyn Record>),
    Records(Option<Vec<&'f dyn Record>>),
}

trait AsField {
    fn as_field(&self) -> Field<'_>;
}

impl AsField for Option<Text<'_>> {
    fn as_field(&self) -> Field<'_> {
        Field::Text(self.as_deref())
    }
}

impl AsField for Option<i64> {
    fn as_field(&self) -> Field<'_> {
        Field::Integer(*self)
    }
}

impl AsField for Option<bool> {
    fn as_field(&self) -> Field<'_> {
        Field::Boolean(*self)
    }
}

impl AsField for Option<Vec<Text<'_>>> {
    fn as_field(&self) -> Field<'_> {
        Field::Texts(self.as_ref().map(|texts| texts.iter().map(|text| &**text).collect()))
    }
}

macro_rules! records {
    ($($record:ident { $($field:ident)* })*) => {$(
        impl Record for $record<'_> {
            fn fields(&self) -> Vec<(&'static str, Field<'_>)> {
                vec![$((stringify!($field).trim_start_matches("r#"), self.$field.as_field()),)*]
            }
            fn extra(&self) -> &Extra<'_> {
                &self.extra
            }
        }
        impl AsField for Option<$record<'_>> {
            fn as_field(&self) -> Field<'_> {
                Field::Record(self.as_ref().map(|record| record as _))
            }
        }
        impl AsField for Option<Vec<$record<'_>>> {
            fn as_field(&self) -> Field<'_> {
                Field::Records(self.as_ref().map(|records| records.iter().map(|record| record as _).collect()))
            }
        }
    )*};
}

records! {
    Activity {
        uid r#type source_id timestamp ingest_timestamp tags direction subject summary in_reply_to_source_id reply_received
        attachment_file_names followed_meeting_source_id follow_up_email_source_id created start_time end_time all_day
        location status duration outbound_phone_number campaigns participants stats crm_status
    }
    Participant { peopleai_id crm_id name title email phone role r#type time_spent team matched_as status }
    Team { crm_id name }
    Campaign { crm_id name start_date end_date }
    Stats {
        total_participants internal_participants external_participants contacts_participants participants_on_to_line
        participants_on_cc_line accepted_participants declined_participants tentative_participants
    }
    CrmStatus { matched_to pushed push_time crm_id account opportunity lead }
    CrmAccount { crm_id name parent_account_crm_id parent_account_name }
    CrmOpportunity { crm_id name stage_name stage_rank account }
    CrmAccountName { crm_id name }
    CrmLead { crm_id name title phone email lead_stage }
    Contact {
        first_name last_name email phone job_title department seniority country state account_name account_type
        account_domain account_crm_id source_peopleai_id response_activity_id source_email from_cc total_inbound
        total_inbound_30d total_outbound total_outbound_30d total_meetings total_meetings_30d total_time_spent
        total_time_spent_30d
    }
}

/// An object's values as they stand there; of a key that comes twice, the last.
struct Object<'a>(BTreeMap<String, &'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor;
        impl<'de> Visitor<'de> for ObjectVisitor {
            type Value = Object<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut values = BTreeMap::new();
                while let Some((key, value)) = map.next_entry()? {
                    values.insert(key, value);
                }
                Ok(Object(values))
            }
        }
        deserializer.deserialize_map(ObjectVisitor)
    }
}

/// Asserts that a record holds what the plain way makes of its text.
pub(crate) fn check(record: &dyn Record, json: &str) {
    let object: Object<'_> =
        serde_json::from_str(json).unwrap_or_else(|error| panic!("taken, but {error}: {json}"));
    let mut extra: BTreeMap<&str, &str> = record.extra().iter().collect();
    assert_eq!(extra.len(), record.extra().len());
    let fields: BTreeMap<_, _> = record.fields().into_iter().collect();
    for (name, field) in &fields {
        let (json, expected_in_extra) = match object.0.get(*name) {
            Some(value) => (value.get(), !holds(field, name, value.get())),
            None => ("nothing", !is_empty(field)),
        };
        assert!(!expected_in_extra || is_empty(field), "`{name}` isn't {json}");
        let kept = extra.remove(name);
        assert_eq!(kept, expected_in_extra.then_some(json), "`{name}`");
    }
    let unknown = object.0.iter().filter(|(key, _)| !fields.contains_key(key.as_str()));
    assert_eq!(extra, unknown.map(|(key, value)| (key.as_str(), value.get())).collect());
}

/// Whether the field holds the value; `false` when the value is of another type.
fn holds(field: &Field<'_>, name: &str, json: &str) -> bool {
    if json == "null" {
        return is_empty(field);
    }
    match field {
        Field::Text(text) => {
            serde_json::from_str::<String>(json).is_ok_and(|expected| *text == Some(expected.as_str()))
        }
        Field::Integer(number) => {
            serde_json::from_str::<i64>(json).is_ok_and(|expected| *number == Some(expected))
        }
        Field::Boolean(truth) => {
            serde_json::from_str::<bool>(json).is_ok_and(|expected| *truth == Some(expected))
        }
        Field::Texts(texts) => {
            let lone =
                || serde_json::from_str::<String>(json).ok().filter(|_| name == "attachment_file_names");
            let expected = match serde_json::from_str::<Vec<Option<String>>>(json) {
                Ok(expected) => expected.into_iter().flatten().collect(),
                Err(_) => match lone() {
                    Some(text) => vec![text],
                    None => return false,
                },
            };
            texts.as_ref().is_some_and(|texts| *texts == expected)
        }
        Field::Record(record) => match (serde_json::from_str::<Object<'_>>(json), record) {
            (Ok(_), Some(record)) => {
                check(*record, json);
                true
            }
            _ => false,
        },
        Field::Records(records) => {
            let Ok(expected) = serde_json::from_str::<Vec<Option<&RawValue>>>(json) else { return false };
            let expected: Vec<_> = expected.into_iter().flatten().map(RawValue::get).collect();
            if expected.iter().any(|json| serde_json::from_str::<Object<'_>>(json).is_err()) {
                return false;
            }
            let Some(records) = records else { return false };
            assert_eq!(records.len(), expected.len(), "`{name}`");
            records.iter().zip(expected).for_each(|(record, json)| check(*record, json));
            true
        }
    }
}

fn is_empty(field: &Field<'_>) -> bool {
    match field {
        Field::Text(text) => text.is_none(),
        Field::Integer(number) => number.is_none(),
        Field::Boolean(truth) => truth.is_none(),
        Field::Texts(texts) => texts.is_none(),
        Field::Record(record) => record.is_none(),
        Field::Records(records) => records.is_none(),
    }
}

/// Whether the plain way finds an activity in a line: an object with one of its fields, and not nested or repeated beyond
/// what the decoder takes.
pub(crate) fn is_activity(json: &str) -> bool {
    let Ok(object) = serde_json::from_str::<Object<'_>>(json) else { return false };
    let brackets = |open: &[char]| json.matches(open).count();
    let small = brackets(&['[', '{']) <= 100 && brackets(&['{']) <= 1 << 16;
    small && Activity::default().fields().iter().any(|(name, _)| object.0.contains_key(*name))
}
