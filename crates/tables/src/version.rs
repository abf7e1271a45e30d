//! The order of versions, as text: `_version`.
//!
//! Every delivered record is a version of its key, and the current row is the greatest version of its key. The order is
//! total: `ingest_timestamp` (else the job's time), then the job's time, then the job's id (digits by number, else by
//! bytes), fragment and line. The text has a fixed width and is compared byte by byte, so in SQL with a binary collation:
//!
//! | bytes | what | how |
//! |---|---|---|
//! | 16 | `ingest_timestamp`, else the job's time | microseconds since 1970, moved to be positive, hexadecimal |
//! | 16 | the job's time | the same |
//! | 41 | the job's id | `0` and 40 digits, or `1` and its text, filled up with spaces |
//! | 10 | fragment | decimal |
//! | 12 | line | decimal |

use arrow_array::StringArray;
use arrow_buffer::{Buffer, OffsetBuffer};
use sha2::{Digest, Sha256};

use crate::origin::Origin;

/// How many bytes a version has.
pub(crate) const WIDTH: usize = INSTANT + INSTANT + JOB + FRAGMENT + LINE;
const INSTANT: usize = 16;
const JOB: usize = 1 + JOB_TEXT;
const JOB_TEXT: usize = 40;
const FRAGMENT: usize = 10;
const LINE: usize = 12;

/// The versions of a delivery's rows: all but what differs between them.
#[derive(Clone, Debug)]
pub(crate) struct Versions {
    template: [u8; WIDTH],
}

impl Versions {
    pub(crate) fn of(origin: &Origin) -> Self {
        let job_time = hex(origin.job_time().as_microsecond());
        let mut template = [job_time, job_time].concat();
        template.extend(job(origin.job_id.as_deref().unwrap_or_default()));
        template.extend(format!("{:0FRAGMENT$}{:0LINE$}", origin.fragment, 0).into_bytes());
        // All parts have a fixed width.
        Self { template: template.try_into().unwrap_or([b'0'; WIDTH]) }
    }

    /// The versions of rows, given their `ingest_timestamp`s in microseconds and their lines.
    pub(crate) fn array(&self, rows: impl ExactSizeIterator<Item = (Option<i64>, u64)>) -> StringArray {
        let len = rows.len();
        let mut values = Vec::with_capacity(len * WIDTH);
        let mut last = Line::default();
        for (ingested, line) in rows {
            let start = values.len();
            values.extend_from_slice(&self.template);
            if let Some(micros) = ingested {
                values[start..start + INSTANT].copy_from_slice(&hex(micros));
            }
            last.go_to(line);
            values[start + WIDTH - LINE..].copy_from_slice(&last.digits);
        }
        let offsets = OffsetBuffer::from_repeated_length(WIDTH, len);
        StringArray::new(offsets, Buffer::from_vec(values), None)
    }
}

/// A `_version` in its three parts: the instant by which versions are ordered first, what all rows of a fragment have in
/// common, and the line. Each part is compared byte by byte. `None` for a text that is no version.
///
/// ```
/// use backstory_tables::{ActivityBatches, Origin, split_version};
/// use arrow_array::cast::AsArray;
///
/// let batches = ActivityBatches::new(&b"{\"uid\":\"a\"}\n{\"uid\":\"b\"}\n"[..], &Origin::offline(jiff::Timestamp::UNIX_EPOCH));
/// for batch in batches {
///     let batch = batch?;
///     let versions = batch.column_by_name("_version").unwrap().as_string::<i32>();
///     let [first, second] = [0, 1].map(|row| split_version(versions.value(row)).unwrap());
///     assert_eq!((first.0, first.1), (second.0, second.1));
///     assert!(first.2 < second.2);
/// }
/// # Ok::<(), backstory_tables::Error>(())
/// ```
pub fn split_version(version: &str) -> Option<(&str, &str, &str)> {
    if version.len() != WIDTH {
        return None;
    }
    let (instant, rest) = version.split_at_checked(INSTANT)?;
    let (fragment, line) = rest.split_at_checked(WIDTH - INSTANT - LINE)?;
    Some((instant, fragment, line))
}

fn hex(micros: i64) -> [u8; INSTANT] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let ordered = (micros as u64) ^ (1 << 63);
    std::array::from_fn(|at| DIGITS[(ordered >> (60 - 4 * at) & 15) as usize])
}

/// A line, and its digits.
struct Line {
    number: u64,
    digits: [u8; LINE],
}

impl Default for Line {
    fn default() -> Self {
        Self { number: 0, digits: [b'0'; LINE] }
    }
}

impl Line {
    /// Most often that is the next one, and only its last digit differs.
    #[inline]
    fn go_to(&mut self, line: u64) {
        let last = &mut self.digits[LINE - 1];
        if line == self.number + 1 && *last < b'9' {
            *last += 1;
        } else {
            let mut rest = line;
            for digit in self.digits.iter_mut().rev() {
                *digit = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
        }
        self.number = line;
    }
}

/// A job's id. One that isn't digits stands behind all that are; one that doesn't fit keeps its beginning, and a hash
/// tells it from others.
fn job(id: &str) -> Vec<u8> {
    let digits = id.trim_start_matches('0');
    if id.bytes().all(|byte| byte.is_ascii_digit()) && digits.len() <= JOB_TEXT {
        return format!("0{digits:0>JOB_TEXT$}").into_bytes();
    }
    if id.len() <= JOB_TEXT && id.bytes().all(|byte| byte.is_ascii_graphic()) {
        return format!("1{id:<JOB_TEXT$}").into_bytes();
    }
    let beginning = id
        .bytes()
        .map(|byte| if byte.is_ascii_graphic() { byte } else { b'~' })
        .chain(std::iter::repeat(b' '));
    let hash = Sha256::digest(id);
    let hash: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    std::iter::once(b'1').chain(beginning.take(JOB_TEXT - hash.len())).chain(hash.into_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    fn version(ingested: Option<i64>, job_time: i64, job_id: &str, fragment: u32, line: u64) -> String {
        let created = Timestamp::from_microsecond(job_time).unwrap();
        let origin = Origin::of_job(job_id, (date(2026, 1, 1), date(2026, 1, 2)), Timestamp::UNIX_EPOCH)
            .with_fragment(fragment)
            .with_job_times(Some(created), None);
        Versions::of(&origin).array([(ingested, line)].into_iter()).value(0).to_owned()
    }

    #[test]
    fn the_encoding_is_what_stored_tables_hold() {
        assert_eq!(
            version(Some(1), 0, "0123", 7, 42),
            "8000000000000001800000000000000000000000000000000000000000000000000000123\
             0000000007000000000042"
                .replace(' ', "")
        );
    }

    #[test]
    fn the_start_of_a_job_counts_before_its_creation() {
        let at = |second| Some(Timestamp::from_second(second).unwrap());
        let origin = Origin::offline(Timestamp::UNIX_EPOCH).with_job_times(at(1), at(2));
        assert_eq!(origin.job_time(), at(2).unwrap());
    }

    fn job_id() -> impl Strategy<Value = String> {
        prop_oneof!["[0-9]{1,12}", "[a-zA-Z0-9-]{1,45}", "\\PC{0,50}"]
    }

    proptest! {
        #[test]
        fn text_order_is_version_order(
            left in (any::<Option<i32>>(), any::<i32>(), "[0-9]{1,15}|[a-f]{8}-[0-9]{4}", any::<u32>(), 0_u64..1 << 33),
            right in (any::<Option<i32>>(), any::<i32>(), "[0-9]{1,15}|[a-f]{8}-[0-9]{4}", any::<u32>(), 0_u64..1 << 33),
        ) {
            let order = |of: &(Option<i32>, i32, String, u32, u64)| {
                let job = of.2.parse::<u64>().map_or((1, 0, of.2.clone()), |number| (0, number, String::new()));
                (of.0.unwrap_or(of.1), of.1, job, of.3, of.4)
            };
            let text = |of: &(Option<i32>, i32, String, u32, u64)| {
                version(of.0.map(i64::from), of.1.into(), &of.2, of.3, of.4)
            };
            prop_assert_eq!(text(&left).cmp(&text(&right)), order(&left).cmp(&order(&right)));
        }

        #[test]
        fn every_version_has_the_same_width(id in job_id(), line in 0_u64..1 << 36) {
            let text = version(None, 0, &id, u32::MAX, line);
            prop_assert_eq!(text.len(), WIDTH);
            prop_assert!(text.is_ascii());
        }
    }
}
