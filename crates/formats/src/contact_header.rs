//! The header of a contacts CSV: which column holds which field.

use std::collections::{HashMap, HashSet};

use crate::cell_index::CellEnds;
use crate::generated::Contact;
use crate::record::Record;

/// The columns of a contacts CSV, in the file's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    columns: Vec<HeaderColumn>,
    has_each_field_once: bool,
    has_unknown: bool,
    /// How many names or fields several columns have.
    shared: usize,
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeaderColumn {
    /// Its name as delivered.
    pub(crate) name: String,
    /// Where its field stands among the contact's; `None` for a column that the schema doesn't know.
    pub(crate) field: Option<usize>,
    /// Other columns have its field or, if it has none, its name.
    pub(crate) shares: Option<Shares>,
}

/// What there is to know of one of several columns of the same field or name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shares {
    /// Tells what is shared from what others share, from 0.
    pub(crate) with: usize,
    /// What the column is called where its cell isn't the one that counts: no other column has this name.
    pub(crate) own_name: String,
}

impl Header {
    /// Reads a header, or `None` when no column is a contact's: whatever this row is, it isn't a header.
    pub(crate) fn from_row(text: &[u8], ends: &[usize]) -> Option<Self> {
        let mut start = 0;
        let names = ends.iter().map(|&end| {
            let cell = text.get(start..end).unwrap_or_default();
            start = end;
            std::str::from_utf8(cell).map(|name| name.trim_ascii().to_owned())
        });
        Self::from_names(names.collect::<Result<_, _>>().ok()?)
    }

    pub(crate) fn from_names(names: Vec<String>) -> Option<Self> {
        let mut columns: Vec<HeaderColumn> = names
            .into_iter()
            .map(|name| HeaderColumn { field: field_of(&name), name, shares: None })
            .collect();
        let shared = name_apart(&mut columns);
        let mut fields = vec![0; Contact::FIELDS.len()];
        columns.iter().filter_map(|column| column.field).for_each(|field| fields[field] += 1);
        let has_each_field_once = fields.iter().all(|&columns| columns <= 1);
        let has_unknown = columns.iter().any(|column| column.field.is_none());
        let any = fields.iter().any(|&columns| columns > 0);
        any.then_some(Self { columns, has_each_field_once, has_unknown, shared })
    }

    pub(crate) fn columns(&self) -> &[HeaderColumn] {
        &self.columns
    }

    /// Whether the last column is one that the schema knows.
    pub(crate) fn ends_in_field(&self) -> bool {
        self.columns.last().is_some_and(|column| column.field.is_some())
    }

    pub(crate) fn len(&self) -> usize {
        self.columns.len()
    }

    /// Whether no two columns hold the same field.
    pub(crate) fn has_each_field_once(&self) -> bool {
        self.has_each_field_once
    }

    /// How many names or fields several columns have.
    pub(crate) fn shared(&self) -> usize {
        self.shared
    }

    /// Whether a column holds what the schema doesn't know.
    pub(crate) fn has_unknown(&self) -> bool {
        self.has_unknown
    }

    /// Whether a row of as many cells repeats the header, as each fragment's first row may (contract (j.15)).
    #[inline]
    pub(crate) fn is_repeated_by(&self, text: &[u8], cells: CellEnds<'_>) -> bool {
        self.columns.iter().zip(cells.spans(text)).all(|(column, span)| {
            span.len() >= column.name.len()
                && text.get(span.range()).unwrap_or_default().trim_ascii() == column.name.as_bytes()
        })
    }
}

/// The field that a column holds. The header's spelling is an assumption (contract (d.3)), so `First Name` will do too.
fn field_of(name: &str) -> Option<usize> {
    Contact::index_of(name).or_else(|| Contact::index_of(&name.to_ascii_lowercase().replace([' ', '-'], "_")))
}

/// Finds the columns that share a field or a name, and gives each a name of its own. Returns how much is shared.
fn name_apart(columns: &mut [HeaderColumn]) -> usize {
    let mut places: HashMap<_, Vec<usize>> = HashMap::new();
    for (at, HeaderColumn { name, field, .. }) in columns.iter().enumerate() {
        let held = if field.is_some() { (*field, "") } else { (None, name.as_str()) };
        places.entry(held).or_default().push(at);
    }
    let shared: Vec<_> = places.into_values().filter(|places| places.len() > 1).collect();
    if shared.is_empty() {
        return 0;
    }
    let taken: HashSet<String> = columns.iter().map(|column| column.name.clone()).collect();
    for (with, places) in shared.iter().enumerate() {
        for &at in places {
            let mut own_name = columns[at].name.clone();
            while taken.contains(&own_name) {
                own_name = format!("{own_name} (column {})", at + 1).trim_start().to_owned();
            }
            columns[at].shares = Some(Shares { with, own_name });
        }
    }
    shared.len()
}
