//! The `extra` column: what the schema doesn't know about a row, written as JSON text where it will lie.

use arrow_array::ArrayRef;
use backstory_formats::{Extra, Odd};

use crate::columns::TextColumn;

/// The column of what the schema doesn't know: the JSON text of an object, written in place, or null when there is
/// nothing.
#[derive(Debug, Default)]
pub(crate) struct ExtraColumn {
    texts: TextColumn,
    /// The present row, and whether something has been written for it.
    row: usize,
    any: bool,
    /// The names of the structs around the present place, from the row inwards; the first `opened` stand in the text.
    path: Vec<&'static str>,
    opened: usize,
}

impl ExtraColumn {
    /// Begins a row with the unknown keys that stand directly in it.
    pub(crate) fn begin(&mut self, row: usize, extra: &Extra<'_>) {
        (self.row, self.any) = (row, false);
        self.put_all(extra);
    }

    pub(crate) fn end(&mut self) {
        if self.any {
            self.texts.values.push(b'}');
            self.texts.end(self.row);
        }
    }

    /// Takes in a row that has this one unknown key. More of them are for [`begin`](Self::begin), which can put one in the
    /// place of another.
    pub(crate) fn put_whole(&mut self, row: usize, key: &str, json: &str) -> Result<(), Odd> {
        if self.texts.has(row) {
            return Err(Odd);
        }
        (self.row, self.any) = (row, false);
        self.put(key, json);
        self.end();
        Ok(())
    }

    pub(crate) fn truncate(&mut self, rows: usize) {
        self.texts.truncate(rows);
    }

    pub(crate) fn enter(&mut self, name: &'static str) {
        self.path.push(name);
    }

    pub(crate) fn leave(&mut self) {
        self.path.pop();
        if self.opened > self.path.len() {
            self.opened = self.path.len();
            self.texts.values.push(b'}');
        }
    }

    pub(crate) fn put_all(&mut self, extra: &Extra<'_>) {
        for (key, json) in extra.iter() {
            self.put(key, json);
        }
    }

    pub(crate) fn put_text(&mut self, key: &str, text: &str) {
        self.put_key(key);
        write_json_text(&mut self.texts.values, text);
    }

    fn put(&mut self, key: &str, json: &str) {
        self.put_key(key);
        self.texts.values.extend_from_slice(json.as_bytes());
    }

    fn put_key(&mut self, key: &str) {
        if !self.any {
            self.texts.begin(self.row);
            self.texts.values.push(b'{');
            self.any = true;
        }
        while let Some(name) = self.path.get(self.opened) {
            separate(&mut self.texts.values);
            write_json_text(&mut self.texts.values, name);
            self.texts.values.extend_from_slice(b":{");
            self.opened += 1;
        }
        separate(&mut self.texts.values);
        write_json_text(&mut self.texts.values, key);
        self.texts.values.push(b':');
    }

    pub(crate) fn finish(&mut self, rows: usize) -> ArrayRef {
        self.texts.finish(rows)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.texts.bytes()
    }
}

/// Puts a comma between two entries of an object. No value ends with an opening brace, so one at the end is the object's.
fn separate(json: &mut Vec<u8>) {
    if json.last() != Some(&b'{') {
        json.push(b',');
    }
}

/// Writes a JSON text with the fewest escapes.
pub(crate) fn write_json_text(json: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    json.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => json.extend_from_slice(&[b'\\', byte]),
            0..0x20 => {
                json.extend_from_slice(b"\\u00");
                json.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
            _ => json.push(byte),
        }
    }
    json.push(b'"');
}
