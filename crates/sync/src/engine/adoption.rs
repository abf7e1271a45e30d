//! Finding the job of an intent whose reply was lost, or whose process died: in the service's list, by what was asked for,
//! by when, and by what is known to be somebody else's.

use std::collections::HashSet;
use std::time::Duration;

use backstory_api::{Job, JobState};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::engine::Engine;
use super::handle::Parameters;
use super::identity::RESOLUTION;
use super::job::Step;
use crate::error::{Error, ErrorKind};
use crate::slots::Request;

/// The longest pause between two looks at the list.
const LONGEST_LOOK: Duration = Duration::from_secs(15);

/// An intent, as far as its job can be recognised by it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Intent {
    /// Its number in the ledger.
    pub(super) id: i64,
    /// The server's time before the request.
    pub(super) at: Timestamp,
}

/// What the list has shown.
pub(super) enum Found {
    Job(Box<Job>),
    NeverCreated,
}

impl Engine<'_> {
    /// Looks for the job of an intent until the list can't lag behind any more (contract (j.33)): by the server's clock, or
    /// by ours since this run has begun to look.
    pub(super) async fn look_for(
        &self,
        parameters: &Parameters,
        intent: Intent,
        since: Instant,
    ) -> Step<Found> {
        let Some(asked) = parameters.listed_as() else { return Ok(Found::NeverCreated) };
        let lag = self.slots_policy.list_lag;
        let mut pause = self.options.wait.first_poll.min(LONGEST_LOOK);
        let mut away_since: Option<Instant> = None;
        loop {
            let waited = SignedDuration::try_from(since.elapsed()).unwrap_or(SignedDuration::MAX);
            match self.client.activities().list().await {
                Ok(jobs) => {
                    away_since = None;
                    let bound = self.bound_jobs().await?;
                    if let Some(job) = jobs.into_iter().find(|job| is_the_one(job, &asked, intent, &bound)) {
                        return Ok(Found::Job(Box::new(job)));
                    }
                    if waited > lag || intent.at.duration_until(self.server_now()) > lag {
                        return Ok(Found::NeverCreated);
                    }
                }
                Err(error) => {
                    let away = *away_since.get_or_insert_with(Instant::now);
                    self.unless_away_for_long(error, away, pause)?;
                }
            }
            self.pause(pause).await?;
            pause = (pause * 2).min(LONGEST_LOOK);
        }
    }

    /// The jobs that belong to other intents or deliveries of ours.
    async fn bound_jobs(&self) -> Result<HashSet<String>, Error> {
        let mut bound: HashSet<String> =
            self.note(|ledger| ledger.bound_activity_jobs()).await?.into_iter().collect();
        let destination = std::sync::Arc::clone(&self.shore.destination);
        let deliveries = tokio::task::spawn_blocking(move || destination.deliveries()).await;
        let deliveries = deliveries
            .map_err(|error| {
                Error::new(ErrorKind::Destination, "reading the destination broke down").with_source(error)
            })?
            .map_err(Error::from_destination)?;
        let activities = deliveries.into_iter().map(|record| record.delivery);
        let activities =
            activities.filter(|delivery| delivery.resource == backstory_tables::Resource::Activities);
        bound.extend(activities.map(|delivery| delivery.job_id));
        Ok(bound)
    }
}

/// Whether a listed job is the one that an intent has made: asked for the same, created since, of use, and nobody else's
/// of ours.
fn is_the_one(job: &Job, asked: &Request, intent: Intent, bound: &HashSet<String>) -> bool {
    let earliest = intent.at.checked_sub(RESOLUTION).unwrap_or(intent.at);
    Request::of(job).as_ref() == Some(asked)
        && job.job_created_time.is_some_and(|created| created >= earliest)
        && !matches!(job.state, Some(JobState::Failed | JobState::Canceled))
        && !bound.contains(job.job_id.as_str())
}
