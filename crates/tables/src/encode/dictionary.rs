//! A column's distinct values, each written once.

/// Values by the number in which they first came.
#[derive(Debug)]
pub(crate) struct Dictionary {
    /// The values as they stand in a dictionary page: texts behind their lengths.
    plain: Vec<u8>,
    entries: Vec<Entry>,
    /// Open addressing, at most half full: a [`slot`] or 0. Look-ups are as slow as the memory they touch, so slots are
    /// small, and a part of the hash in them tells most wrong ones without a look at their values.
    table: Vec<u32>,
    has_lengths: bool,
}

/// Where a value lies in the dictionary page.
#[derive(Clone, Copy, Debug)]
struct Entry {
    start: u32,
    len: u32,
}

/// How many bits of a slot are the number of a value, plus one. A dictionary is given up long before it has so many.
const NUMBER_BITS: u32 = 22;
const NUMBER: u32 = (1 << NUMBER_BITS) - 1;

/// What a value's slot holds.
fn slot(hash: u64, number: u32) -> u32 {
    ((hash >> 32) as u32 & !NUMBER) | ((number + 1) & NUMBER)
}

impl Dictionary {
    /// A dictionary of texts, or of integers, which need no length.
    pub(crate) fn new(of_texts: bool) -> Self {
        Self { plain: Vec::new(), entries: Vec::new(), table: vec![0; 256], has_lengths: of_texts }
    }

    /// An empty dictionary with room for as much as this one holds, which is left with its values: the next row group's
    /// will be as big, and growing means to hash everything anew.
    pub(crate) fn successor(&self) -> Self {
        Self {
            plain: Vec::with_capacity(self.plain.len()),
            entries: Vec::with_capacity(self.entries.len()),
            table: vec![0; self.table.len()],
            has_lengths: self.has_lengths,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are numbers for so many more values.
    pub(crate) fn has_room_for(&self, values: usize) -> bool {
        self.entries.len() + values < NUMBER as usize
    }

    pub(crate) fn plain(&self) -> &[u8] {
        &self.plain
    }

    /// The least and the greatest value, if there are any.
    pub(crate) fn range<V: Ord + Copy>(&self, read: impl Fn(usize) -> V) -> Option<(V, V)> {
        let mut values = (0..self.len()).map(read);
        let first = values.next()?;
        Some(values.fold((first, first), |(least, greatest), value| (least.min(value), greatest.max(value))))
    }

    /// The number of a value, from 0, which is added if it is new.
    #[inline]
    fn intern(&mut self, value: &[u8], hash: u64) -> u32 {
        let mask = self.table.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let found = self.table[at];
            if found == 0 {
                return self.add(at, hash, value);
            }
            if (found ^ slot(hash, 0)) & !NUMBER == 0 {
                let number = (found & NUMBER) - 1;
                let known = self.value(number as usize);
                if known.len() == value.len() && same(known, value) {
                    return number;
                }
            }
            at = (at + 1) & mask;
        }
    }

    /// Reads what looking up values with these hashes will read, so that the processor waits for all of it at once and not
    /// for each in turn.
    fn warm(&self, hashes: &[u64]) {
        let mask = self.table.len() - 1;
        let mut slots = [0; GROUP];
        for (hash, slot) in hashes.iter().zip(&mut slots) {
            *slot = self.table[*hash as usize & mask];
        }
        let mut starts = [0; GROUP];
        for ((hash, found), start) in hashes.iter().zip(slots).zip(&mut starts) {
            if found != 0 && (found ^ slot(*hash, 0)) & !NUMBER == 0 {
                *start = self.entries[(found & NUMBER) as usize - 1].start;
            }
        }
        let read = starts
            .iter()
            .fold(0, |read, &start| read ^ self.plain.get(start as usize).copied().unwrap_or_default());
        std::hint::black_box(read);
    }

    #[inline(never)]
    fn add(&mut self, at: usize, hash: u64, value: &[u8]) -> u32 {
        if self.has_lengths {
            self.plain.extend_from_slice(&(value.len() as u32).to_le_bytes());
        }
        let number = self.entries.len() as u32;
        self.entries.push(Entry { start: self.plain.len() as u32, len: value.len() as u32 });
        self.plain.extend_from_slice(value);
        self.table[at] = slot(hash, number);
        if self.entries.len() * 2 > self.table.len() {
            self.grow();
        }
        number
    }

    fn grow(&mut self) {
        let mask = self.table.len() * 4 - 1;
        let mut table = vec![0; mask + 1];
        for (number, value) in self.values().enumerate() {
            let hash = hash(value);
            let mut at = hash as usize & mask;
            while table[at] != 0 {
                at = (at + 1) & mask;
            }
            table[at] = slot(hash, number as u32);
        }
        self.table = table;
    }

    /// A value by its number.
    #[inline]
    pub(crate) fn value(&self, number: usize) -> &[u8] {
        let entry = &self.entries[number];
        &self.plain[entry.start as usize..][..entry.len as usize]
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|number| self.value(number))
    }
}

/// How many values are looked up together.
const GROUP: usize = 16;
/// A dictionary with fewer values lies in the processor's cache as a whole.
const WARM_FROM: usize = 2_048;

/// Looks values up and appends their numbers: in groups, where the dictionary is bigger than the cache (for people it is,
/// and that makes look-ups twice as fast).
pub(crate) struct Interner<'d, 'v> {
    dictionary: &'d mut Dictionary,
    numbers: &'d mut Vec<u32>,
    group: [&'v [u8]; GROUP],
    len: usize,
}

impl<'d, 'v> Interner<'d, 'v> {
    pub(crate) fn new(dictionary: &'d mut Dictionary, numbers: &'d mut Vec<u32>) -> Self {
        Self { dictionary, numbers, group: [&[]; GROUP], len: 0 }
    }

    #[inline]
    pub(crate) fn push(&mut self, value: &'v [u8]) {
        if self.len > 0 || self.dictionary.len() >= WARM_FROM {
            self.group[self.len] = value;
            self.len += 1;
            if self.len == GROUP {
                self.flush();
            }
            return;
        }
        self.numbers.push(self.dictionary.intern(value, hash(value)));
    }

    /// Looks up what is left.
    pub(crate) fn flush(&mut self) {
        let group = &self.group[..std::mem::take(&mut self.len)];
        let mut hashes = [0; GROUP];
        for (value, hashed) in group.iter().zip(&mut hashes) {
            *hashed = hash(value);
        }
        self.dictionary.warm(&hashes[..group.len()]);
        for (value, hash) in group.iter().zip(hashes) {
            self.numbers.push(self.dictionary.intern(value, hash));
        }
    }
}

/// Whether two slices of equal length are equal. Values are short, and a call of `memcmp` takes longer than this.
#[inline]
fn same(left: &[u8], right: &[u8]) -> bool {
    if let (Some(left_ends), Some(right_ends)) = (ends(left), ends(right)) {
        if left.len() <= 16 {
            return left_ends == right_ends;
        }
        let mut words = left.as_chunks::<8>().0.iter().zip(right.as_chunks::<8>().0);
        return left_ends.1 == right_ends.1 && words.all(|(left, right)| left == right);
    }
    few(left) == few(right)
}

/// The first and the last eight bytes of a value that has as many.
#[inline]
fn ends(value: &[u8]) -> Option<(u64, u64)> {
    Some((u64::from_le_bytes(*value.first_chunk()?), u64::from_le_bytes(*value.last_chunk()?)))
}

/// All bytes of a value of fewer than eight, without a loop: of those with equal lengths, equal ones have equal numbers.
#[inline]
fn few(value: &[u8]) -> u64 {
    if let (Some(first), Some(last)) = (value.first_chunk::<4>(), value.last_chunk::<4>()) {
        return u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last));
    }
    match *value {
        [] => 0,
        [first, .., last] => {
            u64::from(first) << 16 | u64::from(value[value.len() / 2]) << 8 | u64::from(last)
        }
        [only] => u64::from(only),
    }
}

/// A quick hash: the ends of a value of up to sixteen bytes, which nearly all are, folded by one multiplication, and what is
/// between them eight bytes at a time. Whoever chooses values that collide slows down the conversion of his own data, and a
/// dictionary that grows big is given up.
#[inline]
fn hash(value: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    const OTHER: u64 = 0xd6e8_feb8_6659_fd93;
    let fold = |left: u64, right: u64| {
        let product = u128::from(left) * u128::from(right);
        (product as u64) ^ (product >> 64) as u64
    };
    let len = value.len() as u64;
    let Some((first, last)) = ends(value) else {
        return fold(few(value) ^ FACTOR, len ^ OTHER);
    };
    let mut hash = fold(first ^ FACTOR, last ^ len ^ OTHER);
    if value.len() > 16 {
        let between = &value[8..value.len() - 8];
        let (words, rest) = between.as_chunks::<8>();
        for word in words {
            hash = fold(hash ^ u64::from_le_bytes(*word), FACTOR);
        }
        if !rest.is_empty()
            && let Some((_, rest)) = ends(&value[..value.len() - 8])
        {
            // Some bytes of the word before it once more.
            hash = fold(hash ^ rest, OTHER);
        }
    }
    hash
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20))]

        #[test]
        fn every_value_has_one_number_and_is_found_by_it(values in prop::collection::vec(prop::collection::vec(prop_oneof![Just(b'a'), any::<u8>()], 0..40), 0..5_000)) {
            let mut dictionary = Dictionary::new(true);
            let mut numbers = HashMap::new();
            let mut expected = Vec::new();
            let mut interned = Vec::new();
            let mut interner = Interner::new(&mut dictionary, &mut interned);
            for value in &values {
                let next = numbers.len() as u32;
                expected.push(*numbers.entry(value.clone()).or_insert(next));
                interner.push(value);
            }
            interner.flush();
            prop_assert_eq!(interned, expected);
            prop_assert_eq!(dictionary.len(), numbers.len());
            for (value, number) in numbers {
                prop_assert_eq!(dictionary.value(number as usize), &value[..]);
            }
        }
    }
}
