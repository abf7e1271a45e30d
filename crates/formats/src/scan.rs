//! The inner loops: finding the end of a plain text, and copying it on the way.
//!
//! Texts are short, and of all lengths, so a loop of small steps ends at another step each time, which costs the processor
//! more than the steps themselves. Thirty-two bytes at a time nearly always end at the first.

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

/// A bit for each comma.
#[inline]
fn commas(chunk: &[u8; STEP]) -> u32 {
    let half = |bytes: [u8; 16]| u8x16::new(bytes).simd_eq(u8x16::splat(b',')).to_bitmask();
    let (low, high) = halves(chunk);
    half(low) | half(high) << 16
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

/// Calls back for the place of each comma.
#[inline]
pub(crate) fn each_comma(bytes: &[u8], mut found: impl FnMut(usize)) {
    let (chunks, rest) = bytes.as_chunks::<STEP>();
    let mut at = 0;
    for chunk in chunks {
        let mut hits = commas(chunk);
        while hits != 0 {
            found(at + hits.trailing_zeros() as usize);
            hits &= hits - 1;
        }
        at += STEP;
    }
    for (place, byte) in rest.iter().enumerate() {
        if *byte == b',' {
            found(at + place);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn scans_find_what_a_look_at_each_byte_finds(
            bytes in prop::collection::vec(prop_oneof![8 => any::<u8>(), 4 => Just(b'a'), 1 => Just(b','), 1 => Just(b'"')], 0..200),
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
            let mut places = Vec::new();
            each_comma(&bytes, |place| places.push(place));
            prop_assert_eq!(places, memchr::memchr_iter(b',', &bytes).collect::<Vec<_>>());
        }
    }
}
