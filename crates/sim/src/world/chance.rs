//! Seeded chance: the one source of everything in the world that looks random.
//!
//! Every value is a pure function of the seed and of what it belongs to, so any record can be computed by itself, in
//! any order, and is never stored. The mixing is SplitMix64, written out here because the data must stay the same in
//! every later version of this crate, which no random-number library promises.

/// Scrambles 64 bits; a bijection, so distinct inputs give distinct outputs.
pub(crate) const fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A value that belongs to `a`, `b` and `c` under `seed`.
pub(crate) const fn keyed(seed: u64, a: u64, b: u64, c: u64) -> u64 {
    mix(mix(mix(seed ^ a).wrapping_add(b)).wrapping_add(c))
}

/// A sequence of draws that belongs to one thing.
#[derive(Clone, Debug)]
pub(crate) struct Draws(u64);

impl Draws {
    pub(crate) const fn new(key: u64) -> Self {
        Self(key)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number from 0 to `bound` - 1; 0 for a bound of 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        scale(self.next(), bound)
    }

    /// True for `share` of every thousand draws.
    pub(crate) fn chance(&mut self, share: u64) -> bool {
        self.below(1_000) < share
    }

    /// One of `choices`, which must not be empty.
    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}

/// Scales 64 random bits to a number from 0 to `bound` - 1, without the cost of a division.
pub(crate) const fn scale(bits: u64, bound: u64) -> u64 {
    ((bits as u128 * bound as u128) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_values_never_change() {
        // Pinned: a change here changes every world of every seed.
        assert_eq!(mix(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(keyed(7, 1, 2, 3), keyed(7, 1, 2, 3));
        assert_ne!(keyed(7, 1, 2, 3), keyed(8, 1, 2, 3));
        let mut draws = Draws::new(1);
        assert!((0..10_000).all(|_| draws.below(7) < 7));
    }
}
