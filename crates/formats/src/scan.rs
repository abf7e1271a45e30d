//! The inner loops: finding the end of a plain text, and copying it on the way.
//!
//! Texts are short, and of all lengths, so a loop of small steps ends at another step each time, which costs the processor
//! more than the steps themselves. Thirty-two bytes at a time nearly always end at the first.

use std::ops::Range;

use wide::u8x16;

const STEP: usize = 32;

/// A bit for each byte that is a quote, a backslash or a control character.
#[inline]
fn special(chunk: &[u8; STEP]) -> u32 {
    let half = |bytes: [u8; 16]| {
        let bytes = u8x16::new(bytes);
        let control = bytes.simd_eq(bytes.min(u8x16::splat(0x1f)));
        (bytes.simd_eq(u8x16::splat(b'"')) | bytes.simd_eq(u8x16::splat(b'\\')) | control).to_bitmask()
    };
    let (low, high) = halves(chunk);
    half(low) | half(high) << 16
}

/// How many bytes [`csv_marks`] looks at.
pub(crate) const MARKS: usize = 64;

/// What ends the cells and rows of a CSV, a bit for each byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CsvMarks {
    pub(crate) commas: u64,
    /// Quotes, newlines and carriage returns.
    pub(crate) others: u64,
}

/// The marks among the 64 bytes from `from` on; none behind the end.
#[inline]
pub(crate) fn csv_marks(bytes: &[u8], from: usize) -> CsvMarks {
    let rest = &bytes[from..];
    match rest.first_chunk() {
        Some(chunk) => marks(chunk),
        None => {
            let mut chunk = [0; MARKS];
            chunk[..rest.len()].copy_from_slice(rest);
            marks(&chunk)
        }
    }
}

#[inline]
fn marks(chunk: &[u8; MARKS]) -> CsvMarks {
    let (quarters, _) = chunk.as_chunks::<16>();
    let none = CsvMarks { commas: 0, others: 0 };
    quarters.iter().rev().fold(none, |marks, quarter| {
        let bytes = u8x16::new(*quarter);
        let is = |byte| bytes.simd_eq(u8x16::splat(byte));
        let others = is(b'"') | is(b'\n') | is(b'\r');
        CsvMarks {
            commas: marks.commas << 16 | u64::from(is(b',').to_bitmask()),
            others: marks.others << 16 | u64::from(others.to_bitmask()),
        }
    })
}

#[inline]
fn halves(chunk: &[u8; STEP]) -> ([u8; 16], [u8; 16]) {
    let (low, high) = chunk.split_at(16);
    (low.first_chunk().copied().unwrap_or_default(), high.first_chunk().copied().unwrap_or_default())
}

/// How many bytes there are before a quote, a backslash or a control character.
#[inline]
pub(crate) fn plain_len(bytes: &[u8]) -> usize {
    let mut len = 0;
    while let Some(chunk) = bytes[len..].first_chunk::<STEP>() {
        let hits = special(chunk);
        if hits != 0 {
            return len + hits.trailing_zeros() as usize;
        }
        len += STEP;
    }
    len + plain_len_of_few(&bytes[len..])
}

fn plain_len_of_few(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|&&byte| byte != b'"' && byte != b'\\' && byte >= 0x20).count()
}

/// Copies what is before a quote, a backslash or a control character. Returns how many bytes that are.
#[inline]
pub(crate) fn copy_plain(bytes: &[u8], into: &mut Vec<u8>) -> usize {
    let (from, mut len) = (into.len(), 0);
    while let Some(chunk) = bytes[len..].first_chunk::<STEP>() {
        // A copy of known size needs no call, and what is too much is cut off.
        into.extend_from_slice(chunk);
        let hits = special(chunk);
        if hits != 0 {
            len += hits.trailing_zeros() as usize;
            into.truncate(from + len);
            return len;
        }
        len += STEP;
    }
    let rest = &bytes[len..];
    let few = plain_len_of_few(rest);
    into.extend_from_slice(&rest[..few]);
    len + few
}

/// Copies the first `len` bytes; when there are more behind them it is quicker.
#[inline]
pub(crate) fn copy_first(bytes: &[u8], len: usize, into: &mut Vec<u8>) {
    match bytes.first_chunk::<STEP>() {
        Some(chunk) if len <= STEP => {
            let from = into.len();
            into.extend_from_slice(chunk);
            into.truncate(from + len);
        }
        _ => into.extend_from_slice(&bytes[..len]),
    }
}

/// Appends texts that lie in `bytes`, one behind the other.
pub(crate) fn copy_ranges(
    bytes: &[u8],
    ranges: impl Iterator<Item = Range<usize>> + Clone,
    into: &mut Vec<u8>,
) {
    let (len, longest) = ranges
        .clone()
        .fold((0, 0), |(sum, longest): (usize, usize), range| (sum + range.len(), longest.max(range.len())));
    // A copy of known size needs no call, and asking each text for its length would be guessed wrongly too often.
    match longest {
        0..=16 => copy_steps::<16>(bytes, ranges, len, into),
        17..=32 => copy_steps::<32>(bytes, ranges, len, into),
        33..=64 => copy_steps::<64>(bytes, ranges, len, into),
        _ => ranges.for_each(|range| into.extend_from_slice(&bytes[range])),
    }
}

/// Copies texts of at most `N` bytes, `len` in all. What is too much is written over by the next.
#[inline]
fn copy_steps<const N: usize>(
    bytes: &[u8],
    ranges: impl Iterator<Item = Range<usize>>,
    len: usize,
    into: &mut Vec<u8>,
) {
    let mut at = into.len();
    into.resize(at + len + N, 0);
    for range in ranges {
        let len = range.len();
        let chunk = bytes.get(range.start..).and_then(<[u8]>::first_chunk::<N>);
        match (chunk, into.get_mut(at..).and_then(<[u8]>::first_chunk_mut::<N>)) {
            (Some(chunk), Some(place)) => *place = *chunk,
            // Nothing that long is behind it.
            _ => into[at..at + len].copy_from_slice(&bytes[range]),
        }
        at += len;
    }
    into.truncate(at);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn scans_find_what_a_look_at_each_byte_finds(
            bytes in prop::collection::vec(prop_oneof![8 => any::<u8>(), 4 => Just(b'a'), 1 => prop::sample::select(&b",\"\n\r"[..])], 0..200),
            len in any::<prop::sample::Index>(),
        ) {
            let expected = plain_len_of_few(&bytes);
            prop_assert_eq!(plain_len(&bytes), expected);
            let mut copied = b"before".to_vec();
            prop_assert_eq!(copy_plain(&bytes, &mut copied), expected);
            prop_assert_eq!(&copied[6..], &bytes[..expected]);
            let len = len.index(bytes.len() + 1);
            copied.truncate(6);
            copy_first(&bytes, len, &mut copied);
            prop_assert_eq!(&copied[6..], &bytes[..len]);
            copied.truncate(6);
            let ranges = [len..bytes.len(), 0..len, len / 2..len];
            copy_ranges(&bytes, ranges.iter().cloned(), &mut copied);
            prop_assert_eq!(&copied[6..], &[&bytes[len..], &bytes[..len], &bytes[len / 2..len]].concat());
            for (at, place) in (len..bytes.len()).enumerate().take(MARKS) {
                let CsvMarks { commas, others } = csv_marks(&bytes, len);
                prop_assert_eq!(commas >> at & 1 == 1, bytes[place] == b',');
                prop_assert_eq!(others >> at & 1 == 1, matches!(bytes[place], b'"' | b'\n' | b'\r'));
            }
        }
    }
}
