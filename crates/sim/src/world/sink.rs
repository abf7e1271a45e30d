//! Where a record's bytes go: into a buffer, or into a count when only the size is wanted.
//!
//! Records are written through this trait so that measuring an export runs the very code that writes it, without
//! touching memory.

use super::calendar::{Day, SECONDS_A_DAY, Second, date_of, day_at};

pub(crate) trait Sink {
    fn put(&mut self, bytes: &[u8]);

    fn text(&mut self, text: &str) {
        self.put(text.as_bytes());
    }

    fn number(&mut self, mut value: u64) {
        let mut digits = [0; 20];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b'0' + (value % 10) as u8;
            value /= 10;
            if value == 0 {
                break;
            }
        }
        self.put(&digits[at..]);
    }

    /// Sixteen hex digits.
    fn hex(&mut self, value: u64) {
        let mut digits = [0; 16];
        for (i, digit) in digits.iter_mut().enumerate() {
            *digit = b"0123456789abcdef"[(value >> (60 - 4 * i)) as usize & 15];
        }
        self.put(&digits);
    }

    /// An 18-character CRM id: a three-character prefix, eleven base-62 digits that hold the value, four fixed ones.
    fn crm_id(&mut self, prefix: &str, mut value: u64) {
        let mut id = *b"000000000000005fAA";
        id[..3].copy_from_slice(&prefix.as_bytes()[..3]);
        for digit in id[3..14].iter_mut().rev() {
            *digit = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"[(value % 62) as usize];
            value /= 62;
        }
        self.put(&id);
    }
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Counts bytes.
#[derive(Debug, Default)]
pub(crate) struct Size(pub(crate) u64);

impl Sink for Size {
    fn put(&mut self, bytes: &[u8]) {
        self.0 += bytes.len() as u64;
    }
}

/// Writes `text` as a JSON string with the fewest escapes: quotes, backslashes and controls.
///
/// `wire` also escapes what a text-mode line splitter takes for a line end (contract (l)); `ascii` everything that is
/// not ASCII, as some JSON writers do.
pub(crate) fn put_string(out: &mut impl Sink, text: &str, wire: bool, ascii: bool) {
    out.put(b"\"");
    let mut clean = 0;
    for (at, character) in text.char_indices() {
        let short = match character {
            '"' => "\\\"",
            '\\' => "\\\\",
            '\n' if wire => "\\n",
            '\r' if wire => "\\r",
            '\t' if wire => "\\t",
            c if (c as u32) < 0x20
                || (wire && matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}'))
                || (wire && ascii && !c.is_ascii()) =>
            {
                ""
            }
            _ => continue,
        };
        out.text(&text[clean..at]);
        clean = at + character.len_utf8();
        if short.is_empty() {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let mut escape = *b"\\u0000";
                for (i, digit) in escape[2..].iter_mut().enumerate() {
                    *digit = b"0123456789abcdef"[usize::from(*unit >> (12 - 4 * i)) & 15];
                }
                out.put(&escape);
            }
        } else {
            out.text(short);
        }
    }
    out.text(&text[clean..]);
    out.put(b"\"");
}

/// The dates of the world as text, so that writing one is a copy.
#[derive(Debug)]
pub(crate) struct DateTexts {
    first: Day,
    texts: Vec<[u8; 10]>,
}

/// How a moment is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimeForm {
    /// `yyyy-MM-ddTHH:mm:ss`, as real records have it (contract (e.4)).
    Bare,
    /// The same with a `Z`, as the documentation promises.
    Zoned,
    /// The same with six decimals and a `Z`: the form of the content hash.
    Canonical,
}

impl DateTexts {
    /// The dates from `first` to `last`; other dates can be written too, at a higher cost.
    pub(crate) fn new(first: Day, last: Day) -> Self {
        Self { first, texts: (first..=last).map(date_text).collect() }
    }

    pub(crate) fn put_date(&self, out: &mut impl Sink, day: Day) {
        match usize::try_from(i64::from(day) - i64::from(self.first)).ok().and_then(|i| self.texts.get(i)) {
            Some(text) => out.put(text),
            None => out.put(&date_text(day)),
        }
    }

    /// Writes a moment as a JSON string.
    pub(crate) fn put_time(&self, out: &mut impl Sink, second: Second, form: TimeForm) {
        out.put(b"\"");
        self.put_date(out, day_at(second));
        let second = second.rem_euclid(SECONDS_A_DAY) as u32;
        let mut text = *b"T00:00:00.000000Z\"";
        for (at, value) in [(1, second / 3_600), (4, second / 60 % 60), (7, second % 60)] {
            text[at] = b'0' + (value / 10) as u8;
            text[at + 1] = b'0' + (value % 10) as u8;
        }
        match form {
            TimeForm::Canonical => out.put(&text),
            TimeForm::Zoned => {
                out.put(&text[..9]);
                out.put(b"Z\"");
            }
            TimeForm::Bare => {
                out.put(&text[..9]);
                out.put(b"\"");
            }
        }
    }
}

fn date_text(day: Day) -> [u8; 10] {
    let date = date_of(day);
    let mut text = *b"0000-00-00";
    let fields = [(0, date.year().unsigned_abs() / 100), (2, date.year().unsigned_abs() % 100)];
    let fields = fields.into_iter().chain([(5, u16::from(date.month().unsigned_abs()))]);
    for (at, value) in fields.chain([(8, u16::from(date.day().unsigned_abs()))]) {
        text[at] = b'0' + (value / 10) as u8;
        text[at + 1] = b'0' + (value % 10) as u8;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string(text: &str, wire: bool, ascii: bool) -> String {
        let mut out = Vec::new();
        put_string(&mut out, text, wire, ascii);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn strings_are_escaped_as_asked() {
        let text = "a\"\\\n\u{2028}é😀\u{1}";
        assert_eq!(string(text, false, false), "\"a\\\"\\\\\\u000a\u{2028}é😀\\u0001\"");
        assert_eq!(string(text, true, false), "\"a\\\"\\\\\\n\\u2028é😀\\u0001\"");
        assert_eq!(string(text, true, true), "\"a\\\"\\\\\\n\\u2028\\u00e9\\ud83d\\ude00\\u0001\"");
        for (wire, ascii) in [(false, false), (true, false), (true, true)] {
            assert_eq!(serde_json::from_str::<String>(&string(text, wire, ascii)).unwrap(), text);
        }
    }

    #[test]
    fn times_are_written_in_each_form() {
        let dates = DateTexts::new(20_000, 20_010);
        let time = |second, form| {
            let mut out = Vec::new();
            dates.put_time(&mut out, second, form);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(time(1_728_003_723, TimeForm::Bare), "\"2024-10-04T01:02:03\"");
        assert_eq!(time(1_728_003_723, TimeForm::Zoned), "\"2024-10-04T01:02:03Z\"");
        assert_eq!(
            time(0, TimeForm::Canonical),
            "\"1970-01-01T00:00:00.000000Z\"",
            "a date beyond the table"
        );
    }

    #[test]
    fn numbers_and_ids_have_their_shapes() {
        let mut out = Vec::new();
        out.number(0);
        out.put(b" ");
        out.number(u64::MAX);
        out.put(b" ");
        out.crm_id("00T", u64::MAX);
        assert_eq!(out, b"0 18446744073709551615 00TLygHa16AHYF5fAA");
        let mut size = Size::default();
        size.number(12_345);
        size.hex(1);
        assert_eq!(size.0, 21);
    }
}
