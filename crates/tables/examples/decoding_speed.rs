//! How fast rows are decoded to batches on one thread, beside what a Rust program would use instead: `decoding_speed RUNS
//! activities.jsonl contacts.csv`. Everything lies in memory; decoders take turns, and medians are printed, in MB/s.
//!
//! serde_json fills structs that borrow their text, and no columns: its time is a part of what we do.

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use arrow_schema::{DataType, Field, Schema};
use backstory_formats::JsonLines;
use backstory_tables::{ActivityBatches, ContactBatches, Origin};
use jiff::Timestamp;

use crate::borrowed::Activity;

type Decoder = (&'static str, fn(&[u8]) -> Result<usize, Box<dyn Error>>);

const OF_ACTIVITIES: &[Decoder] = &[
    ("activities, ours to batches", |bytes| rows(ActivityBatches::new(bytes, &origin()))),
    ("activities, ours to borrowed structs", our_structs),
    ("activities, serde_json to borrowed structs", serde_json_structs),
];
const OF_CONTACTS: &[Decoder] = &[
    ("contacts, ours to batches", |bytes| rows(ContactBatches::new(bytes, &origin()))),
    ("contacts, arrow-csv to batches", arrow_csv_batches),
];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [runs, activities, contacts] = arguments.as_slice() else {
        return Err("usage: decoding_speed RUNS activities.jsonl contacts.csv".into());
    };
    let runs: usize = runs.parse()?;
    for (decoders, file) in [(OF_ACTIVITIES, activities), (OF_CONTACTS, contacts)] {
        let bytes = std::fs::read(file)?;
        let mut speeds = vec![Vec::new(); decoders.len()];
        for _ in 0..runs {
            let mut counts = Vec::new();
            for ((_, decode), speeds) in decoders.iter().zip(&mut speeds) {
                let begun = Instant::now();
                counts.push(decode(&bytes)?);
                speeds.push(bytes.len() as f64 / 1e6 / begun.elapsed().as_secs_f64());
            }
            assert!(counts.iter().all(|count| *count == counts[0]), "{counts:?}");
        }
        for ((name, _), mut speeds) in decoders.iter().zip(speeds) {
            speeds.sort_by(f64::total_cmp);
            println!("{name} {:.0}", speeds[speeds.len() / 2]);
        }
    }
    Ok(())
}

fn origin() -> Origin {
    Origin::offline(Timestamp::UNIX_EPOCH)
}

fn rows(
    batches: impl Iterator<Item = Result<arrow_array::RecordBatch, backstory_tables::Error>>,
) -> Result<usize, Box<dyn Error>> {
    let mut rows = 0;
    for batch in batches {
        rows += black_box(batch?).num_rows();
    }
    Ok(rows)
}

fn our_structs(bytes: &[u8]) -> Result<usize, Box<dyn Error>> {
    let (mut lines, mut count) = (JsonLines::new(), 0);
    let mut rows = lines.feed(bytes);
    while let Some(row) = rows.next() {
        black_box(row.activity()?);
        count += 1;
    }
    Ok(count)
}

fn serde_json_structs(bytes: &[u8]) -> Result<usize, Box<dyn Error>> {
    let mut count = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        black_box(serde_json::from_str::<Activity<'_>>(std::str::from_utf8(line)?)?);
        count += 1;
    }
    Ok(count)
}

fn arrow_csv_batches(bytes: &[u8]) -> Result<usize, Box<dyn Error>> {
    let header = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let fields: Vec<Field> = std::str::from_utf8(header)?
        .split(',')
        .map(|name| {
            let kind = match name {
                "from_cc" => DataType::Boolean,
                _ if name.starts_with("total_") => DataType::Int64,
                _ => DataType::Utf8,
            };
            Field::new(name, kind, true)
        })
        .collect();
    let reader = arrow_csv::ReaderBuilder::new(Arc::new(Schema::new(fields))).with_header(true);
    let mut rows = 0;
    for batch in reader.with_batch_size(8_192).build_buffered(bytes)? {
        rows += black_box(batch?).num_rows();
    }
    Ok(rows)
}

/// The same records as `backstory_formats` has, by derive: what serde_json is given to fill.
#[allow(dead_code, reason = "what is read isn't looked at")]
mod borrowed {
    use std::borrow::Cow;
    use std::fmt;

    use serde::de::{Deserialize, Deserializer, Visitor};

    /// Text that is borrowed where it stands without escapes; serde's own `Option<Cow>` never borrows.
    pub(crate) struct Text<'a>(Cow<'a, str>);

    impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct TextVisitor;
            impl<'de> Visitor<'de> for TextVisitor {
                type Value = Text<'de>;
                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("a text")
                }
                fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                    Ok(Text(Cow::Borrowed(text)))
                }
                fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                    Ok(Text(Cow::Owned(text.to_owned())))
                }
            }
            deserializer.deserialize_str(TextVisitor)
        }
    }

    macro_rules! record {
        ($name:ident { $($field:ident: $kind:ty,)* }) => {
            #[derive(serde::Deserialize)]
            pub(crate) struct $name<'a> {
                $(#[serde(borrow)] $field: Option<$kind>,)*
            }
        };
    }

    #[derive(serde::Deserialize)]
    pub(crate) struct Activity<'a> {
        #[serde(borrow)]
        uid: Option<Text<'a>>,
        r#type: Option<Text<'a>>,
        source_id: Option<Text<'a>>,
        timestamp: Option<Text<'a>>,
        ingest_timestamp: Option<Text<'a>>,
        tags: Option<Vec<Text<'a>>>,
        direction: Option<Text<'a>>,
        subject: Option<Text<'a>>,
        summary: Option<Text<'a>>,
        in_reply_to_source_id: Option<Text<'a>>,
        reply_received: Option<bool>,
        attachment_file_names: Option<Vec<Text<'a>>>,
        followed_meeting_source_id: Option<Text<'a>>,
        follow_up_email_source_id: Option<Text<'a>>,
        created: Option<Text<'a>>,
        start_time: Option<Text<'a>>,
        end_time: Option<Text<'a>>,
        all_day: Option<bool>,
        location: Option<Text<'a>>,
        status: Option<Text<'a>>,
        duration: Option<i64>,
        outbound_phone_number: Option<Text<'a>>,
        campaigns: Option<Vec<Campaign<'a>>>,
        participants: Option<Vec<Participant<'a>>>,
        stats: Option<Stats>,
        crm_status: Option<CrmStatus<'a>>,
    }

    #[derive(serde::Deserialize)]
    pub(crate) struct Participant<'a> {
        #[serde(borrow)]
        peopleai_id: Option<Text<'a>>,
        crm_id: Option<Text<'a>>,
        name: Option<Text<'a>>,
        title: Option<Text<'a>>,
        email: Option<Text<'a>>,
        phone: Option<Text<'a>>,
        role: Option<Text<'a>>,
        r#type: Option<Text<'a>>,
        time_spent: Option<i64>,
        team: Option<Team<'a>>,
        matched_as: Option<Text<'a>>,
        status: Option<Text<'a>>,
    }

    #[derive(serde::Deserialize)]
    pub(crate) struct Stats {
        total_participants: Option<i64>,
        internal_participants: Option<i64>,
        external_participants: Option<i64>,
        contacts_participants: Option<i64>,
        participants_on_to_line: Option<i64>,
        participants_on_cc_line: Option<i64>,
        accepted_participants: Option<i64>,
        declined_participants: Option<i64>,
        tentative_participants: Option<i64>,
    }

    #[derive(serde::Deserialize)]
    pub(crate) struct CrmStatus<'a> {
        #[serde(borrow)]
        matched_to: Option<Text<'a>>,
        pushed: Option<bool>,
        push_time: Option<Text<'a>>,
        crm_id: Option<Text<'a>>,
        account: Option<Account<'a>>,
        opportunity: Option<Opportunity<'a>>,
        lead: Option<Lead<'a>>,
    }

    #[derive(serde::Deserialize)]
    pub(crate) struct Opportunity<'a> {
        #[serde(borrow)]
        crm_id: Option<Text<'a>>,
        name: Option<Text<'a>>,
        stage_name: Option<Text<'a>>,
        stage_rank: Option<i64>,
        account: Option<AccountName<'a>>,
    }

    record!(Team { crm_id: Text<'a>, name: Text<'a>, });
    record!(AccountName { crm_id: Text<'a>, name: Text<'a>, });
    record!(Campaign { crm_id: Text<'a>, name: Text<'a>, start_date: Text<'a>, end_date: Text<'a>, });
    record!(Account {
        crm_id: Text<'a>,
        name: Text<'a>,
        parent_account_crm_id: Text<'a>,
        parent_account_name: Text<'a>,
    });
    record!(Lead {
        crm_id: Text<'a>,
        name: Text<'a>,
        title: Text<'a>,
        phone: Text<'a>,
        email: Text<'a>,
        lead_stage: Text<'a>,
    });
}
