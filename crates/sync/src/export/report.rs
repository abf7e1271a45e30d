//! What an export has brought, for people and for machines.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::manifest::WindowEntry;
use crate::error::Error;

/// The outcome of an export. What landed is whole, whatever failed beside it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Report {
    /// The export's folder.
    pub folder: PathBuf,
    /// The windows that are whole, in order.
    pub windows: Vec<WindowEntry>,
    /// How many of them an earlier run had brought.
    pub reused: usize,
    /// Why the other windows are missing.
    pub failures: Vec<Error>,
}

impl Report {
    /// Rows of each table.
    pub fn rows_by_table(&self) -> BTreeMap<String, u64> {
        let mut tables = BTreeMap::new();
        for file in self.windows.iter().flat_map(|window| &window.files) {
            *tables.entry(file.table.clone()).or_default() += file.rows;
        }
        tables
    }

    /// Records by month, such as `2026-03`.
    pub fn rows_by_month(&self) -> BTreeMap<String, u64> {
        let mut months = BTreeMap::new();
        for (month, rows) in self.windows.iter().flat_map(|window| &window.rows_by_month) {
            *months.entry(month.clone()).or_default() += rows;
        }
        months
    }

    /// Records in all, bad ones left out.
    pub fn rows(&self) -> u64 {
        self.windows.iter().map(|window| window.rows).sum()
    }

    /// Rows that were set apart.
    pub fn bad_rows(&self) -> u64 {
        self.windows.iter().map(|window| window.bad_rows).sum()
    }

    /// Bytes as delivered.
    pub fn bytes(&self) -> u64 {
        self.windows.iter().map(|window| window.bytes).sum()
    }

    /// Whether everything that was asked for is there, with no row set apart.
    pub fn is_complete(&self) -> bool {
        self.failures.is_empty() && self.bad_rows() == 0
    }
}
