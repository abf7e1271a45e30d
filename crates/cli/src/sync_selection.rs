//! What to keep current, and where: the flags that `sync` and `plan` share.

use std::path::PathBuf;
use std::time::Duration;

use backstory_destination::DeliveryRecord;
use backstory_sync::{Coverage, SyncSettings, Through};
use clap::{Args, ValueEnum};
use jiff::SignedDuration;
use jiff::civil::Date;

use crate::args::{ResourceArg, day};
use crate::duration;
use crate::exit::Failure;
use crate::settings::Limits;

/// What to keep current.
#[derive(Clone, Debug, Args)]
pub(crate) struct SyncSelection {
    /// First activity date, yyyy-MM-dd [default: where the destination's history begins]
    #[arg(long, value_name = "DATE", value_parser = day)]
    pub(crate) since: Option<Date>,
    /// How far into the future the history reaches, since booked meetings have future dates [default: 365d]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) horizon: Option<Duration>,
    /// The last UTC day to load: today is loaded as provisional, and loaded again by the next sync [default: today]
    #[arg(long, value_enum, value_name = "DAY")]
    pub(crate) through: Option<ThroughArg>,
    /// What to load [default: activities,contacts]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "LIST")]
    pub(crate) resources: Vec<ResourceArg>,
    /// How old the last refresh of contacts may grow [default: 1d]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) contacts_every: Option<Duration>,
    /// How many job slots to leave free for other programs, beside those which they hold [default: 0]
    #[arg(long, value_name = "N")]
    pub(crate) reserve: Option<usize>,
    /// Where the ledger, the quarantine and the raw files go [default: in the destination's folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ThroughArg {
    Today,
    Yesterday,
}

impl SyncSelection {
    /// Whether a resource is to be loaded.
    pub(crate) fn wants(&self, resource: ResourceArg) -> bool {
        self.resources.is_empty() || self.resources.contains(&resource)
    }

    /// The settings that the flags ask for, in a destination with these deliveries.
    pub(crate) fn settings(
        &self,
        deliveries: &[DeliveryRecord],
        limits: &Limits,
    ) -> Result<SyncSettings, Failure> {
        let since = self.since.or_else(|| Coverage::since_of(deliveries)).ok_or_else(|| {
            let activities = self.wants(ResourceArg::Activities).then_some("activities");
            let contacts = self.wants(ResourceArg::Contacts).then_some("contacts");
            let wanted: Vec<_> = activities.into_iter().chain(contacts).collect();
            let wanted = wanted.join(" and ");
            Failure::usage(format!(
                "the destination is empty, so it can't tell from when on {wanted} are wanted"
            ))
            .with_hint("say so with --since, such as --since 2024-01-01; later runs may leave it out")
        })?;
        let mut settings = SyncSettings::new(since);
        settings.limits = limits.use_limits.clone();
        settings.slots = limits.slots;
        settings.activities = self.wants(ResourceArg::Activities);
        settings.contacts = self.wants(ResourceArg::Contacts);
        if let Some(horizon) = self.horizon {
            settings.horizon_days = u32::try_from(horizon.as_secs().div_ceil(86_400)).unwrap_or(u32::MAX);
        }
        if self.through == Some(ThroughArg::Yesterday) {
            settings.through = Through::Yesterday;
        }
        if let Some(every) = self.contacts_every {
            settings.contacts_every = SignedDuration::try_from(every).unwrap_or(SignedDuration::MAX);
        }
        if let Some(reserve) = self.reserve {
            settings.slots.reserved_for_others = reserve;
            if reserve >= settings.slots.total {
                return Err(Failure::usage(format!(
                    "--reserve {reserve} leaves none of the {} slots for this program",
                    settings.slots.total
                )));
            }
        }
        Ok(settings)
    }
}
