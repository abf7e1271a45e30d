//! The part of an OpenAPI document that the generator reads.

use indexmap::IndexMap;
use serde::Deserialize;

/// `docs/openapi.yaml`, without what no code is generated from.
#[derive(Debug, Deserialize)]
pub(crate) struct Document {
    pub(crate) components: Components,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Components {
    pub(crate) schemas: IndexMap<String, Schema>,
}

/// A schema; properties keep the order of the document, which becomes the order of fields and columns.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Schema {
    #[serde(rename = "$ref")]
    pub(crate) reference: Option<String>,
    pub(crate) description: Option<String>,
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    pub(crate) format: Option<String>,
    #[serde(rename = "enum")]
    pub(crate) values: Vec<String>,
    pub(crate) items: Option<Box<Schema>>,
    pub(crate) properties: IndexMap<String, Schema>,
    pub(crate) required: Vec<String>,
    #[serde(rename = "x-section")]
    pub(crate) section: Option<String>,
    /// `record`, `request` or `reply`: which crate owns the type.
    #[serde(rename = "x-role")]
    pub(crate) role: Option<String>,
    #[serde(rename = "x-open")]
    pub(crate) open: bool,
    #[serde(rename = "x-loose")]
    pub(crate) loose: Option<String>,
}
