//! What is generated, resolved from the document: records, bodies and enumerations with typed fields.

use super::document::{Document, Schema};

/// An object type.
pub(crate) struct Object {
    pub(crate) name: String,
    pub(crate) docs: String,
    pub(crate) section: String,
    pub(crate) role: String,
    pub(crate) fields: Vec<Field>,
}

/// A field of an object.
pub(crate) struct Field {
    /// The API's own name.
    pub(crate) name: String,
    pub(crate) docs: String,
    pub(crate) required: bool,
    pub(crate) kind: Kind,
}

/// The type of a field.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    JobId,
    Integer,
    Boolean,
    Timestamp,
    Date,
    /// A list of texts; `loose` ones may also be delivered as a lone string.
    Texts {
        loose: bool,
    },
    Object(String),
    Objects(String),
    Enumeration(String),
}

/// A set of words.
pub(crate) struct Enumeration {
    pub(crate) name: String,
    pub(crate) docs: String,
    pub(crate) section: String,
    /// Whether the service may add words.
    pub(crate) open: bool,
    pub(crate) values: Vec<String>,
}

/// Everything that code is generated from.
pub(crate) struct Model {
    pub(crate) objects: Vec<Object>,
    pub(crate) enumerations: Vec<Enumeration>,
}

impl Model {
    pub(crate) fn resolve(document: &Document) -> Result<Self, String> {
        let mut model = Self { objects: Vec::new(), enumerations: Vec::new() };
        for (name, schema) in &document.components.schemas {
            let describe = |what: &Option<String>, key: &str| {
                what.clone().ok_or_else(|| format!("schema `{name}` has no `{key}`"))
            };
            let (docs, section) =
                (describe(&schema.description, "description")?, describe(&schema.section, "x-section")?);
            if !schema.values.is_empty() {
                let values = schema.values.clone();
                model.enumerations.push(Enumeration {
                    name: name.clone(),
                    docs,
                    section,
                    open: schema.open,
                    values,
                });
            } else if let Some(role) = &schema.role {
                let fields = schema
                    .properties
                    .iter()
                    .map(|(field, property)| resolve_field(document, name, field, property, &schema.required))
                    .collect::<Result<_, _>>()?;
                model.objects.push(Object { name: name.clone(), docs, section, role: role.clone(), fields });
            }
        }
        Ok(model)
    }

    pub(crate) fn with_role<'m>(&'m self, role: &'m str) -> impl Iterator<Item = &'m Object> {
        self.objects.iter().filter(move |object| object.role == role)
    }

    pub(crate) fn object(&self, name: &str) -> Option<&Object> {
        self.objects.iter().find(|object| object.name == name)
    }
}

fn resolve_field(
    document: &Document,
    object: &str,
    name: &str,
    schema: &Schema,
    required: &[String],
) -> Result<Field, String> {
    let referred = |schema: &Schema| -> Result<Option<(String, &Schema)>, String> {
        let Some(reference) = &schema.reference else { return Ok(None) };
        let target = reference.rsplit('/').next().unwrap_or_default();
        match document.components.schemas.get_key_value(target) {
            Some((key, found)) => Ok(Some((key.clone(), found))),
            None => Err(format!("`{object}.{name}` refers to `{reference}`, which isn't in the document")),
        }
    };
    let mut docs = schema.description.clone();
    let kind = if let Some((target, found)) = referred(schema)? {
        docs = docs.or_else(|| found.description.clone());
        if found.values.is_empty() { Kind::Object(target) } else { Kind::Enumeration(target) }
    } else {
        match (schema.kind.as_deref(), schema.format.as_deref()) {
            (Some("string"), None) => Kind::Text,
            (Some("string"), Some("date-time")) => Kind::Timestamp,
            (Some("string"), Some("date")) => Kind::Date,
            (Some("string"), Some("job-id")) => Kind::JobId,
            (Some("integer"), None) => Kind::Integer,
            (Some("boolean"), None) => Kind::Boolean,
            (Some("array"), None) => match &schema.items {
                Some(items) => match referred(items)? {
                    Some((target, _)) => Kind::Objects(target),
                    None => Kind::Texts { loose: schema.loose.as_deref() == Some("string") },
                },
                None => return Err(format!("`{object}.{name}` is an array without `items`")),
            },
            (kind, format) => {
                return Err(format!(
                    "`{object}.{name}` has type {kind:?} with format {format:?}, which the generator doesn't know"
                ));
            }
        }
    };
    let docs = docs.ok_or_else(|| format!("`{object}.{name}` has no description"))?;
    Ok(Field { name: name.to_owned(), docs, required: required.iter().any(|word| word == name), kind })
}
