//! Writes a file piece by piece, from its start or from the start of a fragment.

use std::sync::Arc;

use super::{Export, Layout, Measure};
use crate::faults::RecordEffect;
use crate::world::{COLUMNS, ContactForm, Cursor, Entry, Form, Sink, Subject};

impl Export {
    pub(super) fn put_head(&self, out: &mut impl Sink, first: bool) {
        match self.layout {
            Layout::Lines => {}
            Layout::Array if first => out.put(b"["),
            Layout::Object if first => out.text("{\"data\":["),
            Layout::Csv if first || !self.style.header_once => {
                if self.style.bom {
                    out.text("\u{feff}");
                }
                for (number, column) in COLUMNS.iter().enumerate() {
                    if number > 0 {
                        out.put(b",");
                    }
                    out.text(column);
                }
                out.text("\r\n");
            }
            Layout::Array | Layout::Object | Layout::Csv => {}
        }
    }

    pub(super) fn put_tail(&self, out: &mut impl Sink) {
        match self.layout {
            Layout::Lines | Layout::Csv => {}
            Layout::Array => out.put(b"]"),
            Layout::Object => out.put(b"]}"),
        }
    }

    pub(super) fn put_record(&self, out: &mut impl Sink, entry: Entry, first: bool) {
        if matches!(self.layout, Layout::Array | Layout::Object) && !first {
            out.put(b",");
        }
        let form = Form::Wire { first_ingest: self.style.first_ingest };
        if self.question.subject == Subject::Contacts {
            let form = match self.layout {
                Layout::Csv => ContactForm::Csv { title_booleans: self.style.title_booleans },
                _ => ContactForm::Json(form),
            };
            self.world.put_contact(out, entry.day, entry.number, self.question.at, form);
        } else {
            self.world.put_activity(out, entry, form);
        }
        match self.layout {
            Layout::Lines => out.put(b"\n"),
            Layout::Csv => out.text("\r\n"),
            Layout::Array | Layout::Object => {}
        }
    }

    /// A record with what the fault engine does to it.
    pub(super) fn put_twisted(&self, out: &mut Vec<u8>, entry: Entry, first: bool) {
        let start = out.len();
        self.put_record(out, entry, first);
        if let Some(effect) = self.style.twist {
            twist(out, start, effect, self.optional_keys());
        }
    }

    /// Keys that a record may lack.
    fn optional_keys(&self) -> &'static [&'static str] {
        match self.question.subject {
            Subject::Contacts => &COLUMNS,
            _ => &["campaigns", "location", "summary", "tags"],
        }
    }
}

/// A file, or a fragment of it, as it is being written.
#[derive(Debug)]
pub(crate) struct ExportStream {
    export: Arc<Export>,
    cursor: Cursor,
    /// Records still to come.
    left: u64,
    started: bool,
    first: bool,
    last: bool,
    done: bool,
    /// Bytes to leave out before the first that is wanted.
    skip: u64,
}

impl ExportStream {
    /// The whole file.
    pub(crate) fn whole(export: &Arc<Export>) -> Self {
        Self::from_cursor(export, export.cursor(), u64::MAX, true, true)
    }

    /// The fragment of number `fragment`, counted from 0, from its byte `start` on. Beyond the last it is an empty one.
    pub(crate) fn fragment(export: &Arc<Export>, measure: &Measure, fragment: usize, start: u64) -> Self {
        let (mut cursor, mut records) = (export.cursor(), 0);
        if let Some(part) = measure.parts.get(fragment) {
            cursor.seek(part.mark);
            records = part.records;
        }
        let last = fragment + 1 == measure.parts.len();
        let mut stream = Self::from_cursor(export, cursor, records, fragment == 0, last);
        stream.skip = start;
        stream
    }

    /// The file from its byte `start` on.
    pub(crate) fn from_byte(export: &Arc<Export>, measure: &Measure, start: u64) -> Self {
        let fragment = measure.parts.partition_point(|part| part.offset <= start).saturating_sub(1);
        let (mut cursor, mut offset) = (export.cursor(), 0);
        if let Some(part) = measure.parts.get(fragment) {
            cursor.seek(part.mark);
            offset = part.offset;
        }
        let mut stream = Self::from_cursor(export, cursor, u64::MAX, fragment == 0, true);
        // The header of a later fragment is not part of the whole file.
        stream.started = fragment > 0;
        stream.skip = start - offset;
        stream
    }

    fn from_cursor(export: &Arc<Export>, cursor: Cursor, left: u64, first: bool, last: bool) -> Self {
        Self { export: Arc::clone(export), cursor, left, started: false, first, last, done: false, skip: 0 }
    }

    /// Adds about `target` bytes to `out`, or what is left; false once there is nothing more.
    pub(crate) fn fill(&mut self, out: &mut Vec<u8>, target: usize) -> bool {
        if self.done {
            return false;
        }
        if !self.started {
            self.started = true;
            let first = self.first;
            self.export.put_head(out, first);
            self.skip(out);
        }
        while out.len() < target {
            let entry = if self.left == 0 { None } else { self.cursor.next() };
            let Some(entry) = entry else {
                if self.last {
                    self.export.put_tail(out);
                    self.skip(out);
                }
                self.done = true;
                break;
            };
            self.left -= 1;
            self.export.put_twisted(out, entry, self.first);
            self.first = false;
            if self.skip > 0 {
                self.skip(out);
            }
        }
        true
    }

    fn skip(&mut self, out: &mut Vec<u8>) {
        let skipped = self.skip.min(out.len() as u64);
        out.drain(..skipped as usize);
        self.skip -= skipped;
    }
}

/// Does to the record that begins at `start` what a client may not be used to; its meaning stays.
fn twist(out: &mut Vec<u8>, start: usize, effect: RecordEffect, optional: &[&str]) {
    let record = String::from_utf8_lossy(&out[start..]).into_owned();
    let twisted = match effect {
        RecordEffect::Crlf => {
            record.strip_suffix('\n').map(|line| format!("{}\r\n", line.trim_end_matches('\r')))
        }
        RecordEffect::RawSeparators => Some(
            record.replace("\\u2028", "\u{2028}").replace("\\u2029", "\u{2029}").replace("\\u0085", "\u{85}"),
        ),
        RecordEffect::Nulls => record.find('{').map(|brace| {
            let absent = optional.iter().filter(|key| !record.contains(&format!("\"{key}\":")));
            let nulls: String = absent.map(|key| format!("\"{key}\":null,")).collect();
            format!("{}{nulls}{}", &record[..=brace], &record[brace + 1..])
        }),
        RecordEffect::Duplicates | RecordEffect::Shuffled => None,
    };
    if let Some(twisted) = twisted {
        out.truncate(start);
        out.extend_from_slice(twisted.as_bytes());
    }
}
