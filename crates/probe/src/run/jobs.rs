//! One export job of one day: created once and only where there is room, looked at at once, polled with growing pauses,
//! and never repeated.

use std::sync::Arc;
use std::time::Duration;

use backstory_transport::{CallClass, HttpService, Request};
use bytes::Bytes;
use http::{Method, StatusCode, header};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tokio::time::sleep;

use super::Run;
use crate::report::End;
use crate::session::Want;
use crate::step::{Resource, Step};
use crate::transcript::{JobView, Reply};

/// How often a job is polled at most.
const POLLS: u32 = 6;
/// How much longer each pause is than the one before.
const GROWTH: f64 = 2.5;
/// How far two readings of one server's clock may disagree: times on the wire have whole seconds.
const RESOLUTION: SignedDuration = SignedDuration::from_secs(2);

/// What a status reply says of a job.
enum Seen {
    /// A 404, or no state: it is not visible yet, or the reply tells nothing.
    Nothing,
    UnderWay,
    Completed,
    Failed,
}

impl Run {
    /// Creates a job, waits for it and reads its result.
    pub(super) async fn job(&mut self, resource: Resource) {
        let Some(service) = self.service(resource) else {
            return self
                .session
                .skip(Step::Create(resource), format!("there is no key for {}", resource.as_str()));
        };
        if !self.session.affords(Step::Create(resource), JOB_AT_LEAST, 0) {
            return self.ended(End::Partial);
        }
        // Between the first list and the second job some time has passed.
        if let Err(why) = self.room(resource == Resource::Contacts).await {
            return self.session.skip(Step::Create(resource), why);
        }
        let Some(id) = self.create(resource, &service).await else { return };
        if self.wait(resource, &service, &id).await {
            self.files(resource, &service, &id).await;
        }
    }

    async fn create(&mut self, resource: Resource, service: &Arc<dyn HttpService>) -> Option<String> {
        let day = self.day.to_string();
        let body = match resource {
            Resource::Activities => json!({
                "start_date": day, "end_date": day, "activity_type": "all", "output_format": "JSONLines",
                "export_type": "delta",
            }),
            Resource::Contacts => json!({
                "start_date": day, "end_date": day, "include_historical": true, "include_existing": true,
                "is_sourced_by_people_ai": false, "output_format": self.probe.contacts_format.as_str(),
            }),
        };
        let mut request = Request::new(Bytes::from(body.to_string()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.session.jobs_uri(resource)?;
        request
            .headers_mut()
            .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
        request.extensions_mut().insert(CallClass::Once);
        let before = self.server_time();
        let reply = self.session.call(Step::Create(resource), service, request, Want::ALL).await;
        let ambiguous = match reply {
            None => true,
            Some(reply) if reply.status.is_success() => match reply.job() {
                Some(job) => return Some(job.id),
                None => true,
            },
            Some(reply) => {
                let full = reply.speaks_of_a_full_queue();
                let server_failed =
                    reply.status.is_server_error() || reply.status == StatusCode::REQUEST_TIMEOUT;
                if full {
                    self.ended(End::UseLimit);
                }
                server_failed && !full
            }
        };
        self.ended(End::Partial);
        if ambiguous && resource == Resource::Activities { self.adopt(before).await } else { None }
    }

    /// After a lost reply: the job that the list shows for it, if any (contract (j.5)).
    async fn adopt(&mut self, before: Timestamp) -> Option<String> {
        for _ in 0..2 {
            if !self.session.affords(Step::ListAgain, 1, JOB_AT_LEAST) {
                return None;
            }
            sleep(self.probe.first_poll.min(self.time_left())).await;
            let day = self.day;
            let ours = |job: &JobView| {
                job.is("export_type", "delta")
                    && job.is("activity_type", "all")
                    && job.range() == Some((day, day))
                    && !job.has_failed()
                    && job.time("job_created_time").is_some_and(|created| created >= before - RESOLUTION)
            };
            if let Some(job) = self.list(Step::ListAgain).await?.into_iter().find(ours) {
                return Some(job.id);
            }
        }
        None
    }

    /// Waits until the job has completed; false when it failed, or time or budget is over.
    async fn wait(&mut self, resource: Resource, service: &Arc<dyn HttpService>, id: &str) -> bool {
        let Some(uri) = self.session.job_uri(resource, id) else { return false };
        // What is asked of one job at once need not be asked of the other.
        let first = resource == Resource::Activities || self.activities.is_none();
        let after = self.reserve(Some(resource)) + 3;
        let mut seen = Seen::Nothing;
        if first {
            seen = look(
                self.session.get(Step::StatusAtOnce(resource), service, uri.clone(), &[], Want::ALL).await,
            );
        }
        let mut early = !first;
        let mut pause = self.probe.first_poll;
        let mut polls = POLLS;
        loop {
            match seen {
                Seen::Completed => return true,
                Seen::Failed => {
                    self.ended(End::Partial);
                    self.session.skip(Step::Whole(resource), "the job failed");
                    return false;
                }
                Seen::UnderWay if !early => {
                    early = true;
                    self.early(resource, service, id, after + 1).await;
                }
                Seen::UnderWay | Seen::Nothing => {}
            }
            let over = if polls == 0 || self.session.meter.left() <= 1 {
                Some("the job had not ended when the polls that the budget allows were used up")
            } else if self.time_left() < pause {
                Some("the job had not ended by the deadline")
            } else {
                None
            };
            if let Some(why) = over {
                self.ended(End::Deadline);
                self.session.skip(Step::Whole(resource), why);
                return false;
            }
            // The last pauses are the longest: a slow job is not asked about more often than it needs.
            sleep(pause).await;
            pause = pause.mul_f64(GROWTH).min(Duration::from_secs(900));
            polls = if self.session.meter.left() > after { polls - 1 } else { 0 };
            seen = look(self.session.get(Step::Poll(resource), service, uri.clone(), &[], Want::ALL).await);
        }
    }

    /// How a result is refused while the job is under way (contract (j.9)).
    async fn early(&mut self, resource: Resource, service: &Arc<dyn HttpService>, id: &str, reserve: u32) {
        if let Some(uri) = self.session.data_uri(resource, id, None)
            && self.session.affords(Step::DataEarly(resource), 1, reserve)
        {
            self.session.get(Step::DataEarly(resource), service, uri, &[], Want::BEGINNING).await;
        }
    }
}

/// Without so many requests no job is begun: its creation, a poll or two, the result.
const JOB_AT_LEAST: u32 = 4;

fn look(reply: Option<&Reply>) -> Seen {
    let Some(job) = reply.filter(|reply| reply.status.is_success()).and_then(Reply::job) else {
        return Seen::Nothing;
    };
    match job.state() {
        None => Seen::Nothing,
        Some(_) if job.has_completed() => Seen::Completed,
        Some(_) if job.has_failed() => Seen::Failed,
        Some(_) => Seen::UnderWay,
    }
}
