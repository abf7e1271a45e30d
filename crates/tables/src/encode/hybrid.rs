//! Parquet's hybrid of run lengths and bit packing, which holds levels and dictionary indices.

/// Appends values of `width` bits each. Eight equal values or more become a run; everything else is packed, in groups of
/// eight, the last of which is filled up with zeros.
pub(crate) fn encode<T: Copy + PartialEq + Into<u32>>(values: &[T], width: u32, out: &mut Vec<u8>) {
    let mut rest = values;
    while !rest.is_empty() {
        let run = run_len(rest);
        if run >= 8 {
            write_varint((run as u64) << 1, out);
            let value: u32 = rest[0].into();
            out.extend_from_slice(&value.to_le_bytes()[..width.div_ceil(8) as usize]);
            rest = &rest[run..];
            continue;
        }
        // As far as the next group that begins a run.
        let mut packed = 8;
        while packed < rest.len() && !begins_run(&rest[packed..]) {
            packed += 8;
        }
        let (head, tail) = rest.split_at(packed.min(rest.len()));
        write_varint((head.len().div_ceil(8) as u64) << 1 | 1, out);
        pack(head.iter().map(|&value| value.into().into()), head.len().next_multiple_of(8), width, out);
        rest = tail;
    }
}

/// Appends levels, which are of at most seven bits, as [`encode`] would; eight at a time, in a word.
pub(crate) fn encode_levels(levels: &[u8], width: u32, out: &mut Vec<u8>) {
    let mut left = levels;
    while let Some(group) = left.first_chunk() {
        let (groups, rest) = left.as_chunks();
        if is_run(group) {
            let whole = 8 * groups.iter().take_while(|&other| other == group).count();
            let more = left[whole..].iter().take_while(|&level| *level == group[0]).count();
            write_varint(((whole + more) as u64) << 1, out);
            out.push(group[0]);
            left = &left[whole + more..];
            continue;
        }
        let packed = 1 + groups[1..].iter().take_while(|group| !is_run(group)).count();
        // The last group of all may be a part of one.
        let rest = if packed == groups.len() { rest } else { &[] };
        write_varint(((packed + usize::from(!rest.is_empty())) as u64) << 1 | 1, out);
        for group in &groups[..packed] {
            pack_levels(u64::from_le_bytes(*group), width, out);
        }
        if !rest.is_empty() {
            pack_levels(part(rest), width, out);
        }
        left = &left[packed * 8 + rest.len()..];
    }
    if !left.is_empty() {
        write_varint(1 << 1 | 1, out);
        pack_levels(part(left), width, out);
    }
}

fn is_run(group: &[u8; 8]) -> bool {
    u64::from_le_bytes(*group) == u64::from_le_bytes([group[0]; 8])
}

/// Eight levels of which some are missing.
fn part(levels: &[u8]) -> u64 {
    levels.iter().rev().fold(0, |word, &level| word << 8 | u64::from(level))
}

/// Packs eight levels, the lowest byte first, as densely as their width allows.
#[inline]
fn pack_levels(word: u64, width: u32, out: &mut Vec<u8>) {
    let packed = (0..8).fold(0, |packed, at| packed | (word >> (8 * at) & 0xff) << (width * at));
    out.extend_from_slice(&packed.to_le_bytes()[..width as usize]);
}

fn run_len<T: Copy + PartialEq>(values: &[T]) -> usize {
    let first = values[0];
    values.iter().position(|&value| value != first).unwrap_or(values.len())
}

fn begins_run<T: Copy + PartialEq>(values: &[T]) -> bool {
    values.first_chunk::<8>().is_some_and(|eight| eight.iter().all(|&value| value == eight[0]))
}

/// Appends `len` values of `width` bits each, the lowest bits first; missing ones are zero.
pub(crate) fn pack(values: impl Iterator<Item = u64>, len: usize, width: u32, out: &mut Vec<u8>) {
    let end = out.len() + (len * width as usize).div_ceil(8);
    if width == 0 {
        return;
    }
    let bits = if width <= 32 { pack_narrow(values, width, out) } else { pack_wide(values, width, out) };
    out.truncate(out.len() - (4 - bits.div_ceil(8) as usize));
    out.resize(end, 0);
}

/// Packs values of up to 32 bits; levels and most numbers are. Returns how many bits of the last four bytes are in use.
fn pack_narrow(values: impl Iterator<Item = u64>, width: u32, out: &mut Vec<u8>) -> u32 {
    let (mut pending, mut bits) = (0_u64, 0);
    for value in values {
        pending |= value << bits;
        bits += width;
        if bits >= 32 {
            out.extend_from_slice(&(pending as u32).to_le_bytes());
            pending >>= 32;
            bits -= 32;
        }
    }
    out.extend_from_slice(&(pending as u32).to_le_bytes());
    bits
}

fn pack_wide(values: impl Iterator<Item = u64>, width: u32, out: &mut Vec<u8>) -> u32 {
    let (mut pending, mut bits) = (0_u128, 0);
    for value in values {
        pending |= u128::from(value) << bits;
        bits += width;
        while bits >= 32 {
            out.extend_from_slice(&(pending as u32).to_le_bytes());
            pending >>= 32;
            bits -= 32;
        }
    }
    out.extend_from_slice(&(pending as u32).to_le_bytes());
    bits
}

/// Appends an unsigned number, seven bits a byte, the lowest first.
pub(crate) fn write_varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// How many bits the number needs.
pub(crate) fn bit_width(number: u64) -> u32 {
    u64::BITS - number.leading_zeros()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads what the format's description says.
    fn decode(mut bytes: &[u8], width: u32, len: usize) -> Vec<u32> {
        let mut values = Vec::new();
        while values.len() < len {
            let (mut header, mut shift) = (0_u64, 0);
            loop {
                let byte = bytes[0];
                bytes = &bytes[1..];
                header |= u64::from(byte & 0x7f) << shift;
                shift += 7;
                if byte < 0x80 {
                    break;
                }
            }
            if header & 1 == 0 {
                let size = width.div_ceil(8) as usize;
                let mut value = [0; 4];
                value[..size].copy_from_slice(&bytes[..size]);
                values.extend(std::iter::repeat_n(u32::from_le_bytes(value), (header >> 1) as usize));
                bytes = &bytes[size..];
            } else {
                let count = (header >> 1) as usize * 8;
                for at in 0..count {
                    let bit = |bit: usize| u32::from(bytes[bit / 8] >> (bit % 8) & 1);
                    values.push((0..width as usize).map(|b| bit(at * width as usize + b) << b).sum());
                }
                bytes = &bytes[count * width as usize / 8..];
            }
        }
        assert!(bytes.is_empty());
        assert!(values[len..].iter().all(|&filled| filled == 0) && values.len() < len + 8);
        values.truncate(len);
        values
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_read_back(
            runs in prop::collection::vec((any::<u32>(), prop_oneof![1_usize..4, 5..40_usize]), 0..20),
            width in 1_u32..=32,
        ) {
            let values: Vec<u32> = runs.iter().flat_map(|&(value, len)| std::iter::repeat_n(value >> (32 - width), len)).collect();
            let mut bytes = Vec::new();
            encode(&values, width, &mut bytes);
            prop_assert_eq!(decode(&bytes, width, values.len()), values);
        }

        #[test]
        fn levels_are_encoded_as_all_numbers_are(
            runs in prop::collection::vec((any::<u8>(), prop_oneof![1_usize..4, 5..40_usize]), 0..20),
            width in 1_u32..=7,
        ) {
            let runs = runs.iter().flat_map(|&(value, len)| std::iter::repeat_n(value >> (8 - width), len));
            let levels: Vec<u8> = runs.collect();
            let (mut quick, mut plain) = (Vec::new(), Vec::new());
            encode_levels(&levels, width, &mut quick);
            encode(&levels, width, &mut plain);
            prop_assert_eq!(quick, plain);
        }
    }
}
