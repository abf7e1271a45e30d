//! Parquet's delta encodings: integers by their differences, packed as narrowly as each block of them allows, and texts by
//! what they share with the text before.

use super::hybrid::{bit_width, pack, write_varint};

const BLOCK: usize = 128;
const MINIBLOCKS: usize = 4;
const MINIBLOCK: usize = BLOCK / MINIBLOCKS;

/// How wide the integers are that overflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IntegerWidth {
    Bits32,
    Bits64,
}

/// Appends integers as DELTA_BINARY_PACKED.
pub(crate) fn encode_integers(values: &[i64], width: IntegerWidth, out: &mut Vec<u8>) {
    write_varint(BLOCK as u64, out);
    write_varint(MINIBLOCKS as u64, out);
    write_varint(values.len() as u64, out);
    write_zigzag(values.first().copied().unwrap_or_default(), out);
    let mut before = values.first().copied().unwrap_or_default();
    let mut deltas = [0_i64; BLOCK];
    for block in values.get(1..).unwrap_or_default().chunks(BLOCK) {
        let deltas = &mut deltas[..block.len()];
        for (delta, &value) in deltas.iter_mut().zip(block) {
            *delta = match width {
                IntegerWidth::Bits64 => value.wrapping_sub(before),
                IntegerWidth::Bits32 => i64::from((value as i32).wrapping_sub(before as i32)),
            };
            before = value;
        }
        let least = deltas.iter().copied().min().unwrap_or_default();
        write_zigzag(least, out);
        let widths_at = out.len();
        out.extend_from_slice(&[0; MINIBLOCKS]);
        for (number, miniblock) in deltas.chunks(MINIBLOCK).enumerate() {
            let above = |delta: &i64| delta.wrapping_sub(least) as u64;
            let width = miniblock.iter().map(|delta| bit_width(above(delta))).max().unwrap_or_default();
            out[widths_at + number] = width as u8;
            pack(miniblock.iter().map(above), MINIBLOCK, width, out);
        }
    }
}

/// Appends texts as DELTA_BYTE_ARRAY. They lie one behind the other in `bytes`.
pub(crate) fn encode_texts(bytes: &[u8], ends: &[usize], out: &mut Vec<u8>) {
    let (mut prefixes, mut lengths) = (Vec::with_capacity(ends.len()), Vec::with_capacity(ends.len()));
    let mut suffixes = Vec::new();
    let mut before: &[u8] = &[];
    let mut start = 0;
    for &end in ends {
        let text = &bytes[start..end];
        let shared = shared(before, text);
        prefixes.push(shared as i64);
        lengths.push((text.len() - shared) as i64);
        suffixes.extend_from_slice(&text[shared..]);
        (before, start) = (text, end);
    }
    encode_integers(&prefixes, IntegerWidth::Bits32, out);
    encode_integers(&lengths, IntegerWidth::Bits32, out);
    out.extend_from_slice(&suffixes);
}

/// How many bytes two texts begin with in common; eight at a time, since it is often all of them.
fn shared(left: &[u8], right: &[u8]) -> usize {
    let words = left.as_chunks::<8>().0.iter().zip(right.as_chunks::<8>().0);
    let mut len = 0;
    for (left, right) in words {
        let differ = u64::from_le_bytes(*left) ^ u64::from_le_bytes(*right);
        if differ != 0 {
            return len + differ.trailing_zeros() as usize / 8;
        }
        len += 8;
    }
    len + left[len..].iter().zip(&right[len..]).take_while(|(left, right)| left == right).count()
}

fn write_zigzag(number: i64, out: &mut Vec<u8>) {
    write_varint(((number << 1) ^ (number >> 63)) as u64, out);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_two_texts_share_is_counted_to_the_byte(same in "[ab]{0,40}", left in "[ab]{0,20}", right in "[ab]{0,20}") {
            let (left, right) = (same.clone() + &left, same + &right);
            let expected = left.bytes().zip(right.bytes()).take_while(|(left, right)| left == right).count();
            prop_assert_eq!(shared(left.as_bytes(), right.as_bytes()), expected);
        }
    }
}
