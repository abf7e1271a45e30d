//! Reads `extra` back: JSON text whose numbers keep their spelling.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::canonical::{ListWriter, ObjectWriter};
use crate::extra_column::write_json_text;

/// A JSON value out of `extra`.
#[derive(Debug)]
pub(crate) enum Json {
    Null,
    /// A text, number or boolean in its canonical spelling.
    Scalar(Vec<u8>),
    List(Vec<Json>),
    Object(BTreeMap<String, Json>),
}

/// The entries of `extra`. What isn't an object, which this crate never writes, has none.
pub(crate) fn parse_object(json: &str) -> BTreeMap<String, Json> {
    match serde_json::from_str::<BTreeMap<String, &RawValue>>(json) {
        Ok(entries) => entries.into_iter().map(|(key, value)| (key, Json::parse(value.get()))).collect(),
        Err(_) => BTreeMap::new(),
    }
}

impl Json {
    /// Reads the text of a value. Its depth is bounded where it was decoded.
    fn parse(json: &str) -> Self {
        match json.as_bytes().first() {
            Some(b'{') => Self::Object(parse_object(json)),
            Some(b'[') => match serde_json::from_str::<Vec<&RawValue>>(json) {
                Ok(items) => Self::List(items.into_iter().map(|item| Self::parse(item.get())).collect()),
                Err(_) => Self::Null,
            },
            Some(b'"') => Self::Scalar(canonical_text(json)),
            Some(b'n') | None => Self::Null,
            Some(_) if json == "-0" => Self::Scalar(b"0".to_vec()),
            Some(_) => Self::Scalar(json.as_bytes().to_vec()),
        }
    }

    /// Appends the value's canonical JSON. Returns whether there is any.
    pub(crate) fn write(&self, json: &mut Vec<u8>) -> bool {
        match self {
            Self::Null => false,
            Self::Scalar(text) => {
                json.extend_from_slice(text);
                true
            }
            Self::List(items) => {
                let mut list = ListWriter::begin(json);
                for item in items {
                    list.item(|json| item.write(json));
                }
                list.end()
            }
            Self::Object(entries) => {
                let mut object = ObjectWriter::begin(json);
                for (key, value) in entries {
                    object.entry(key, |json| value.write(json));
                }
                object.end()
            }
        }
    }
}

/// A text with the fewest escapes. Half of a surrogate pair, which no Rust text can hold, keeps its escape, in lower case.
fn canonical_text(json: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len());
    match serde_json::from_str::<String>(json) {
        Ok(text) => write_json_text(&mut out, &text),
        Err(_) => {
            // All escapes but those of halves are resolved piece by piece.
            out.push(b'"');
            let mut rest = &json[1..json.len() - 1];
            while let Some(at) = rest.find('\\') {
                push_inside(&mut out, &rest[..at]);
                let tail = &rest[at..];
                let len = if tail.as_bytes().get(1) == Some(&b'u') { 6 } else { 2 };
                let pair = tail
                    .get(..12)
                    .filter(|pair| serde_json::from_str::<String>(&format!("\"{pair}\"")).is_ok());
                let escape = if len == 6 { pair.unwrap_or(&tail[..len]) } else { &tail[..len] };
                match serde_json::from_str::<String>(&format!("\"{escape}\"")) {
                    Ok(text) => push_inside(&mut out, &text),
                    Err(_) => out.extend_from_slice(escape.to_ascii_lowercase().as_bytes()),
                }
                rest = &tail[escape.len()..];
            }
            push_inside(&mut out, rest);
            out.push(b'"');
        }
    }
    out
}

fn push_inside(out: &mut Vec<u8>, text: &str) {
    let mut quoted = Vec::with_capacity(text.len() + 2);
    write_json_text(&mut quoted, text);
    out.extend_from_slice(&quoted[1..quoted.len() - 1]);
}
