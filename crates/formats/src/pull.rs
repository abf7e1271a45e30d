//! The fast way from JSON to a record: one pass, typed, that borrows every text and looks at each byte about once.
//!
//! It reads what the service nearly always sends, and gives up ([`Odd`]) on anything else: a value of another type, a
//! number that isn't a plain integer, half a surrogate pair, malformed JSON. What it gives up on is read again by
//! serde_json, which decides; so this pass may refuse too much, but must never take what serde_json wouldn't.
//!
//! It stands in front of serde_json because decoding was half of a conversion's time. Two things make it fast: a key is
//! guessed before it is read (the one that followed the present key last time), which saves finding its end and looking
//! it up; and texts are scanned eight bytes at a time.

use std::borrow::Cow;
use std::cell::Cell;

use crate::generated::{MAX_FIELDS, RECORD_TYPES};
use crate::json::{MAX_NESTING, MAX_RECORDS};
use crate::record::{Decode, FieldSource, Found, Text};

/// The input is not what this pass reads.
#[derive(Debug)]
pub(crate) struct Odd;

/// For each record type, and each of its fields (and the beginning), the field that came next last time.
struct Guesses([[Cell<u8>; MAX_FIELDS + 1]; RECORD_TYPES]);

thread_local! {
    static GUESSES: Guesses = const { Guesses([const { [const { Cell::new(0) }; MAX_FIELDS + 1] }; RECORD_TYPES]) };
}

/// Decodes a JSON object into a record. Returns whether any of the record's fields was there, beside the record.
pub(crate) fn decode<'a, R: Decode<'a>>(json: &'a str) -> Result<(R, bool), Odd> {
    GUESSES.with(|guesses| {
        let mut pull = Pull { json, bytes: json.as_bytes(), at: 0, guesses };
        pull.space();
        let mut record = R::default();
        let any = pull.object(&mut record)?;
        pull.space();
        if pull.at == pull.bytes.len() { Ok((record, any)) } else { Err(Odd) }
    })
}

/// A place in the input.
struct Pull<'a, 'g> {
    json: &'a str,
    bytes: &'a [u8],
    at: usize,
    guesses: &'g Guesses,
}

impl<'a> Pull<'a, '_> {
    #[inline]
    fn peek(&self) -> Result<u8, Odd> {
        self.bytes.get(self.at).copied().ok_or(Odd)
    }

    /// Passes over white space, of which there is hardly ever any.
    #[inline]
    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Result<(), Odd> {
        if self.peek()? != byte {
            return Err(Odd);
        }
        self.at += 1;
        Ok(())
    }

    /// Passes over a word, if it stands here.
    #[inline]
    fn word(&mut self, word: &[u8]) -> bool {
        let found = self.bytes[self.at..].starts_with(word);
        if found {
            self.at += word.len();
        }
        found
    }

    /// Reads an object into a record, in place: records are too big to be passed around. Returns whether any of its fields
    /// was there.
    fn object<R: Decode<'a>>(&mut self, record: &mut R) -> Result<bool, Odd> {
        self.expect(b'{')?;
        let mut any = false;
        self.space();
        if self.peek()? == b'}' {
            self.at += 1;
            return Ok(any);
        }
        // Field n is n + 1 here; 0 is the object's beginning.
        let mut before = 0;
        loop {
            let guess = &self.guesses.0[R::TYPE][before];
            let guessed = usize::from(guess.get());
            let field = if self.is_key(R::FIELDS[guessed]) {
                Some(guessed)
            } else {
                let key = self.text()?;
                let field = R::index_of(&key);
                match field {
                    Some(field) => guess.set(field as u8),
                    None => {
                        self.colon()?;
                        let value = self.raw()?;
                        record.extra_mut().set(key, Cow::Borrowed(value));
                    }
                }
                field
            };
            if let Some(field) = field {
                self.colon()?;
                record.field(field, self)?;
                any = true;
                before = field + 1;
            }
            self.space();
            match self.peek()? {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return Ok(any);
                }
                _ => return Err(Odd),
            }
            self.space();
        }
    }

    /// Passes over a key, if it is this one.
    #[inline]
    fn is_key(&mut self, name: &str) -> bool {
        let rest = &self.bytes[self.at..];
        let end = name.len() + 1;
        let found = rest.first() == Some(&b'"')
            && rest.get(end) == Some(&b'"')
            && same(&rest[1..end], name.as_bytes());
        if found {
            self.at += end + 1;
        }
        found
    }

    #[inline]
    fn colon(&mut self) -> Result<(), Odd> {
        self.space();
        self.expect(b':')?;
        self.space();
        Ok(())
    }

    /// Reads a text.
    #[inline]
    fn text(&mut self) -> Result<Text<'a>, Odd> {
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
    fn escaped_text(&mut self, start: usize) -> Result<Text<'a>, Odd> {
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
    fn raw(&mut self) -> Result<&'a str, Odd> {
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

    fn pass_items(&mut self, end: u8, mut item: impl FnMut(&mut Self) -> Result<(), Odd>) -> Result<(), Odd> {
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

    /// Whether a list or its next element begins here; passes over what is in front of it.
    fn each(&mut self, mut item: impl FnMut(&mut Self) -> Result<(), Odd>) -> Result<(), Odd> {
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

/// How many bytes there are before a quote, a backslash or a control character.
#[inline]
fn plain_len(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    // A byte's highest bit is set where it is zero. Bits above the first hit may be wrong, so only that is used.
    let zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    let mut len = 0;
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        let word = u64::from_le_bytes(*word);
        let backslash = zero(word ^ (ONES * 0x5c));
        // With this bit flipped, a quote is 0x20, and nothing but control characters is less.
        let flipped = word ^ (ONES * 0x02);
        let quote_or_control = flipped.wrapping_sub(ONES * 0x21) & !flipped & HIGHS;
        let hits = backslash | quote_or_control;
        if hits != 0 {
            return len + (hits.trailing_zeros() / 8) as usize;
        }
        len += 8;
    }
    len + rest.iter().take_while(|&&byte| byte != b'"' && byte != b'\\' && byte >= 0x20).count()
}

impl<'a> FieldSource<'a> for Pull<'a, '_> {
    type Error = Odd;

    #[inline]
    fn text(&mut self, slot: &mut Option<Text<'a>>) -> Result<Found, Odd> {
        *slot = if self.peek()? == b'"' {
            Some(Pull::text(self)?)
        } else if self.word(b"null") {
            None
        } else {
            return Err(Odd);
        };
        Ok(Found::Taken)
    }

    #[inline]
    fn integer(&mut self, slot: &mut Option<i64>) -> Result<Found, Odd> {
        let start = self.at;
        let negative = self.word(b"-");
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
        *slot = match plain {
            true if negative && value == 0 => return Err(Odd),
            true => Some(if negative { -value } else { value }),
            false if self.at == start && self.word(b"null") => None,
            false => return Err(Odd),
        };
        Ok(Found::Taken)
    }

    fn boolean(&mut self, slot: &mut Option<bool>) -> Result<Found, Odd> {
        *slot = if self.word(b"true") {
            Some(true)
        } else if self.word(b"false") {
            Some(false)
        } else if self.word(b"null") {
            None
        } else {
            return Err(Odd);
        };
        Ok(Found::Taken)
    }

    fn texts(&mut self, slot: &mut Option<Vec<Text<'a>>>) -> Result<Found, Odd> {
        *slot = None;
        if !self.word(b"null") {
            let mut texts = Vec::new();
            self.each(|pull| {
                texts.push(pull.text()?);
                Ok(())
            })?;
            *slot = Some(texts);
        }
        Ok(Found::Taken)
    }

    fn texts_or_text(&mut self, slot: &mut Option<Vec<Text<'a>>>) -> Result<Found, Odd> {
        if self.peek()? == b'"' {
            *slot = Some(vec![Pull::text(self)?]);
            return Ok(Found::Taken);
        }
        self.texts(slot)
    }

    fn record<R: Decode<'a>>(&mut self, slot: &mut Option<R>) -> Result<Found, Odd> {
        if self.word(b"null") {
            *slot = None;
        } else {
            self.object(slot.insert(R::default()))?;
        }
        Ok(Found::Taken)
    }

    fn records<R: Decode<'a>>(&mut self, slot: &mut Option<Vec<R>>) -> Result<Found, Odd> {
        *slot = None;
        if !self.word(b"null") {
            // Room for a usual meeting, so that records are seldom moved.
            let records = slot.insert(Vec::with_capacity(8));
            self.each(|pull| {
                if records.len() == MAX_RECORDS {
                    return Err(Odd);
                }
                records.push(R::default());
                records.last_mut().map_or(Ok(false), |record| pull.object(record)).map(drop)
            })?;
        }
        Ok(Found::Taken)
    }
}
