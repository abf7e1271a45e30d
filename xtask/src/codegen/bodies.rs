//! Writes the request and reply bodies of `api`: the export requests, the job, and their words.

use std::fmt::Write as _;

use super::model::{Enumeration, Field, Kind, Model, Object};
use super::names::{doc_lines, field_ident, variant_ident};

pub(crate) fn write(model: &Model) -> String {
    let mut out = String::from(
        "//! The bodies of export requests and jobs: `docs/openapi.yaml` as Rust types.\n\n\
         use backstory_limits::ExportKind;\n\
         use jiff::Timestamp;\n\
         use jiff::civil::Date;\n\
         use serde::Serialize;\n\
         use serde_json::{Map, Value};\n\n\
         use crate::wire::{self, JobId};\n",
    );
    for enumeration in model.enumerations.iter().filter(|found| found.name != "ExportType") {
        write_enumeration(&mut out, enumeration);
    }
    for object in model.with_role("request") {
        write_request(&mut out, object);
    }
    for object in model.with_role("reply") {
        write_reply(&mut out, object);
    }
    out
}

fn write_enumeration(out: &mut String, of: &Enumeration) {
    let name = &of.name;
    let open_docs = if of.open { "\n\nThe service may add words; an unknown one is kept." } else { "" };
    let docs = doc_lines(&format!("{}{open_docs}\n\nContract ({}).", of.docs, of.section));
    let copy = if of.open { "" } else { "Copy, " };
    let _ = writeln!(
        out,
        "\n{docs}#[derive(Clone, {copy}Debug, PartialEq, Eq, Hash)]\n#[non_exhaustive]\npub enum {name} {{"
    );
    for value in &of.values {
        let _ = writeln!(out, "/// `{value}`.\n{},", variant_ident(value));
    }
    if of.open {
        out.push_str("/// A word that this version doesn't know, as delivered.\nOther(String),\n");
    }
    let _ = write!(
        out,
        "}}\n\nimpl {name} {{\n/// The API's own word.\npub fn as_str(&self) -> &str {{\nmatch self {{\n"
    );
    for value in &of.values {
        let _ = writeln!(out, "Self::{} => {value:?},", variant_ident(value));
    }
    if of.open {
        out.push_str("Self::Other(word) => word,\n");
    }
    out.push_str("}\n}\n\n");
    if of.open {
        out.push_str("/// Reads the API's word, in any case; an unknown one is kept as it stands.\npub fn from_word(word: &str) -> Self {\n");
        for value in &of.values {
            let _ = writeln!(
                out,
                "if word.eq_ignore_ascii_case({value:?}) {{ return Self::{}; }}",
                variant_ident(value)
            );
        }
        out.push_str("Self::Other(word.to_owned())\n}\n}\n");
    } else {
        let _ = write!(out, "/// Every word that a request may use.\npub const ALL: &'static [Self] = &[");
        for value in &of.values {
            let _ = write!(out, "Self::{}, ", variant_ident(value));
        }
        out.push_str("];\n\n/// Reads the API's word, in any case.\npub fn from_word(word: &str) -> Option<Self> {\nSelf::ALL.iter().copied().find(|known| known.as_str().eq_ignore_ascii_case(word))\n}\n}\n");
    }
    let _ = write!(
        out,
        "\nimpl std::fmt::Display for {name} {{\nfn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {{\nf.pad(self.as_str())\n}}\n}}\n\
         \nimpl Serialize for {name} {{\nfn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {{\nserializer.serialize_str(self.as_str())\n}}\n}}\n"
    );
}

fn request_type(field: &Field) -> String {
    let plain = match &field.kind {
        Kind::Date => "Date".to_owned(),
        Kind::Boolean => "bool".into(),
        Kind::Integer => "i64".into(),
        Kind::Enumeration(name) if name == "ExportType" => "ExportKind".into(),
        Kind::Enumeration(name) => name.clone(),
        _ => "String".into(),
    };
    if field.required { plain } else { format!("Option<{plain}>") }
}

fn write_request(out: &mut String, object: &Object) {
    let docs = doc_lines(&format!("{}\n\nContract ({}).", object.docs, object.section));
    let _ = writeln!(
        out,
        "\n{docs}#[derive(Clone, Debug, PartialEq, Eq, Serialize)]\npub(crate) struct {} {{",
        object.name
    );
    for field in &object.fields {
        out.push_str(&doc_lines(&field.docs));
        match (&field.kind, field.required) {
            (_, false) => out.push_str("#[serde(skip_serializing_if = \"Option::is_none\")]\n"),
            (Kind::Date, true) => out.push_str("#[serde(serialize_with = \"wire::day\")]\n"),
            (Kind::Enumeration(name), true) if name == "ExportType" => {
                out.push_str("#[serde(serialize_with = \"wire::kind\")]\n");
            }
            _ => {}
        }
        let _ = writeln!(out, "pub(crate) {}: {},", field_ident(&field.name), request_type(field));
    }
    out.push_str("}\n");
}

fn write_reply(out: &mut String, object: &Object) {
    let docs = doc_lines(&format!("{}\n\nContract ({}).", object.docs, object.section));
    let _ = writeln!(
        out,
        "\n{docs}#[derive(Clone, Debug, PartialEq, Serialize)]\n#[non_exhaustive]\npub struct {} {{",
        object.name
    );
    for field in &object.fields {
        let plain = match &field.kind {
            Kind::JobId => "JobId".to_owned(),
            Kind::Timestamp => "Timestamp".into(),
            Kind::Date => "Date".into(),
            Kind::Integer => "i64".into(),
            Kind::Boolean => "bool".into(),
            Kind::Enumeration(name) => name.clone(),
            _ => "String".into(),
        };
        let full = if field.required { plain } else { format!("Option<{plain}>") };
        let skip = if field.required { "" } else { "#[serde(skip_serializing_if = \"Option::is_none\")]\n" };
        let _ = writeln!(out, "{}{skip}pub {}: {full},", doc_lines(&field.docs), field_ident(&field.name));
    }
    let _ = write!(
        out,
        "/// Everything else that the service sent, and values of another type than expected.\n#[serde(flatten)]\npub unknown: Map<String, Value>,\n}}\n\n\
         impl {name} {{\n/// Takes the fields out of a JSON object; what is left stays in `unknown`.\n\
         pub(crate) fn from_object(mut object: Map<String, Value>) -> Option<Self> {{\nSome(Self {{\n",
        name = object.name
    );
    for field in &object.fields {
        let read = match &field.kind {
            Kind::JobId => "wire::job_id".to_owned(),
            Kind::Timestamp => "wire::timestamp".into(),
            Kind::Date => "wire::date".into(),
            Kind::Integer => "Value::as_i64".into(),
            Kind::Boolean => "Value::as_bool".into(),
            Kind::Enumeration(name) => format!("|value| value.as_str().map({name}::from_word)"),
            _ => "|value| value.as_str().map(str::to_owned)".into(),
        };
        let mark = if field.required { "?" } else { "" };
        let _ = writeln!(
            out,
            "{}: wire::take(&mut object, {:?}, {read}){mark},",
            field_ident(&field.name),
            field.name
        );
    }
    out.push_str("unknown: object,\n})\n}\n}\n");
}
