//! Results: the whole of each job's, and of one job's how it can be had otherwise: compressed, by bytes, by fragments.
//! Then the results of jobs that the list shows, for what our own jobs can't tell.

use std::sync::Arc;

use backstory_transport::HttpService;
use http::header;
use jiff::SignedDuration;

use super::Run;
use crate::session::Want;
use crate::step::{Resource, Step};
use crate::transcript::{BodyEnd, JobView};

/// How many fragments are fetched at most.
const FRAGMENTS: u32 = 3;
/// For how long files are kept (contract (b)).
const RETENTION: SignedDuration = SignedDuration::from_hours(10 * 24);

impl Run {
    pub(super) async fn files(&mut self, resource: Resource, service: &Arc<dyn HttpService>, id: &str) {
        let Some(uri) = self.session.data_uri(resource, id, None) else { return };
        let reserve = self.reserve(Some(resource));
        let whole = Step::Whole(resource);
        let reply = self.session.get(whole, service, uri.clone(), &[], Want::ALL).await;
        // A body that breaks off twice at the same byte is how the service ends it; once is the network's doing.
        let broken = reply.is_none_or(|reply| reply.body.end == BodyEnd::Cut || !reply.status.is_success());
        if broken && self.session.affords(whole, 1, reserve) {
            self.session.get(whole, service, uri.clone(), &[], Want::ALL).await;
        }
        let is_there =
            |run: &Self| run.session.transcript.reply(whole).is_some_and(|reply| reply.status.is_success());
        if !is_there(self) {
            return self.ended(crate::report::End::Partial);
        }
        if resource == Resource::Contacts && self.activities.is_some() {
            return;
        }
        if self.session.affords(Step::Compressed, 1, reserve) {
            let headers = [(header::ACCEPT_ENCODING, "gzip")];
            self.session.get(Step::Compressed, service, uri.clone(), &headers, Want::BEGINNING).await;
        }
        if self.session.affords(Step::Range, 1, reserve) {
            let headers = [(header::RANGE, "bytes=1-64"), (header::ACCEPT_ENCODING, "identity")];
            self.session.get(Step::Range, service, uri, &headers, Want::BEGINNING).await;
        }
    }

    /// The fragments of the job that has more of them (contract (j.13)).
    pub(super) async fn fragments(&mut self) {
        let of = |run: &Self, resource| {
            let transcript = &run.session.transcript;
            transcript.reply(Step::Whole(resource)).filter(|reply| reply.status.is_success())?;
            let job = completed(transcript, resource)?;
            Some((job.number("fragments").unwrap_or(0), resource, job.id))
        };
        let both = [of(self, Resource::Activities), of(self, Resource::Contacts)];
        // Of two equals the activities: `max` takes the last.
        let chosen = both.into_iter().rev().flatten().max_by_key(|(count, ..)| *count);
        let Some((count, resource, id)) = chosen else { return };
        let Some(service) = self.service(resource) else { return };
        for number in 0..if count > 1 { FRAGMENTS } else { 2 } {
            let step = Step::Fragment(resource, number);
            let Some(uri) = self.session.data_uri(resource, &id, Some(number)) else { return };
            if !self.session.affords(step, 1, 0) {
                return;
            }
            self.session.get(step, &service, uri, &[], Want::ALL).await;
        }
    }

    /// How a file past its retention is refused (contract (j.11)).
    pub(super) async fn expired(&mut self) {
        let Some(service) = self.service(Resource::Activities) else { return };
        let now = self.server_time();
        let listed =
            self.session.transcript.reply(Step::List).and_then(|reply| reply.jobs()).unwrap_or_default();
        let old = |job: &&JobView| {
            let ended = job.time("job_end_time");
            job.has_completed() && ended.is_some_and(|ended| ended.duration_until(now) > RETENTION)
        };
        let listed = listed.iter().find(old).map(|job| job.id.clone());
        let Some(id) = self.probe.expired_job.clone().or(listed) else {
            let why = "no listed job is past its retention, and none was named";
            return self.session.skip(Step::ExpiredData, why);
        };
        let uris = (
            self.session.job_uri(Resource::Activities, &id),
            self.session.data_uri(Resource::Activities, &id, None),
        );
        let (Some(status), Some(data)) = uris else { return };
        if self.session.affords(Step::ExpiredData, 2, 0) {
            self.session.get(Step::ExpiredStatus, &service, status, &[], Want::ALL).await;
            self.session.get(Step::ExpiredData, &service, data, &[], Want::BEGINNING).await;
        }
    }

    /// What the results of listed jobs tell: one that is empty, one that failed, one in the JSON format.
    pub(super) async fn listed(&mut self) {
        let transcript = &self.session.transcript;
        let jobs = |step| transcript.reply(step).and_then(|reply| reply.jobs()).unwrap_or_default();
        let (activities, contacts) = (jobs(Step::List), jobs(Step::ListContacts));
        let one = |resource, jobs: &[JobView], wanted: fn(&JobView) -> bool| {
            jobs.iter().find(|job| wanted(job)).map(|job| (resource, job.id.clone()))
        };
        let empty: fn(&JobView) -> bool = |job| job.has_completed() && job.number("results_size") == Some(0);
        let json: fn(&JobView) -> bool = |job| {
            job.has_completed() && job.is("output_format", "JSON") && job.number("results_size") != Some(0)
        };
        let wanted = [
            (
                Step::ListedEmpty,
                one(Resource::Activities, &activities, empty),
                "no listed job has an empty result",
            ),
            (
                Step::ListedFailed,
                one(Resource::Activities, &activities, JobView::has_failed),
                "no listed job has failed or was canceled",
            ),
            (
                Step::ListedJson,
                one(Resource::Contacts, &contacts, json)
                    .or_else(|| one(Resource::Activities, &activities, json)),
                "no listed job has the JSON format",
            ),
        ];
        for (step, found, otherwise) in wanted {
            let Some((resource, id)) = found else {
                self.session.skip(step, otherwise);
                continue;
            };
            let (Some(service), Some(uri)) =
                (self.service(resource), self.session.data_uri(resource, &id, None))
            else {
                continue;
            };
            if self.session.affords(step, 1, 0) {
                self.session.get(step, &service, uri, &[], Want::BEGINNING).await;
            }
        }
    }
}

/// Our job as the service described it once it had completed.
pub(crate) fn completed(transcript: &crate::transcript::Transcript, resource: Resource) -> Option<JobView> {
    let steps = [Step::Poll(resource), Step::StatusAtOnce(resource)];
    steps.into_iter().find_map(|step| transcript.reply(step)?.job().filter(JobView::has_completed))
}
