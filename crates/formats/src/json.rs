//! JSON to records. [`pull_record`](crate::pull_record) reads nearly all of them; this is what decides about the rest, and what is
//! right: a strict pass, and behind it a lenient one for the rare record in which a value has another type than expected.
//!
//! The strict pass lets serde_json read each value straight as its field's type. When that fails, the line is read again
//! with every value kept as raw text first, so that only the odd value (a number where a text was due, half of a
//! surrogate pair) goes to `extra` and its text stays byte-equal. A line that isn't JSON fails in both.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::columns::Odd;
use crate::extra::keep_last_of_each;
use crate::pull_record;
use crate::record::{Decode, FieldSource, Found, Text};

/// Decodes a JSON object into a record.
///
/// Returns whether any of the record's fields was there, beside the record.
pub(crate) fn decode<'a, R: Decode<'a>>(json: &'a str) -> Result<(R, bool), serde_json::Error> {
    pull_record::decode(json).or_else(|Odd| decode_slowly(json))
}

fn decode_slowly<'a, R: Decode<'a>>(json: &'a str) -> Result<(R, bool), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let strict = StrictRecord::<R>(PhantomData)
        .deserialize(&mut deserializer)
        .and_then(|decoded| deserializer.end().map(|()| decoded));
    match strict {
        Ok(decoded) => Ok(decoded),
        Err(_) => lenient(serde_json::from_str(json)?),
    }
}

/// How deep the values that the schema doesn't know may be nested. Readers of `extra` have their bounds too: serde_json's
/// own is 128, and the row around the value takes a few levels.
pub(crate) const MAX_NESTING: usize = 100;

/// How many records may stand in one list. A record takes a hundred times the memory of the `{}` that it may have been
/// delivered as, so without a bound a row of legal length could use up all of it.
pub(crate) const MAX_RECORDS: usize = 1 << 16;

/// Refuses one more record than may stand in a list.
fn check_count<E: Error>(records: usize) -> Result<(), E> {
    if records < MAX_RECORDS {
        Ok(())
    } else {
        Err(E::custom(format_args!("a list holds more than {MAX_RECORDS} objects")))
    }
}

/// Takes the text of a value into `extra`, unless it is nested so deeply that nobody could read it again.
fn keep<'a, R: Decode<'a>, E: Error>(record: &mut R, key: Text<'a>, value: &'a RawValue) -> Result<(), E> {
    let json = value.get();
    if json.len() > MAX_NESTING && nesting(json) > MAX_NESTING {
        return Err(E::custom(format_args!("`{key}` is nested more than {MAX_NESTING} levels deep")));
    }
    record.extra_mut().push(key, Cow::Borrowed(json));
    Ok(())
}

/// The greatest depth of lists and objects in a JSON text that is known to be well-formed.
fn nesting(json: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_text, mut escaped) = (false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// A key or text: borrowed where it stands in the input without escapes.
struct JsonText<'a>(Text<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for JsonText<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Cow::Borrowed(text))
            }
            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Cow::Owned(text.to_owned()))
            }
        }
        deserializer.deserialize_str(TextVisitor).map(JsonText)
    }
}

/// Reads an object into a record whose values all have the expected types.
struct StrictRecord<R>(PhantomData<R>);

impl<'de, R: Decode<'de>> DeserializeSeed<'de> for StrictRecord<R> {
    type Value = (R, bool);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, R: Decode<'de>> Visitor<'de> for StrictRecord<R> {
    type Value = (R, bool);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut record = R::default();
        let mut any = false;
        while let Some(JsonText(key)) = map.next_key()? {
            match record.field_named(&key, &mut StrictSource { map: &mut map })? {
                Found::Taken => any = true,
                Found::Unknown | Found::Drifted => keep(&mut record, key, map.next_value()?)?,
            }
        }
        record.extra_mut().settle();
        Ok((record, any))
    }
}

/// Lets a nested record be read through serde's own containers.
struct Strict<R>(R);

impl<'de, R: Decode<'de>> Deserialize<'de> for Strict<R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        StrictRecord(PhantomData).deserialize(deserializer).map(|(record, _)| Self(record))
    }
}

/// A list of records without null elements.
struct StrictRecords<R>(Vec<R>);

impl<'de, R: Decode<'de>> Deserialize<'de> for StrictRecords<R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor<R>(PhantomData<R>);
        impl<'de, R: Decode<'de>> Visitor<'de> for ListVisitor<R> {
            type Value = Vec<R>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of objects")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut records = Vec::new();
                while let Some(record) = list.next_element::<Option<Strict<R>>>()? {
                    check_count(records.len())?;
                    records.extend(record.map(|record| record.0));
                }
                Ok(records)
            }
        }
        deserializer.deserialize_seq(ListVisitor(PhantomData)).map(Self)
    }
}

struct StrictSource<'m, A> {
    map: &'m mut A,
}

impl<'de, A: MapAccess<'de>> FieldSource<'de> for StrictSource<'_, A> {
    type Error = A::Error;

    fn text(&mut self, slot: &mut Option<Text<'de>>) -> Result<Found, A::Error> {
        *slot = self.map.next_value::<Option<JsonText<'de>>>()?.map(|text| text.0);
        Ok(Found::Taken)
    }

    fn integer(&mut self, slot: &mut Option<i64>) -> Result<Found, A::Error> {
        *slot = self.map.next_value()?;
        Ok(Found::Taken)
    }

    fn boolean(&mut self, slot: &mut Option<bool>) -> Result<Found, A::Error> {
        *slot = self.map.next_value()?;
        Ok(Found::Taken)
    }

    fn texts(&mut self, slot: &mut Option<Vec<Text<'de>>>) -> Result<Found, A::Error> {
        *slot = self.map.next_value::<Option<Texts<'de>>>()?.map(|texts| texts.0);
        Ok(Found::Taken)
    }

    fn texts_or_text(&mut self, slot: &mut Option<Vec<Text<'de>>>) -> Result<Found, A::Error> {
        *slot = self.map.next_value::<Option<TextsOrText<'de>>>()?.map(|texts| texts.0);
        Ok(Found::Taken)
    }

    fn record<R: Decode<'de>>(&mut self, slot: &mut Option<R>) -> Result<Found, A::Error> {
        *slot = self.map.next_value::<Option<Strict<R>>>()?.map(|record| record.0);
        Ok(Found::Taken)
    }

    fn records<R: Decode<'de>>(&mut self, slot: &mut Option<Vec<R>>) -> Result<Found, A::Error> {
        *slot = self.map.next_value::<Option<StrictRecords<R>>>()?.map(|records| records.0);
        Ok(Found::Taken)
    }
}

/// A list of texts without null elements.
struct Texts<'a>(Vec<Text<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Texts<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = Vec::<Option<JsonText<'de>>>::deserialize(deserializer)?;
        Ok(Self(texts.into_iter().flatten().map(|text| text.0).collect()))
    }
}

/// A list of texts, or a lone one.
struct TextsOrText<'a>(Vec<Text<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for TextsOrText<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EitherVisitor;
        impl<'de> Visitor<'de> for EitherVisitor {
            type Value = Vec<Text<'de>>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of texts")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(vec![Cow::Borrowed(text)])
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(vec![Cow::Owned(text.to_owned())])
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = list.next_element::<Option<JsonText<'de>>>()? {
                    texts.extend(text.map(|text| text.0));
                }
                Ok(texts)
            }
        }
        deserializer.deserialize_any(EitherVisitor).map(TextsOrText)
    }
}

/// An object whose values are raw text; of a key that appears twice the last value counts.
struct RawObject<'a>(Vec<(Text<'a>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for RawObject<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor;
        impl<'de> Visitor<'de> for ObjectVisitor {
            type Value = RawObject<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries: Vec<(Text<'de>, &'de RawValue)> = Vec::new();
                while let Some((JsonText(key), value)) = map.next_entry()? {
                    entries.push((key, value));
                }
                keep_last_of_each(&mut entries);
                Ok(RawObject(entries))
            }
        }
        deserializer.deserialize_map(ObjectVisitor)
    }
}

fn lenient<'a, R: Decode<'a>>(object: RawObject<'a>) -> Result<(R, bool), serde_json::Error> {
    let mut record = R::default();
    let mut any = false;
    for (key, value) in object.0 {
        let found = record.field_named(&key, &mut LenientSource { value })?;
        any |= found != Found::Unknown;
        if found != Found::Taken {
            keep(&mut record, key, value)?;
        }
    }
    Ok((record, any))
}

struct LenientSource<'a> {
    value: &'a RawValue,
}

impl<'a> LenientSource<'a> {
    /// Reads the value as `T`, or leaves the field empty for the value to go to `extra`.
    fn read<T: Deserialize<'a>, F>(
        &self,
        slot: &mut Option<F>,
        into: impl Fn(T) -> Result<F, serde_json::Error>,
    ) -> Result<Found, serde_json::Error> {
        *slot = None;
        match serde_json::from_str::<Option<T>>(self.value.get()) {
            Ok(value) => *slot = value.map(into).transpose()?,
            Err(_) => return Ok(Found::Drifted),
        }
        Ok(Found::Taken)
    }
}

impl<'a> FieldSource<'a> for LenientSource<'a> {
    type Error = serde_json::Error;

    fn text(&mut self, slot: &mut Option<Text<'a>>) -> Result<Found, Self::Error> {
        self.read(slot, |text: JsonText<'a>| Ok(text.0))
    }

    fn integer(&mut self, slot: &mut Option<i64>) -> Result<Found, Self::Error> {
        self.read(slot, Ok)
    }

    fn boolean(&mut self, slot: &mut Option<bool>) -> Result<Found, Self::Error> {
        self.read(slot, Ok)
    }

    fn texts(&mut self, slot: &mut Option<Vec<Text<'a>>>) -> Result<Found, Self::Error> {
        self.read(slot, |texts: Texts<'a>| Ok(texts.0))
    }

    fn texts_or_text(&mut self, slot: &mut Option<Vec<Text<'a>>>) -> Result<Found, Self::Error> {
        self.read(slot, |texts: TextsOrText<'a>| Ok(texts.0))
    }

    fn record<R: Decode<'a>>(&mut self, slot: &mut Option<R>) -> Result<Found, Self::Error> {
        self.read(slot, |object: RawObject<'a>| Ok(lenient(object)?.0))
    }

    fn records<R: Decode<'a>>(&mut self, slot: &mut Option<Vec<R>>) -> Result<Found, Self::Error> {
        self.read(slot, |objects: Vec<Option<RawObject<'a>>>| {
            check_count(objects.len().saturating_sub(1))?;
            objects.into_iter().flatten().map(|object| Ok(lenient(object)?.0)).collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::generated::Activity;

    fn same_or_refused(json: &str) -> Result<(), TestCaseError> {
        if let Ok(fast) = pull_record::decode::<Activity<'_>>(json) {
            let slow = decode_slowly::<Activity<'_>>(json);
            prop_assert_eq!(
                fast,
                slow.map_err(|error| TestCaseError::fail(format!("taken, but {error}: {json}")))?
            );
        }
        Ok(())
    }

    /// JSON with the record's own keys, spelled in many ways, some of them wrong.
    fn json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            "(-)?[0-9]{1,19}(\\.[0-9]{0,2})?([eE][+-]?[0-9]{0,2})?",
            "\"[ -!#-~é\u{2028}]{0,20}\"",
            "\"([a-z]|\\\\[\"\\\\/bfnrtux]|\\\\u[0-9a-fD-d]{4}|\t){0,12}\"",
            prop::sample::select(vec!["null", "true", "false", "nul", "", "[]", "{}", "[ ]", "{ }"])
                .prop_map(String::from),
        ];
        let key = prop::sample::select(vec![
            "uid",
            "type",
            "tags",
            "duration",
            "all_day",
            "participants",
            "campaigns",
            "stats",
            "crm_status",
            "name",
            "team",
            "total_participants",
            "account",
            "attachment_file_names",
            "timestamp",
            "x",
            "y",
            "u\\u0069d",
        ]);
        leaf.prop_recursive(4, 60, 6, move |inner| {
            let space = || "[ \t\r\n]{0,1}";
            let list = (prop::collection::vec(inner.clone(), 0..4), space())
                .prop_map(|(items, space)| format!("[{space}{}]", items.join(&format!(",{space}"))));
            let entry = (key.clone(), space(), inner)
                .prop_map(|(key, space, value)| format!("{space}\"{key}\"{space}:{space}{value}{space}"));
            let object =
                prop::collection::vec(entry, 0..8).prop_map(|entries| format!("{{{}}}", entries.join(",")));
            prop_oneof![1 => list, 3 => object]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn the_fast_pass_takes_nothing_that_the_slow_one_reads_differently(json in json(), cut in any::<prop::sample::Index>()) {
            same_or_refused(&json)?;
            let mut end = cut.index(json.len() + 1);
            while !json.is_char_boundary(end) {
                end -= 1;
            }
            same_or_refused(&json[..end])?;
            same_or_refused(&format!("{json}{}", &json[end..]))?;
        }

        #[test]
        fn plain_records_take_the_fast_pass(subject in "[ -!#-\\[\\]-~é]{0,40}", duration in 0..1_000_000_i64, seen in any::<bool>()) {
            let json = format!(
                r#"{{"x":{{"y":[1,"z"]}},"uid":"a","duration":{duration},"all_day":{seen},"subject":"{subject}","tags":["a",null],"participants":[{{"name":"n","team":{{}}}}],"stats":null}}"#
            );
            let fast = pull_record::decode::<Activity<'_>>(&json);
            prop_assert_eq!(fast.unwrap(), decode_slowly(&json).unwrap());
        }
    }
}
