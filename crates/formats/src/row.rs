//! Where a row stands in its file, and how long it may be.

use std::fmt;

/// The longest row, in bytes, that a decoder takes unless told otherwise: 16 MiB. A longer one is an error, not an
/// allocation.
pub const DEFAULT_MAX_ROW_BYTES: usize = 16 << 20;

/// Where a row stands in the decoded bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Position {
    /// Which record it is, from 1. Blank lines and a header are not records.
    pub record: u64,
    /// The line on which it begins, from 1.
    pub line: u64,
    /// The byte at which it begins, from 0.
    pub byte: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record {}, line {}, byte {}", self.record, self.line, self.byte)
    }
}
