//! Plans: a pure function of what is asked and the use limits. A plan is proved legal before anything is sent.

mod activities;
mod attempt;
mod expected_time;
mod pieces;
mod planned_job;
mod proof;
mod settings;
mod sync_plan;
mod sync_proof;

use backstory_api::ActivityType;
use backstory_limits::{DateRange, ExportKind, RangeLimit, SlotPolicy, UseLimits};
use serde::Serialize;

use crate::error::{Error, ErrorKind};
pub use attempt::{Attempt, AttemptOutcome};
pub use expected_time::JobTimes;
pub use pieces::pieces_after_failure;
pub use planned_job::{PlannedJob, Reason};
pub use proof::Proof;
pub use settings::{SyncSettings, Through};
pub use sync_plan::SyncPlan;
pub use sync_proof::{SyncProof, WidestWindow};

/// What is exported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "resource", rename_all = "lowercase")]
#[non_exhaustive]
pub enum Selection {
    /// Activities (contract (c.1)).
    Activities {
        /// What the range selects on.
        #[serde(serialize_with = "as_word")]
        kind: ExportKind,
        /// Which activities.
        #[serde(rename = "type")]
        activity_type: ActivityType,
    },
    /// Contacts (contract (d.1)).
    Contacts(ContactFilter),
}

/// Which contacts are exported (contract (d.1)).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ContactFilter {
    /// Add contacts that match no account or opportunity.
    pub include_historical: bool,
    /// Add contacts that exist in the CRM already.
    pub include_existing: bool,
    /// Only contacts that Backstory created, and candidates that it generated.
    pub only_backstory: bool,
    /// Only this country, by its full name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// Only this state, by its full name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

fn as_word<S: serde::Serializer>(kind: &ExportKind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.as_str())
}

impl Selection {
    /// `activities` or `contacts`.
    pub fn resource(&self) -> &'static str {
        match self {
            Self::Activities { .. } => "activities",
            Self::Contacts(_) => "contacts",
        }
    }

    /// The widest range of one job of this export.
    pub fn range_limit<'l>(&self, limits: &'l UseLimits) -> &'l RangeLimit {
        match self {
            Self::Activities { kind, .. } => limits.range_limit(*kind),
            Self::Contacts(_) => &limits.contacts_range,
        }
    }
}

/// The windows of an export: one job for each, in order, adjacent, all legal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportPlan {
    selection: Selection,
    range: DateRange,
    windows: Vec<DateRange>,
    proof: Proof,
}

impl ExportPlan {
    /// Plans an export of `range`. A range that is too wide for one job is cut into the fewest legal windows, unless
    /// `split` is off.
    ///
    /// # Errors
    /// [`ErrorKind::UseLimit`] when the range is too wide and may not be split.
    pub fn new(
        selection: Selection,
        range: DateRange,
        split: bool,
        limits: &UseLimits,
        slots: SlotPolicy,
    ) -> Result<Self, Error> {
        let limit = selection.range_limit(limits);
        let windows = if split {
            limit.split(range).collect()
        } else {
            limit.check(range).map_err(|error| {
                Error::new(ErrorKind::UseLimit, "the range is too wide for one job, and it may not be split")
                    .with_hint("leave out --no-split, or ask for a narrower range")
                    .with_source(error)
            })?;
            vec![range]
        };
        let proof = Proof::of(range, &windows, limit, limits, slots);
        Ok(Self { selection, range, windows, proof })
    }

    /// What is exported.
    pub fn selection(&self) -> &Selection {
        &self.selection
    }

    /// The whole range.
    pub fn range(&self) -> DateRange {
        self.range
    }

    /// The range of each job.
    pub fn windows(&self) -> &[DateRange] {
        &self.windows
    }

    /// Why the plan is legal.
    pub fn proof(&self) -> &Proof {
        &self.proof
    }

    /// How many requests it takes at least: a token, and for each job a look at the list (activities only), its creation,
    /// one poll and the download.
    pub fn requests_at_least(&self) -> usize {
        let per_job = match self.selection {
            Selection::Activities { .. } => 4,
            Selection::Contacts(_) => 3,
        };
        1 + self.windows.len() * per_job
    }
}
