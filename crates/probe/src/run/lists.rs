//! The lists of jobs: whether there is room, what other jobs tell, and who may see them.

use std::time::Duration;

use tokio::time::sleep;

use super::Run;
use crate::report::End;
use crate::session::Want;
use crate::step::{Resource, Step};
use crate::transcript::JobView;

/// How often a busy queue is looked at again.
const LOOKS: u32 = 3;

impl Run {
    pub(super) async fn lists(&mut self) {
        if self.activities.is_some() {
            self.list(Step::List).await;
            self.list_by_other_key().await;
        }
        if let (Some(service), Some(uri)) =
            (self.service(Resource::Contacts), self.session.jobs_uri(Resource::Contacts))
            && self.session.affords(Step::ListContacts, 1, self.reserve(None))
        {
            self.session.get(Step::ListContacts, &service, uri, &[], Want::ALL).await;
        }
    }

    /// The activities jobs, if they can be seen.
    pub(super) async fn list(&mut self, step: Step) -> Option<Vec<JobView>> {
        let service = self.service(Resource::Activities)?;
        let uri = self.session.jobs_uri(Resource::Activities)?;
        let reply = self.session.get(step, &service, uri, &[], Want::ALL).await?;
        if reply.status.is_success() { reply.jobs() } else { None }
    }

    /// How a key is refused on the resource of another type (contract (j.29)).
    async fn list_by_other_key(&mut self) {
        let token = self
            .session
            .transcript
            .token(Step::Token(Resource::Contacts))
            .and_then(|reply| reply.token.clone());
        let Some(token) = token.filter(|_| !self.session.transcript.same_key) else {
            let why = "it takes two keys of different types, one for activities and one for contacts";
            return self.session.skip(Step::ListByOtherKey, why);
        };
        let (Some(service), Some(uri)) =
            (self.session.with_token(&token), self.session.jobs_uri(Resource::Activities))
        else {
            return;
        };
        if self.session.affords(Step::ListByOtherKey, 1, self.reserve(None)) {
            self.session.get(Step::ListByOtherKey, &service, uri, &[], Want::BEGINNING).await;
        }
    }

    /// Waits until a new job would hold nobody up: nothing waits in the queue, and a place is free. `fresh` says that the
    /// list must be asked for anew.
    ///
    /// # Errors
    /// Why no job may be created.
    pub(super) async fn room(&mut self, fresh: bool) -> Result<(), String> {
        if self.activities.is_none() {
            // Jobs of contacts can't be listed. A full queue refuses the one job, and that is told.
            return Ok(());
        }
        let known = self.session.transcript.reply(Step::List).filter(|reply| reply.status.is_success());
        let mut jobs =
            if fresh { self.list(Step::ListAgain).await } else { known.and_then(|reply| reply.jobs()) };
        let mut pause = self.probe.first_poll;
        for look in 0.. {
            let Some(listed) = jobs else {
                self.ended(End::Partial);
                return Err("the list of jobs could not be seen, so none was created".to_owned());
            };
            let (waiting, running) = outstanding(&listed);
            if waiting == 0 && running < 2 {
                return Ok(());
            }
            if look == LOOKS || pause > self.time_left() || self.session.meter.left() < 8 {
                self.ended(End::Busy);
                return Err(format!(
                    "other jobs were in the way ({running} running, {waiting} waiting), so none was created"
                ));
            }
            sleep(pause).await;
            pause = pause.saturating_mul(4).min(Duration::from_secs(600));
            jobs = self.list(Step::ListAgain).await;
        }
        Ok(())
    }
}

/// How many of the listed jobs wait, those in a state that nobody knows included, and how many run.
fn outstanding(jobs: &[JobView]) -> (usize, usize) {
    let running = jobs.iter().filter(|job| job.is("state", "Running")).count();
    let ended = jobs.iter().filter(|job| job.has_completed() || job.has_failed()).count();
    (jobs.len() - running - ended, running)
}
