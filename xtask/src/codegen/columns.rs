//! Writes the column lists of `tables`: names, types, docs and sources of every column that comes from the API.

use std::fmt::Write as _;

use super::model::{Kind, Model, Object};

pub(crate) fn write(model: &Model) -> Result<String, String> {
    let mut out = String::from(
        "//! The columns that come from the API, in the order of `docs/openapi.yaml`.\n\n\
         use crate::column::{Column, ColumnKind};\n",
    );
    for object in model.with_role("record") {
        let name = constant(&object.name);
        let _ = write!(
            out,
            "\n/// {} Contract ({}).\npub static {name}: &[Column] = &[\n",
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
    }
    Ok(out)
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
