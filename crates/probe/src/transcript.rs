//! What a run has seen: every exchange by the step that it belongs to. It holds what the service sent, ids and records
//! included, so it never leaves this crate; the findings are computed from it, and they hold none of that.

use std::borrow::Cow;
use std::io::Read as _;
use std::time::Duration;

use backstory_auth::Secret;
use backstory_formats::{parse_date, parse_timestamp};
use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use http::{HeaderMap, StatusCode, header};
use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::{Map, Value};

use crate::budget::PortNotes;
use crate::session::KEEP;
use crate::step::Step;

/// What a gzip stream begins with.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// One request and what came of it.
pub(crate) struct Exchange {
    pub(crate) step: Step,
    /// Since the run began, when its reply was there.
    pub(crate) at: Duration,
    pub(crate) outcome: Result<Reply, String>,
}

/// A reply.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// The redirect that was followed to get here.
    pub(crate) redirect: Option<Redirect>,
    pub(crate) body: BodyRead,
}

/// A redirect that a request met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Redirect {
    pub(crate) status: StatusCode,
    pub(crate) other_origin: bool,
}

/// A body as far as it was read.
#[derive(Default)]
pub(crate) struct BodyRead {
    /// The first bytes, up to what was to be kept.
    pub(crate) kept: Bytes,
    /// How many bytes came in all.
    pub(crate) bytes: u64,
    pub(crate) end: BodyEnd,
}

/// How reading a body ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum BodyEnd {
    #[default]
    Whole,
    /// It ended with the connection, which proves nothing.
    Unproven,
    /// The connection broke, or stood still.
    Cut,
    /// Enough had come, and no more was read.
    Stopped,
}

impl BodyRead {
    /// Everything, decompressed if it came compressed, if it was kept.
    pub(crate) fn plain(&self) -> Option<Cow<'_, [u8]>> {
        let all = self.all()?;
        if !all.starts_with(&GZIP) {
            return Some(Cow::Borrowed(all));
        }
        let mut plain = Vec::new();
        let mut decoder = MultiGzDecoder::new(&all[..]).take(KEEP as u64 + 1);
        decoder.read_to_end(&mut plain).ok().filter(|bytes| *bytes <= KEEP)?;
        Some(Cow::Owned(plain))
    }

    /// Whether it came compressed, whatever its headers say.
    pub(crate) fn is_gzip(&self) -> bool {
        self.kept.starts_with(&GZIP)
    }

    /// Everything, if it was kept.
    pub(crate) fn all(&self) -> Option<&Bytes> {
        (self.kept.len() as u64 == self.bytes && self.end != BodyEnd::Stopped).then_some(&self.kept)
    }
}

impl Reply {
    pub(crate) fn header(&self, name: header::HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(crate) fn json(&self) -> Option<Value> {
        serde_json::from_slice(self.body.all()?).ok()
    }

    pub(crate) fn date(&self) -> Option<Timestamp> {
        backstory_transport::http_date(self.header(header::DATE)?)
    }

    /// The jobs of a list, in their order, whichever shape the list has (contract (j.7)).
    pub(crate) fn jobs(&self) -> Option<Vec<JobView>> {
        let list = match self.json()? {
            Value::Array(list) => list,
            Value::Object(mut object) => match object.remove("jobs").or_else(|| object.remove("data"))? {
                Value::Array(list) => list,
                _ => return None,
            },
            _ => return None,
        };
        Some(list.into_iter().filter_map(JobView::of).collect())
    }

    /// Whether it refuses a creation because there is no room (contract (j.1)).
    pub(crate) fn speaks_of_a_full_queue(&self) -> bool {
        match self.status.as_u16() {
            429 => true,
            400 | 403 | 409 | 503 => {
                let text = String::from_utf8_lossy(&self.body.kept).to_ascii_lowercase();
                ["queue", "limit", "maximum"].iter().any(|word| text.contains(word))
                    && !text.contains("range")
            }
            _ => false,
        }
    }

    pub(crate) fn job(&self) -> Option<JobView> {
        JobView::of(self.json()?)
    }
}

/// A job as the wire shows it (contract (c.2), (d.2)).
#[derive(Clone)]
pub(crate) struct JobView {
    pub(crate) id: String,
    pub(crate) id_is_number: bool,
    object: Map<String, Value>,
}

const KNOWN_JOB_KEYS: [&str; 12] = [
    "job_id",
    "state",
    "export_type",
    "activity_type",
    "output_format",
    "start_date",
    "end_date",
    "job_created_time",
    "job_start_time",
    "job_end_time",
    "results_size",
    "fragments",
];

impl JobView {
    fn of(value: Value) -> Option<Self> {
        let Value::Object(object) = value else { return None };
        let (id, id_is_number) = match object.get("job_id")? {
            Value::String(id) if !id.is_empty() => (id.clone(), false),
            Value::Number(id) => (id.to_string(), true),
            _ => return None,
        };
        Some(Self { id, id_is_number, object })
    }

    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.object.get(key)?.as_str()
    }

    pub(crate) fn number(&self, key: &str) -> Option<u64> {
        self.object.get(key)?.as_u64()
    }

    pub(crate) fn time(&self, key: &str) -> Option<Timestamp> {
        parse_timestamp(self.text(key)?)
    }

    /// Whether a word of the job is this one, in any case.
    pub(crate) fn is(&self, key: &str, word: &str) -> bool {
        self.text(key).is_some_and(|text| text.eq_ignore_ascii_case(word))
    }

    pub(crate) fn state(&self) -> Option<&str> {
        self.text("state")
    }

    pub(crate) fn has_completed(&self) -> bool {
        self.is("state", "Completed")
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.is("state", "Failed") || self.is("state", "Canceled")
    }

    /// Its first and last day: of itself, or of the request that a contacts job repeats as text (contract (d.2)).
    pub(crate) fn range(&self) -> Option<(Date, Date)> {
        let days = |object: &Map<String, Value>| {
            let day = |key: &str| parse_date(object.get(key)?.as_str()?);
            Some((day("start_date")?, day("end_date")?))
        };
        days(&self.object).or_else(|| match serde_json::from_str(self.text("params")?).ok()? {
            Value::Object(params) => days(&params),
            _ => None,
        })
    }

    /// How many days it covers, both ends counted.
    pub(crate) fn days(&self) -> Option<u32> {
        let (start, end) = self.range()?;
        backstory_limits::DateRange::new(start, end).ok().map(|range| range.days())
    }

    /// How many keys it has that nobody has told of.
    pub(crate) fn unknown_keys(&self) -> usize {
        self.object.keys().filter(|key| !KNOWN_JOB_KEYS.contains(&key.as_str()) && *key != "params").count()
    }
}

/// A call for a token. The token itself is kept for comparing and for sending, never for showing.
pub(crate) struct TokenExchange {
    pub(crate) step: Step,
    pub(crate) outcome: Result<TokenReply, String>,
}

/// What a token endpoint said.
pub(crate) struct TokenReply {
    pub(crate) status: StatusCode,
    pub(crate) token: Option<Secret>,
    pub(crate) expires_in: Option<i64>,
    pub(crate) shape: ErrorShape,
    pub(crate) date: Option<Timestamp>,
}

/// The shape of a token endpoint's body, by its keys (contract (j.31)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorShape {
    /// `error` and `message`.
    Message,
    /// `error` and `error_description`.
    Description,
    Html,
    OtherJson,
    Empty,
    Other,
}

impl ErrorShape {
    pub(crate) fn of(body: &[u8]) -> Self {
        let body = body.trim_ascii();
        match serde_json::from_slice::<Value>(body) {
            Ok(Value::Object(object)) if object.contains_key("error_description") => Self::Description,
            Ok(Value::Object(object)) if object.contains_key("message") => Self::Message,
            Ok(_) => Self::OtherJson,
            Err(_) if body.is_empty() => Self::Empty,
            Err(_) if body.starts_with(b"<") => Self::Html,
            Err(_) => Self::Other,
        }
    }
}

/// Everything that a run has seen.
#[derive(Default)]
pub(crate) struct Transcript {
    pub(crate) exchanges: Vec<Exchange>,
    pub(crate) tokens: Vec<TokenExchange>,
    pub(crate) notes: PortNotes,
    /// Why a step was left out, by the step.
    pub(crate) skipped: Vec<(Step, String)>,
    /// The day that both jobs were asked for.
    pub(crate) day: Option<Date>,
    /// The contacts job's format.
    pub(crate) contacts_csv: bool,
    pub(crate) same_key: bool,
}

impl Transcript {
    /// The latest exchange of a step.
    pub(crate) fn exchange(&self, step: Step) -> Option<&Exchange> {
        self.exchanges.iter().rev().find(|exchange| exchange.step == step)
    }

    /// The latest reply to a step.
    pub(crate) fn reply(&self, step: Step) -> Option<&Reply> {
        self.replies(step).last()
    }

    /// All replies to a step, in their order.
    pub(crate) fn replies(&self, step: Step) -> impl DoubleEndedIterator<Item = &Reply> {
        let of_step = move |exchange: &&Exchange| exchange.step == step;
        self.exchanges.iter().filter(of_step).filter_map(|exchange| exchange.outcome.as_ref().ok())
    }

    pub(crate) fn token(&self, step: Step) -> Option<&TokenReply> {
        let last = self.tokens.iter().rev().find(|token| token.step == step)?;
        last.outcome.as_ref().ok()
    }

    /// Why there is no answer to a step.
    pub(crate) fn why_not(&self, step: Step) -> String {
        if let Some((_, why)) = self.skipped.iter().rev().find(|(skipped, _)| *skipped == step) {
            return why.clone();
        }
        let token = self.tokens.iter().rev().find(|token| token.step == step);
        if let Some(Err(why)) = token.map(|token| &token.outcome) {
            return why.clone();
        }
        match self.exchange(step).map(|exchange| &exchange.outcome) {
            Some(Err(why)) => why.clone(),
            Some(Ok(reply)) => format!("the service answered with HTTP {}", reply.status.as_u16()),
            None => "it was not asked".to_owned(),
        }
    }
}
