//! One job of a plan: what it asks for, what it belongs to, and the sentence that says why it is there.

use std::fmt;

use backstory_api::ActivityType;
use backstory_destination::{Delivery, DeliveryKind, PartOf, Window};
use backstory_limits::{DateRange, ExportKind};
use jiff::Timestamp;
use jiff::civil::Date;

use super::attempt::AttemptOutcome;

/// A job that a sync should run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlannedJob {
    /// What the window selects on.
    pub kind: DeliveryKind,
    /// Which activities; `All` for contacts.
    pub activity_type: ActivityType,
    /// The window, which is legal for the kind.
    pub window: DateRange,
    /// What it is a part of: a snapshot belongs to a history, contacts to a refresh; a delta stands alone.
    pub part_of: Option<PartOf>,
    /// Why the job is there.
    pub reason: Reason,
    /// Whether some day of the window will still be open when the job is done, so that a later sync asks for it again.
    pub provisional: bool,
}

/// Why a job is planned. Its `Display` is one sentence.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// Nothing of the history is there.
    FirstHistory {
        /// The whole history, its horizon included.
        history: DateRange,
    },
    /// The history is to begin earlier than it does.
    EarlierHistory {
        /// Where it begins now.
        from: Date,
    },
    /// Some of the history isn't there, or no longer.
    MissingHistory,
    /// All dates are there, but as parts of a longer history that was never finished: one job that belongs to this history
    /// says that it is complete.
    HistoryItself,
    /// The history is to reach further into the future than it does.
    Horizon {
        /// Where it ends now.
        reached: Date,
    },
    /// The service refuses future dates, so the days that have come since must be asked for by their own date too.
    RollingTail {
        /// Where the history ends now.
        reached: Date,
    },
    /// A complete snapshot takes fewer jobs than the deltas that were missed.
    InsteadOfDeltas {
        /// How many deltas there would be.
        deltas: usize,
    },
    /// Days that no delta has closed.
    OpenDays {
        /// The first of them.
        from: Date,
        /// The last of them.
        to: Date,
        /// How many closed days before them are read again.
        overlap: u32,
    },
    /// The window is a piece of one that was too much for one job.
    PieceOf {
        /// That window.
        window: DateRange,
        /// What became of its job, where it is known.
        outcome: Option<AttemptOutcome>,
    },
    /// There has never been a complete refresh of contacts.
    FirstRefresh,
    /// The last complete refresh of contacts is too old.
    RefreshDue {
        /// When it was begun.
        last: Timestamp,
    },
    /// The last complete refresh of contacts begins later than it is to.
    EarlierContacts {
        /// Where it begins.
        from: Date,
    },
    /// A refresh of contacts was begun and is not complete.
    UnfinishedRefresh {
        /// When it was begun.
        begun: Timestamp,
    },
}

impl PlannedJob {
    /// Which kind of activity export it is; `None` for contacts.
    pub fn export_kind(&self) -> Option<ExportKind> {
        match self.kind {
            DeliveryKind::Snapshot => Some(ExportKind::Snapshot),
            DeliveryKind::Delta => Some(ExportKind::Delta),
            DeliveryKind::Contacts => None,
        }
    }

    /// The delivery that the job makes, once it has an id: asked for at the server's time `requested_at`, fetched at
    /// `extracted_at`. The server's own times of the job are still to be filled in.
    pub fn delivery(
        &self,
        job_id: impl Into<String>,
        requested_at: Timestamp,
        extracted_at: Timestamp,
    ) -> Delivery {
        let window = Window::new(self.window.start(), self.window.end());
        let mut delivery = Delivery::new(job_id, self.kind, window, requested_at, extracted_at);
        delivery.activity_type = self.activity_type.as_str().to_owned();
        delivery.part_of = self.part_of.clone();
        delivery
    }
}

/// `delta of all activities, 2026-06-17..2026-06-18`.
impl fmt::Display for PlannedJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.kind, self.activity_type) {
            (DeliveryKind::Contacts, _) => write!(f, "contacts, {}", self.window),
            (kind, ActivityType::All) => write!(f, "{} of all activities, {}", kind.as_str(), self.window),
            (kind, one) => write!(f, "{} of activities of type {one}, {}", kind.as_str(), self.window),
        }
    }
}

impl Reason {
    /// Its word in machine-readable answers.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::FirstHistory { .. } => "first-history",
            Self::EarlierHistory { .. } => "earlier-history",
            Self::MissingHistory => "missing-history",
            Self::HistoryItself => "history-itself",
            Self::Horizon { .. } => "horizon",
            Self::RollingTail { .. } => "rolling-tail",
            Self::InsteadOfDeltas { .. } => "instead-of-deltas",
            Self::OpenDays { .. } => "open-days",
            Self::PieceOf { .. } => "piece",
            Self::FirstRefresh => "first-refresh",
            Self::RefreshDue { .. } => "refresh-due",
            Self::EarlierContacts { .. } => "earlier-contacts",
            Self::UnfinishedRefresh { .. } => "unfinished-refresh",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FirstHistory { history } => {
                write!(f, "nothing of the history from {} to {} is loaded", history.start(), history.end())
            }
            Self::EarlierHistory { from } => write!(f, "the history that is loaded begins only on {from}"),
            Self::MissingHistory => f.write_str("this part of the history is not loaded"),
            Self::HistoryItself => f.write_str(
                "this history is loaded as a part of a longer one that was never finished, and is declared complete",
            ),
            Self::Horizon { reached } => {
                write!(f, "meetings are booked ahead, and the history that is loaded ends on {reached}")
            }
            Self::RollingTail { reached } => write!(
                f,
                "the service refuses future dates, and the history that is loaded ends on {reached}"
            ),
            Self::InsteadOfDeltas { deltas } => {
                write!(f, "a complete snapshot takes fewer jobs than the {deltas} deltas that were missed")
            }
            Self::OpenDays { from, to, overlap } => {
                if from == to {
                    write!(f, "{from} is not closed")?;
                } else {
                    write!(f, "the days from {from} to {to} are not closed")?;
                }
                match overlap {
                    0 => Ok(()),
                    1 => f.write_str("; the day before is read again for late arrivals"),
                    days => write!(f, "; the {days} days before are read again for late arrivals"),
                }
            }
            Self::PieceOf { window, outcome } => {
                let why = match outcome {
                    Some(AttemptOutcome::Failed) => "whose job failed",
                    Some(AttemptOutcome::RanTooLong) => "whose job ran too long",
                    Some(AttemptOutcome::TooWide) => "which the service refused as too wide",
                    Some(AttemptOutcome::FutureRefused) | None => "which was too much for one job",
                };
                write!(f, "a piece of {window}, {why}")
            }
            Self::FirstRefresh => f.write_str("contacts have never been loaded completely"),
            Self::RefreshDue { last } => write!(f, "the last complete refresh of contacts is of {last}"),
            Self::EarlierContacts { from } => {
                write!(f, "the contacts that are loaded begin only on {from}")
            }
            Self::UnfinishedRefresh { begun } => {
                write!(f, "the refresh of contacts that was begun at {begun} is not complete")
            }
        }
    }
}
