//! How each column is encoded. What is said here of single columns is what pays for activities and contacts; a column that
//! isn't named gets a dictionary, as long as that pays.

use std::sync::Arc;

use parquet::basic::{Compression, Type};
use parquet::schema::types::ColumnDescPtr;

use super::delta::IntegerWidth;

/// Text columns whose values hardly ever come twice: no dictionary is tried.
const DISTINCT: &[&str] =
    &["_key", "uid", "source_id", "in_reply_to_source_id", "extra", "crm_status.crm_id", "crm_status_crm_id"];
/// Text columns whose values share long beginnings.
const COMMON_BEGINNINGS: &[&str] = &["_version"];
/// Text columns whose values repeat from row to row in a table of children.
const OF_THE_PARENT: &[&str] = &["_key", "uid", "_version"];
/// Integer columns of few distinct values that lie far apart.
const FEW_VALUES: &[&str] = &["duration", "time_spent", "participants.list.element.time_spent"];
/// The column in which single rows are looked up. Its values are all distinct, so statistics don't help.
const LOOKED_UP: &[&str] = &["uid"];

/// What a column is, and how it is encoded.
#[derive(Debug)]
pub(crate) struct LeafPlan {
    pub(crate) column: ColumnDescPtr,
    pub(crate) codec: Compression,
    pub(crate) method: Method,
    pub(crate) has_bloom_filter: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// Texts or integers by number, as long as that pays; then plain.
    Dictionary,
    PlainTexts,
    DeltaTexts,
    DeltaIntegers(IntegerWidth),
    Bits,
}

impl LeafPlan {
    pub(crate) fn of(column: &ColumnDescPtr, of_children: bool, codec: Compression) -> Self {
        let path = column.path().string();
        let listed = |list: &[&str]| list.contains(&path.as_str());
        let method = match column.physical_type() {
            Type::BOOLEAN => Method::Bits,
            Type::INT32 => Method::DeltaIntegers(IntegerWidth::Bits32),
            Type::INT64 if listed(FEW_VALUES) => Method::Dictionary,
            Type::INT64 => Method::DeltaIntegers(IntegerWidth::Bits64),
            _ if of_children && listed(OF_THE_PARENT) => Method::DeltaTexts,
            _ if listed(DISTINCT) => Method::PlainTexts,
            _ if listed(COMMON_BEGINNINGS) => Method::DeltaTexts,
            _ => Method::Dictionary,
        };
        Self {
            column: Arc::clone(column),
            codec,
            method,
            has_bloom_filter: !of_children && listed(LOOKED_UP),
        }
    }

    pub(crate) fn is_text(&self) -> bool {
        self.column.physical_type() == Type::BYTE_ARRAY
    }
}
