//! Writes the record types of `formats`: structs, and their decoding by field.

use std::fmt::Write as _;

use super::model::{Kind, Model, Object};
use super::names::{doc_lines, field_ident};

pub(crate) fn write(model: &Model) -> String {
    let mut out = String::from(
        "//! The records of a bulk export: `docs/openapi.yaml` as Rust types.\n\n\
         use crate::extra::Extra;\n\
         use crate::record::sealed::Sealed;\n\
         use crate::record::{Decode, FieldSource, Found, Record, Text, own, own_all, own_record, own_records};\n",
    );
    let most = model.with_role("record").map(|object| object.fields.len()).max().unwrap_or_default();
    let _ = write!(
        out,
        "\n/// How many types of records there are.\npub(crate) const RECORD_TYPES: usize = {};\n\
         \n/// How many fields the longest record has.\npub(crate) const MAX_FIELDS: usize = {most};\n",
        model.with_role("record").count()
    );
    for (number, object) in model.with_role("record").enumerate() {
        write_struct(&mut out, object);
        write_owned(&mut out, object);
        write_decode(&mut out, object, number);
    }
    out
}

fn rust_type(kind: &Kind) -> String {
    match kind {
        Kind::Text | Kind::Timestamp | Kind::Date | Kind::JobId | Kind::Enumeration(_) => {
            "Option<Text<'a>>".into()
        }
        Kind::Integer => "Option<i64>".into(),
        Kind::Boolean => "Option<bool>".into(),
        Kind::Texts { .. } => "Option<Vec<Text<'a>>>".into(),
        Kind::Object(name) => format!("Option<{name}<'a>>"),
        Kind::Objects(name) => format!("Option<Vec<{name}<'a>>>"),
    }
}

/// The method of `FieldSource` that reads a field.
fn read_method(kind: &Kind) -> &'static str {
    match kind {
        Kind::Text | Kind::JobId | Kind::Enumeration(_) | Kind::Timestamp | Kind::Date => "text",
        Kind::Integer => "integer",
        Kind::Boolean => "boolean",
        Kind::Texts { loose: false } => "texts",
        Kind::Texts { loose: true } => "texts_or_text",
        Kind::Object(_) => "record",
        Kind::Objects(_) => "records",
    }
}

fn unit_note(kind: &Kind) -> &'static str {
    match kind {
        Kind::Timestamp => {
            "\n\nText as delivered; [`parse_timestamp`](crate::parse_timestamp) reads both of its forms (contract (e.4))."
        }
        Kind::Date => "\n\nText as delivered, `yyyy-MM-dd`, a UTC day.",
        _ => "",
    }
}

fn write_struct(out: &mut String, object: &Object) {
    let _ = write!(
        out,
        "\n{docs}#[derive(Clone, Debug, Default, PartialEq)]\n#[non_exhaustive]\npub struct {name}<'a> {{\n",
        docs = doc_lines(&format!("{}\n\nContract ({}).", object.docs, object.section)),
        name = object.name
    );
    for field in &object.fields {
        let docs = doc_lines(&format!("{}{}", field.docs, unit_note(&field.kind)));
        let _ = writeln!(out, "{docs}pub {}: {},", field_ident(&field.name), rust_type(&field.kind));
    }
    out.push_str(
        "/// Keys that this version doesn't know, and values of another type than expected: kept as delivered.\n\
         pub extra: Extra<'a>,\n}\n",
    );
}

fn write_owned(out: &mut String, object: &Object) {
    let _ = write!(
        out,
        "\nimpl {name}<'_> {{\n/// The same record, owning its text: it outlives the bytes that it was decoded from.\n\
         pub fn into_owned(self) -> {name}<'static> {{\n{name} {{\n",
        name = object.name
    );
    for field in &object.fields {
        let ident = field_ident(&field.name);
        let _ = match &field.kind {
            Kind::Integer | Kind::Boolean => writeln!(out, "{ident}: self.{ident},"),
            Kind::Texts { .. } => writeln!(out, "{ident}: own_all(self.{ident}),"),
            Kind::Object(name) => writeln!(out, "{ident}: own_record(self.{ident}, {name}::into_owned),"),
            Kind::Objects(name) => writeln!(out, "{ident}: own_records(self.{ident}, {name}::into_owned),"),
            _ => writeln!(out, "{ident}: own(self.{ident}),"),
        };
    }
    out.push_str("extra: self.extra.into_owned(),\n}\n}\n}\n");
}

fn write_decode(out: &mut String, object: &Object, number: usize) {
    let name = &object.name;
    let _ = write!(
        out,
        "\nimpl Sealed for {name}<'_> {{}}\n\nimpl Record for {name}<'_> {{\nconst TYPE: usize = {number};\nconst FIELDS: &'static [&'static str] = &["
    );
    for field in &object.fields {
        let _ = write!(out, "{:?}, ", field.name);
    }
    out.push_str("];\nconst KEYS: &'static [&'static str] = &[");
    for field in &object.fields {
        let _ = write!(out, "{:?}, ", format!("\"{}\":", field.name));
    }
    out.push_str("];\n\nfn index_of(key: &str) -> Option<usize> {\nSome(match key {\n");
    for (index, field) in object.fields.iter().enumerate() {
        let _ = writeln!(out, "{:?} => {index},", field.name);
    }
    let _ = write!(
        out,
        "_ => return None,\n}})\n}}\n}}\n\nimpl<'a> Decode<'a> for {name}<'a> {{\n\
         fn field<S: FieldSource<'a>>(&mut self, index: usize, source: &mut S) -> Result<Found, S::Error> {{\n\
         match index {{\n",
    );
    for (index, field) in object.fields.iter().enumerate() {
        let _ = writeln!(
            out,
            "{index} => source.{}(&mut self.{}),",
            read_method(&field.kind),
            field_ident(&field.name)
        );
    }
    out.push_str("_ => Ok(Found::Unknown),\n}\n}\n\nfn extra_mut(&mut self) -> &mut Extra<'a> {\n&mut self.extra\n}\n}\n");
}
