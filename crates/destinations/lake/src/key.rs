//! Hashes of keys: by them keys are divided into buckets, and compared where there are too many to keep.
//!
//! XXH3 with 128 bits is fixed once and for all, so buckets mean the same in every version. Two keys of a lake with the same
//! hash are less likely than a disk that lies: with 100 million keys, one in 10²².

use twox_hash::XxHash3_128;

/// A key's hash.
pub(crate) fn hash(key: &str) -> u128 {
    XxHash3_128::oneshot(key.as_bytes())
}

/// The bucket of a hash, of so many. Buckets are ranges of hashes, in order.
pub(crate) fn bucket(hash: u128, buckets: u32) -> u32 {
    let high = hash >> 64;
    // Below `buckets`, since the factor is below 2^64.
    ((high * u128::from(buckets)) >> 64) as u32
}

/// The hashes of a bucket: the least, and the least of the next.
pub(crate) fn first_hash(bucket: u32, buckets: u32) -> u128 {
    let high = (u128::from(bucket) << 64).div_ceil(u128::from(buckets.max(1)));
    // The bucket behind the last begins where hashes end.
    high.checked_shl(64).filter(|_| high < 1 << 64).unwrap_or(u128::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_hash_is_what_stored_bases_were_divided_by() {
        assert_eq!(format!("{:032x}", hash("em-1")), "3e92be4c36fc59c81e5da4a6d3a23bea");
    }

    proptest! {
        #[test]
        fn a_bucket_is_the_range_between_two_first_hashes(hash: u128, buckets in 1_u32..5_000) {
            let bucket = bucket(hash, buckets);
            prop_assert!(bucket < buckets);
            prop_assert!(first_hash(bucket, buckets) <= hash);
            prop_assert!(hash < first_hash(bucket + 1, buckets) || bucket + 1 == buckets);
        }
    }
}
