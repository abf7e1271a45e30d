//! Writes the columns of `tables`: what describes each column that comes from the API, and the builders that records are
//! pushed into.

use std::collections::HashSet;
use std::fmt::Write as _;

use super::model::{Field, Kind, Model, Object};
use super::names::field_ident;

pub(crate) fn write(model: &Model) -> Result<String, String> {
    let mut out = String::from(
        "//! The columns that come from the API, in the order of `docs/openapi.yaml`, and their builders.\n\n\
         use arrow_array::ArrayRef;\n\
         use backstory_formats as formats;\n\
         use backstory_formats::{CellColumn, Columns, Odd, OddRow, Value};\n\n\
         use crate::column::{Column, ColumnKind};\n\
         use crate::columns::{BooleanColumn, DateColumn, IntegerColumn, ListColumn, RowColumns, StructColumn, \
         StructColumns, TextColumn, TextsColumn, TimestampColumn};\nuse crate::extra_column::ExtraColumn;\n",
    );
    // A record that stands inside another, and not in a list, has no `extra` of its own.
    let inside: HashSet<&str> = model
        .with_role("record")
        .flat_map(|object| &object.fields)
        .filter_map(|field| match &field.kind {
            Kind::Object(target) => Some(target.as_str()),
            _ => None,
        })
        .collect();
    for object in model.with_role("record") {
        write_list(&mut out, model, object)?;
        let is_row = !inside.contains(object.name.as_str());
        write_builder(&mut out, object, is_row);
    }
    Ok(out)
}

fn write_list(out: &mut String, model: &Model, object: &Object) -> Result<(), String> {
    let name = constant(&object.name);
    let _ = write!(
        out,
        "\n/// {} Contract ({}).\npub(crate) static {name}: &[Column] = &[\n",
        object.docs, object.section
    );
    for field in &object.fields {
        let kind = match &field.kind {
            Kind::Text | Kind::JobId | Kind::Enumeration(_) => "ColumnKind::Text".to_owned(),
            Kind::Integer => "ColumnKind::Integer".into(),
            Kind::Boolean => "ColumnKind::Boolean".into(),
            Kind::Timestamp => "ColumnKind::Timestamp".into(),
            Kind::Date => "ColumnKind::Date".into(),
            Kind::Texts { .. } => "ColumnKind::Texts".into(),
            Kind::Object(target) => format!("ColumnKind::Struct({})", known(model, target)?),
            Kind::Objects(target) => format!("ColumnKind::Structs({})", known(model, target)?),
        };
        let _ = writeln!(
            out,
            "Column {{ name: {:?}, kind: {kind}, docs: {:?}, source: \"contract ({})\" }},",
            field.name, field.docs, object.section
        );
    }
    out.push_str("];\n");
    Ok(())
}

fn builder_type(field: &Field) -> String {
    match &field.kind {
        Kind::Text | Kind::JobId | Kind::Enumeration(_) => "TextColumn".into(),
        Kind::Integer => "IntegerColumn".into(),
        Kind::Boolean => "BooleanColumn".into(),
        Kind::Timestamp => "TimestampColumn".into(),
        Kind::Date => "DateColumn".into(),
        Kind::Texts { .. } => "TextsColumn".into(),
        Kind::Object(target) => format!("StructColumn<{target}Columns>"),
        Kind::Objects(target) => format!("ListColumn<{target}Columns>"),
    }
}

fn write_builder(out: &mut String, object: &Object, is_row: bool) {
    let name = &object.name;
    let _ = write!(
        out,
        "\n/// Builds the columns of [`{}`].\n#[derive(Debug, Default)]\npub(crate) struct {name}Columns {{\n",
        constant(name)
    );
    for field in &object.fields {
        let _ = writeln!(out, "pub(crate) {}: {},", field_ident(&field.name), builder_type(field));
    }
    if is_row {
        out.push_str("pub(crate) extra: ExtraColumn,\n");
    }
    out.push_str("}\n");
    write_reading(out, object, is_row);
    if is_row {
        let _ = write!(
            out,
            "\nimpl RowColumns for {name}Columns {{\ntype Of<'r> = formats::{name}<'r>;\n\n\
             fn push(&mut self, row: usize, record: &formats::{name}<'_>) {{\nlet Self {{ extra, .. }} = self;\n\
             extra.begin(row, &record.extra);\n"
        );
    } else {
        let _ = write!(
            out,
            "\nimpl StructColumns for {name}Columns {{\ntype Of<'r> = formats::{name}<'r>;\n\n\
             fn push(&mut self, row: usize, record: &formats::{name}<'_>, extra: &mut ExtraColumn) {{\n\
             extra.put_all(&record.extra);\n"
        );
    }
    for field in &object.fields {
        let _ = writeln!(out, "{}", push_call(field));
    }
    out.push_str(if is_row { "extra.end();\n}\n" } else { "}\n" });
    out.push_str("\nfn truncate(&mut self, rows: usize) {\n");
    for field in &object.fields {
        let _ = writeln!(out, "self.{}.truncate(rows);", field_ident(&field.name));
    }
    if is_row {
        out.push_str("self.extra.truncate(rows);\n");
    }
    out.push_str("}\n\nfn finish(&mut self, rows: usize) -> Vec<ArrayRef> {\nvec![\n");
    for field in &object.fields {
        let argument = match &field.kind {
            Kind::Object(target) | Kind::Objects(target) => format!(", {}", constant(target)),
            _ => String::new(),
        };
        let _ = writeln!(out, "self.{}.finish(rows{argument}),", field_ident(&field.name));
    }
    if is_row {
        out.push_str("self.extra.finish(rows),\n");
    }
    let mut sizes: Vec<String> =
        object.fields.iter().map(|field| format!("self.{}.bytes()", field_ident(&field.name))).collect();
    if is_row {
        sizes.push("self.extra.bytes()".to_owned());
    }
    let _ = write!(out, "]\n}}\n\nfn bytes(&self) -> usize {{\n{}\n}}\n}}\n", sizes.join(" + "));
}

/// The straight way from rows, without a record.
fn write_reading(out: &mut String, object: &Object, is_row: bool) {
    let name = &object.name;
    let _ = write!(
        out,
        "\nimpl Columns for {name}Columns {{\ntype Record = formats::{name}<'static>;\n\n\
         fn read<'a>(&mut self, row: usize, field: usize, value: &mut impl Value<'a>) -> Result<(), Odd> {{\n\
         match field {{\n"
    );
    for (index, field) in object.fields.iter().enumerate() {
        let method = if field.kind == (Kind::Texts { loose: true }) { "read_loosely" } else { "read" };
        let _ = writeln!(out, "{index} => self.{}.{method}(row, value),", field_ident(&field.name));
    }
    out.push_str("_ => Err(Odd),\n}\n}\n");
    // What a CSV can hold is read column by column.
    let of_cells = |field: &&Field| matches!(field.kind, Kind::Text | Kind::Integer);
    if object.fields.iter().all(|field| of_cells(&field) || field.kind == Kind::Boolean) && is_row {
        out.push_str(
            "\nfn read_cells(&mut self, row: usize, field: usize, cells: &CellColumn<'_>) -> Result<(), OddRow> {\n\
             match field {\n",
        );
        for (index, field) in object.fields.iter().enumerate().filter(|(_, field)| of_cells(field)) {
            let _ = writeln!(out, "{index} => self.{}.read_cells(row, cells),", field_ident(&field.name));
        }
        out.push_str("_ => cells.each(|at, cell| self.read(row + at, field, cell)),\n}\n}\n");
    }
    let unknown = if is_row {
        "fn unknown(&mut self, row: usize, key: &str, json: &str) -> Result<(), Odd> {\nself.extra.put_whole(row, key, json)\n}"
    } else {
        // It belongs into the `extra` of the row around, under its path.
        "fn unknown(&mut self, _: usize, _: &str, _: &str) -> Result<(), Odd> {\nErr(Odd)\n}"
    };
    let _ = write!(out, "\n{unknown}\n}}\n");
}

fn push_call(field: &Field) -> String {
    let (name, ident) = (&field.name, field_ident(&field.name));
    match &field.kind {
        Kind::Text | Kind::JobId | Kind::Enumeration(_) => {
            format!("self.{ident}.push(row, record.{ident}.as_deref());")
        }
        Kind::Integer | Kind::Boolean => format!("self.{ident}.push(row, record.{ident});"),
        Kind::Timestamp | Kind::Date => {
            format!("self.{ident}.push(row, {name:?}, record.{ident}.as_deref(), extra);")
        }
        Kind::Texts { .. } | Kind::Objects(_) => {
            format!("self.{ident}.push(row, record.{ident}.as_deref());")
        }
        Kind::Object(_) => format!("self.{ident}.push(row, {name:?}, record.{ident}.as_ref(), extra);"),
    }
}

fn known(model: &Model, target: &str) -> Result<String, String> {
    let object: &Object = model.object(target).ok_or_else(|| format!("`{target}` has no `x-role`"))?;
    Ok(constant(&object.name))
}

/// `CrmAccountName` → `CRM_ACCOUNT_NAME`.
fn constant(name: &str) -> String {
    let mut out = String::new();
    for (at, letter) in name.char_indices() {
        if letter.is_uppercase() && at > 0 {
            out.push('_');
        }
        out.extend(letter.to_uppercase());
    }
    out
}
