//! Where rows end, without reading what is in them: what it takes to cut an export into parts that are decoded side by side.

/// Finds the ends of rows in bytes that grow at their end.
///
/// ```
/// use backstory_formats::RowEnds;
///
/// let mut ends = RowEnds::of_csv();
/// let csv = b"name,title\n\"Rin\nOkafor\",Buyer\nSol";
/// assert_eq!(ends.next(csv, false), Some(11));
/// assert_eq!(ends.next(csv, false), Some(30));
/// assert_eq!(ends.next(csv, false), None);
/// ```
#[derive(Clone, Debug)]
pub struct RowEnds {
    is_csv: bool,
    /// How far the bytes have been looked through.
    at: usize,
    /// Where the first row begins.
    begin: usize,
    /// In a quoted cell, where a newline is part of the cell.
    quoted: bool,
}

impl RowEnds {
    /// Rows that end with newlines and nowhere else, as those of JSON Lines do.
    pub fn of_lines() -> Self {
        Self { is_csv: false, at: 0, begin: 0, quoted: false }
    }

    /// Rows of a CSV as [`ContactsCsv`](crate::ContactsCsv) reads it: they end with newlines or carriage returns outside of
    /// quoted cells, and a quote begins a quoted cell only where a cell begins.
    pub fn of_csv() -> Self {
        Self { is_csv: true, ..Self::of_lines() }
    }

    /// Passes over that many bytes in front of the first row: a byte-order mark.
    #[must_use]
    pub fn beginning_at(mut self, byte: usize) -> Self {
        (self.at, self.begin) = (byte, byte);
        self
    }

    /// The end of the next row, behind its newline. The bytes must begin with those of the calls before; `whole` says that
    /// no more can come.
    pub fn next(&mut self, bytes: &[u8], whole: bool) -> Option<usize> {
        if !self.is_csv {
            let newline = memchr::memchr(b'\n', &bytes[self.at.min(bytes.len())..]);
            self.at = newline.map_or(bytes.len(), |newline| self.at + newline + 1);
            return newline.map(|_| self.at);
        }
        while self.at < bytes.len() {
            let rest = &bytes[self.at..];
            if self.quoted {
                let Some(quote) = memchr::memchr(b'"', rest) else { break };
                match rest.get(quote + 1) {
                    // Whether it ends the cell shows in the next byte.
                    None if !whole => {
                        self.at += quote;
                        return None;
                    }
                    Some(b'"') => self.at += quote + 2,
                    _ => {
                        self.quoted = false;
                        self.at += quote + 1;
                    }
                }
                continue;
            }
            let Some(found) = memchr::memchr3(b'"', b'\n', b'\r', rest) else { break };
            let at = self.at + found;
            self.at = at + 1;
            if rest[found] != b'"' {
                return Some(self.at);
            }
            self.quoted = at == self.begin || matches!(bytes[at - 1], b',' | b'\n' | b'\r');
        }
        self.at = bytes.len();
        None
    }

    /// Says how many of the bytes behind the first `keep` may be taken out, now that all of them have been looked through,
    /// and takes them for taken out. It is what a row that is too long to be kept needs.
    pub fn forget_behind(&mut self, keep: usize) -> usize {
        // The byte before the present place may tell whether a cell begins here.
        let forgotten = self.at.saturating_sub(1).saturating_sub(keep);
        self.at -= forgotten;
        forgotten
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{ContactsCsv, Position};

    /// The rows that a splitter gives: their raw bytes, their place, and what became of them.
    fn rows(mut csv: ContactsCsv, bytes: &[u8], last: bool) -> (Vec<(Vec<u8>, Position, String)>, Position) {
        let mut found = Vec::new();
        let mut told = |row: &crate::ContactRow<'_>| {
            let contact = row.contact().map(crate::Contact::into_owned);
            found.push((row.raw().to_vec(), row.position(), format!("{contact:?}")));
        };
        let mut rows = csv.feed(bytes);
        while let Some(row) = rows.next() {
            told(&row);
        }
        if last && let Some(row) = csv.finish() {
            told(&row);
        }
        (found, csv.position())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn a_csv_cut_at_the_ends_of_rows_has_the_same_rows(
            body in "([abc\"\n\r,]{0,6}|\"[ab\n,]{0,4}\"[,\n]){0,20}",
            mark in any::<bool>(),
            quoted_header in any::<bool>(),
            pieces in prop::collection::vec(1..9_usize, 1..20),
        ) {
            let header = if quoted_header { "\"email\",phone,x\n" } else { "email,phone,x\n" };
            let text = format!("{}{header}{body}", if mark { "\u{feff}" } else { "" });
            let bytes = text.as_bytes();
            let (expected, _) = rows(ContactsCsv::new(), bytes, true);

            // The ends are the same, in whatever pieces the bytes arrive.
            let all = |ends: RowEnds, mut grow: Box<dyn FnMut(usize) -> usize>| {
                let (mut ends, mut found, mut len) = (ends, Vec::new(), 0);
                while len < bytes.len() {
                    len = grow(len).min(bytes.len());
                    while let Some(end) = ends.next(&bytes[..len], len == bytes.len()) {
                        found.push(end);
                    }
                }
                found
            };
            let ends = RowEnds::of_csv().beginning_at(if mark { 3 } else { 0 });
            let at_once = all(ends.clone(), Box::new(|_| usize::MAX));
            let mut sizes = pieces.iter().cycle().copied();
            let in_pieces = all(ends, Box::new(move |len| len + sizes.next().unwrap_or(1)));
            prop_assert_eq!(&at_once, &in_pieces);

            let mut csv = ContactsCsv::new();
            let (mut found, mut start) = (Vec::new(), Position { record: 1, line: 1, byte: 0 });
            for (from, to) in [0].iter().chain(&at_once).zip(at_once.iter().chain([&bytes.len()])) {
                let part = &bytes[*from..*to];
                let at = csv.continued_at(start);
                csv.learn_header(part, *to == bytes.len());
                let (rows, end) = rows(at, part, *to == bytes.len());
                found.extend(rows);
                start = Position {
                    record: end.record,
                    line: start.line + memchr::memchr_iter(b'\n', part).count() as u64,
                    byte: *to as u64,
                };
            }
            prop_assert_eq!(found, expected);
        }
    }
}
