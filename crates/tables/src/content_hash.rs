//! The content hash of a set of records: equal for equal records, whatever their order and wherever they are stored.

use arrow_array::RecordBatch;
use sha2::{Digest, Sha256};

use crate::canonical::Canonical;
use crate::error::Error;

/// Counts records and sums up, modulo 2^128, the first 16 bytes of the SHA-256 of each record's canonical JSON, read as a
/// big-endian number.
///
/// Canonical JSON has the API's own field names, sorted; `extra` is merged back in; the columns that begin with `_`, nulls,
/// empty lists and empty objects are left out; instants are UTC with six decimals and `Z`.
///
/// ```
/// use backstory_tables::{ActivityBatchBuilder, ContentHash, Origin};
/// use backstory_formats::Activity;
/// use jiff::Timestamp;
///
/// let mut batches = ActivityBatchBuilder::new(&Origin::offline(Timestamp::UNIX_EPOCH));
/// let mut activity = Activity::default();
/// activity.uid = Some("em-1".into());
/// batches.push(&activity, 1);
///
/// let mut hash = ContentHash::new();
/// hash.update(&batches.finish())?;
/// // SHA-256 of {"uid":"em-1"}
/// assert_eq!((hash.count(), hash.hex().as_str()), (1, "b71ed96d3a2b7dfd725b9ebf6b631004"));
/// # Ok::<(), backstory_tables::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContentHash {
    count: u64,
    sum: u128,
}

impl ContentHash {
    /// The hash of no records.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in all rows of a nested batch.
    ///
    /// # Errors
    /// [`ErrorKind::Table`](crate::ErrorKind::Table) when a column is of a type that no table of this crate has.
    pub fn update(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        let schema = batch.schema();
        let canonical = Canonical::of(schema.fields(), batch.columns())?;
        let mut json = Vec::with_capacity(4096);
        for row in 0..batch.num_rows() {
            json.clear();
            if !canonical.write(row, &mut json) {
                json.extend_from_slice(b"{}");
            }
            let digest = Sha256::digest(&json);
            let first = digest.iter().take(16).fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
            self.sum = self.sum.wrapping_add(first);
            self.count += 1;
        }
        Ok(())
    }

    /// Takes in the records that another hash has.
    pub fn merge(&mut self, other: &Self) {
        self.sum = self.sum.wrapping_add(other.sum);
        self.count += other.count;
    }

    /// How many records have been taken in.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The sum as 32 hexadecimal digits in lower case.
    pub fn hex(&self) -> String {
        format!("{:032x}", self.sum)
    }
}
