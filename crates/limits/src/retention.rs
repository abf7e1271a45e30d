//! How long a result file can still be fetched.

use jiff::{SignedDuration, Timestamp};

/// For how long the service keeps a result file (contract (b): 10 days).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileRetention {
    keeps: SignedDuration,
}

/// What is left of a file's life at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Retention {
    /// The file should still be there for this long.
    Left(SignedDuration),
    /// The file should have been gone for this long; zero at the very moment of expiry.
    ExpiredSince(SignedDuration),
}

impl Retention {
    /// Whether the file should be gone.
    pub const fn is_expired(self) -> bool {
        matches!(self, Self::ExpiredSince(_))
    }
}

impl FileRetention {
    /// Files are kept for `days` days.
    pub const fn days(days: u16) -> Self {
        Self { keeps: SignedDuration::from_hours(days as i64 * 24) }
    }

    /// For how long a file is kept.
    pub const fn duration(self) -> SignedDuration {
        self.keeps
    }

    /// What is left at `now` of the life of a file.
    ///
    /// Whether the service counts from a job's creation or from its end is not known (contract (j.11)). Pass the job's
    /// creation to be sure of a file that is said to be there, and its end to be sure of one that is said to be gone.
    pub fn at(self, since: Timestamp, now: Timestamp) -> Retention {
        let age = since.duration_until(now);
        let left = self.keeps.saturating_sub(age);
        if left > SignedDuration::ZERO {
            Retention::Left(left)
        } else {
            Retention::ExpiredSince(age.saturating_sub(self.keeps))
        }
    }

    /// Whether a refusal of the file at `now` is most likely its expiry: within a day of the end of its retention, or
    /// past it. The margin covers the doubt about what the service counts from.
    pub fn explains_absence(self, created: Timestamp, now: Timestamp) -> bool {
        match self.at(created, now) {
            Retention::Left(left) => left <= SignedDuration::from_hours(24),
            Retention::ExpiredSince(_) => true,
        }
    }
}
