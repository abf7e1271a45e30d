//! The fast way through JSON: one pass, typed, that borrows every text and looks at each byte about once.
//!
//! It reads what the service nearly always sends, and gives up ([`Odd`]) on anything else: a value of another type, a
//! number that isn't a plain integer, half a surrogate pair, malformed JSON. What it gives up on is read again by
//! serde_json, which decides; so this pass may refuse too much, but must never take what serde_json wouldn't.
//!
//! It stands in front of serde_json because decoding was half of a conversion's time. Two things make it fast: a key is
//! guessed before it is read (the one that followed the present key last time), which saves finding its end and looking
//! it up; and texts are [scanned](crate::scan) many bytes at a time. [`pull_record`](crate::pull_record) fills records
//! with it, and [`pull_columns`](crate::pull_columns) columns.

use std::borrow::Cow;
use std::cell::Cell;

use crate::columns::Odd;
use crate::generated::{MAX_FIELDS, RECORD_TYPES};
use crate::json::MAX_NESTING;
use crate::record::{Record, Text};
use crate::scan::plain_len;

/// For each record type, and each of its fields (and the beginning), the field that came next last time.
struct Guesses([[Cell<u8>; MAX_FIELDS + 1]; RECORD_TYPES]);

thread_local! {
    /// They are as good for the next row as for this one.
    static GUESSES: Guesses = const { Guesses([const { [const { Cell::new(0) }; MAX_FIELDS + 1] }; RECORD_TYPES]) };
}

/// A place in the input.
pub(crate) struct Pull<'a, 'g> {
    json: &'a str,
    pub(crate) bytes: &'a [u8],
    pub(crate) at: usize,
    guesses: &'g Guesses,
}

/// Reads a whole JSON text.
pub(crate) fn whole<'a, T>(
    json: &'a str,
    read: impl FnOnce(&mut Pull<'a, '_>) -> Result<T, Odd>,
) -> Result<T, Odd> {
    GUESSES.with(|guesses| {
        let mut pull = Pull { json, bytes: json.as_bytes(), at: 0, guesses };
        pull.space();
        let value = read(&mut pull)?;
        pull.space();
        if pull.at == pull.bytes.len() { Ok(value) } else { Err(Odd) }
    })
}

impl<'a> Pull<'a, '_> {
    #[inline]
    pub(crate) fn peek(&self) -> Result<u8, Odd> {
        self.bytes.get(self.at).copied().ok_or(Odd)
    }

    /// Passes over white space, of which there is hardly ever any.
    #[inline]
    pub(crate) fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }

    #[inline]
    pub(crate) fn expect(&mut self, byte: u8) -> Result<(), Odd> {
        if self.peek()? != byte {
            return Err(Odd);
        }
        self.at += 1;
        Ok(())
    }

    /// Passes over a word, if it stands here.
    #[inline]
    pub(crate) fn word(&mut self, word: &[u8]) -> bool {
        let found = self.bytes[self.at..].starts_with(word);
        if found {
            self.at += word.len();
        }
        found
    }

    /// Whether an object holds anything; passes over its beginning.
    #[inline]
    pub(crate) fn begin_object(&mut self) -> Result<bool, Odd> {
        self.expect(b'{')?;
        self.space();
        let is_empty = self.peek()? == b'}';
        self.at += usize::from(is_empty);
        Ok(!is_empty)
    }

    /// Whether an object goes on behind a value; passes over the comma or the end.
    #[inline]
    pub(crate) fn next_in_object(&mut self) -> Result<bool, Odd> {
        self.space();
        let goes_on = match self.peek()? {
            b',' => true,
            b'}' => false,
            _ => return Err(Odd),
        };
        self.at += 1;
        if goes_on {
            self.space();
        }
        Ok(goes_on)
    }

    /// Reads a key and its colon. Returns the field, or the text of a key that is none. `before` is the field in front of it
    /// plus one, or zero.
    #[inline]
    pub(crate) fn key<R: Record>(&mut self, before: usize) -> Result<Result<usize, Text<'a>>, Odd> {
        let guess = &self.guesses.0[R::TYPE][before];
        let guessed = usize::from(guess.get());
        let key = R::KEYS[guessed].as_bytes();
        if self.bytes.get(self.at..self.at + key.len()).is_some_and(|found| same(found, key)) {
            self.at += key.len();
            self.space();
            return Ok(Ok(guessed));
        }
        self.other_key::<R>(guess)
    }

    #[inline(never)]
    fn other_key<R: Record>(&mut self, guess: &Cell<u8>) -> Result<Result<usize, Text<'a>>, Odd> {
        let key = self.text()?;
        self.colon()?;
        let Some(field) = R::index_of(&key) else { return Ok(Err(key)) };
        guess.set(field as u8);
        Ok(Ok(field))
    }

    #[inline]
    pub(crate) fn colon(&mut self) -> Result<(), Odd> {
        self.space();
        self.expect(b':')?;
        self.space();
        Ok(())
    }

    /// Reads a text.
    #[inline]
    pub(crate) fn text(&mut self) -> Result<Text<'a>, Odd> {
        self.expect(b'"')?;
        let start = self.at;
        self.at += plain_len(&self.bytes[start..]);
        if self.peek()? == b'"' {
            let text = self.json.get(start..self.at).ok_or(Odd)?;
            self.at += 1;
            return Ok(Cow::Borrowed(text));
        }
        self.escaped_text(start)
    }

    /// Reads a text with escapes, which serde_json resolves.
    #[cold]
    pub(crate) fn escaped_text(&mut self, start: usize) -> Result<Text<'a>, Odd> {
        self.end_text()?;
        let token = self.json.get(start - 1..self.at).ok_or(Odd)?;
        serde_json::from_str(token).map(Cow::Owned).map_err(|_| Odd)
    }

    /// Passes over the rest of a text, and its closing quote.
    fn end_text(&mut self) -> Result<(), Odd> {
        loop {
            self.at += plain_len(&self.bytes[self.at..]);
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Ok(());
                }
                b'\\' => {
                    self.at += 1;
                    match self.peek()? {
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 1,
                        b'u' => {
                            let digits = self.bytes.get(self.at + 1..self.at + 5).ok_or(Odd)?;
                            if !digits.iter().all(u8::is_ascii_hexdigit) {
                                return Err(Odd);
                            }
                            self.at += 5;
                        }
                        _ => return Err(Odd),
                    }
                }
                _ => return Err(Odd),
            }
        }
    }

    /// Passes over a value of any kind. Returns its text.
    pub(crate) fn raw(&mut self) -> Result<&'a str, Odd> {
        let start = self.at;
        self.pass_value(0)?;
        self.json.get(start..self.at).ok_or(Odd)
    }

    fn pass_value(&mut self, depth: usize) -> Result<(), Odd> {
        match self.peek()? {
            b'"' => {
                self.at += 1;
                self.end_text()
            }
            b'{' | b'[' if depth == MAX_NESTING => Err(Odd),
            b'{' => self.pass_items(b'}', |pull| {
                pull.expect(b'"')?;
                pull.end_text()?;
                pull.colon()?;
                pull.pass_value(depth + 1)
            }),
            b'[' => self.pass_items(b']', |pull| pull.pass_value(depth + 1)),
            b'-' | b'0'..=b'9' => self.pass_number(),
            _ if self.word(b"true") || self.word(b"false") || self.word(b"null") => Ok(()),
            _ => Err(Odd),
        }
    }

    pub(crate) fn pass_items(
        &mut self,
        end: u8,
        mut item: impl FnMut(&mut Self) -> Result<(), Odd>,
    ) -> Result<(), Odd> {
        self.at += 1;
        self.space();
        if self.peek()? == end {
            self.at += 1;
            return Ok(());
        }
        loop {
            item(self)?;
            self.space();
            match self.peek()? {
                b',' => self.at += 1,
                byte if byte == end => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(Odd),
            }
            self.space();
        }
    }

    fn pass_number(&mut self) -> Result<(), Odd> {
        self.word(b"-");
        match self.peek()? {
            b'0' => self.at += 1,
            _ => self.pass_digits()?,
        }
        if self.word(b".") {
            self.pass_digits()?;
        }
        if self.word(b"e") || self.word(b"E") {
            let _ = self.word(b"+") || self.word(b"-");
            self.pass_digits()?;
        }
        Ok(())
    }

    /// Passes over at least one digit.
    fn pass_digits(&mut self) -> Result<(), Odd> {
        let digits = self.bytes[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += digits;
        if digits == 0 { Err(Odd) } else { Ok(()) }
    }

    /// Reads an integer, or null.
    #[inline]
    pub(crate) fn integer(&mut self) -> Result<Option<i64>, Odd> {
        let start = self.at;
        let negative = self.peek()? == b'-';
        self.at += usize::from(negative);
        let mut value = 0_i64;
        let first = self.at;
        while let Some(digit @ b'0'..=b'9') = self.bytes.get(self.at) {
            value = value.wrapping_mul(10).wrapping_add(i64::from(digit - b'0'));
            self.at += 1;
        }
        let digits = self.at - first;
        // 18 digits fit; a leading zero is no JSON; a fraction or exponent is no integer.
        let plain = (1..=18).contains(&digits)
            && (digits == 1 || self.bytes[first] != b'0')
            && !matches!(self.bytes.get(self.at), Some(b'.' | b'e' | b'E'));
        match plain {
            true if negative && value == 0 => Err(Odd),
            true => Ok(Some(if negative { -value } else { value })),
            false if self.at == start && self.word(b"null") => Ok(None),
            false => Err(Odd),
        }
    }

    /// Reads a boolean, or null.
    #[inline]
    pub(crate) fn boolean(&mut self) -> Result<Option<bool>, Odd> {
        if self.word(b"true") {
            Ok(Some(true))
        } else if self.word(b"false") {
            Ok(Some(false))
        } else if self.word(b"null") {
            Ok(None)
        } else {
            Err(Odd)
        }
    }

    /// Reads a list, element by element; null ones are left out.
    pub(crate) fn each(&mut self, mut item: impl FnMut(&mut Self) -> Result<(), Odd>) -> Result<(), Odd> {
        if self.peek()? != b'[' {
            return Err(Odd);
        }
        self.pass_items(b']', |pull| if pull.word(b"null") { Ok(()) } else { item(pull) })
    }
}

/// Whether two slices of equal length are equal. Keys are short, and a call of `memcmp` takes longer than this.
#[inline]
fn same(left: &[u8], right: &[u8]) -> bool {
    if let (Some(left_end), Some(right_end)) = (left.last_chunk::<8>(), right.last_chunk::<8>()) {
        let mut words = left.as_chunks::<8>().0.iter().zip(right.as_chunks::<8>().0);
        return left_end == right_end && words.all(|(left, right)| left == right);
    }
    if let (Some(left_end), Some(right_end)) = (left.last_chunk::<4>(), right.last_chunk::<4>()) {
        return left_end == right_end && left.first_chunk::<4>() == right.first_chunk::<4>();
    }
    left.iter().zip(right).all(|(left, right)| left == right)
}
