//! The sequence of a run: tokens, lists, one job of activities, one of contacts, and then, as far as the budget
//! reaches, what else can be learned. Strictly one request after the other, and one job after the other.

mod files;
mod jobs;
mod lists;
mod tokens;

pub(crate) use files::completed;

use std::sync::Arc;
use std::time::Duration;

use backstory_api::ContactsFormat;
use backstory_transport::HttpService;
use jiff::civil::{Date, Weekday};
use jiff::tz::Offset;
use jiff::{Timestamp, ToSpan as _};

use crate::error::{Error, ErrorKind};
use crate::findings;
use crate::probe::Probe;
use crate::report::{End, Report};
use crate::session::{Session, Wiring};
use crate::step::{Resource, Step};
use crate::transcript::Reply;

/// Requests that a job needs after its creation was decided: the creation, a look at once, polls, the result.
const JOB: u32 = 7;

/// A run under way.
pub(crate) struct Run {
    probe: Probe,
    session: Session,
    /// What carries the calls for each resource.
    activities: Option<Arc<dyn HttpService>>,
    contacts: Option<Arc<dyn HttpService>>,
    day: Date,
    /// The worst that happened.
    end: End,
}

pub(crate) async fn run(probe: Probe) -> Result<Report, Error> {
    if probe.activities.is_none() && probe.contacts.is_none() {
        return Err(Error::new(ErrorKind::Setup, "there is no key for activities and none for contacts"));
    }
    let session = Session::new(Wiring {
        base: probe.base.clone(),
        adapter: Arc::clone(&probe.adapter),
        backoff: Arc::clone(&probe.backoff),
        requests: probe.requests,
        requests_per_second: probe.requests_per_second,
    });
    let day = Date::default();
    let mut run = Run { probe, session, activities: None, contacts: None, day, end: End::Complete };
    run.session.transcript.contacts_csv = run.probe.contacts_format == ContactsFormat::Csv;
    run.session.transcript.same_key = !run.probe.has_other_key();
    run.tokens().await?;
    run.day = run.probe.day.unwrap_or_else(|| settled_weekday(run.server_time()));
    run.session.transcript.day = Some(run.day);
    run.ask().await;
    Ok(run.report())
}

impl Run {
    async fn ask(&mut self) {
        self.lists().await;
        for resource in [Resource::Activities, Resource::Contacts] {
            self.job(resource).await;
        }
        self.fragments().await;
        self.expired().await;
        self.other_endpoint().await;
        self.listed().await;
        self.malformed_id().await;
    }

    fn service(&self, resource: Resource) -> Option<Arc<dyn HttpService>> {
        match resource {
            Resource::Activities => self.activities.clone(),
            Resource::Contacts => self.contacts.clone(),
        }
    }

    /// The service's time, as its last reply told; else the client's.
    fn server_time(&self) -> Timestamp {
        let transcript = &self.session.transcript;
        let told =
            transcript.exchanges.iter().rev().find_map(|exchange| exchange.outcome.as_ref().ok()?.date());
        let at_token = || transcript.tokens.iter().rev().find_map(|token| token.outcome.as_ref().ok()?.date);
        told.or_else(at_token).unwrap_or(self.probe.now)
    }

    fn time_left(&self) -> Duration {
        self.probe.deadline.saturating_sub(self.session.elapsed())
    }

    /// Notes how the run went; of several things the first counts.
    fn ended(&mut self, end: End) {
        if self.end == End::Complete {
            self.end = end;
        }
    }

    /// What must be left for the jobs that are still to come.
    fn reserve(&self, done: Option<Resource>) -> u32 {
        let of = |resource: Resource| if self.service(resource).is_some() { JOB } else { 0 };
        match done {
            None => of(Resource::Activities) + of(Resource::Contacts) + 1,
            Some(Resource::Activities) => of(Resource::Contacts) + 1,
            Some(Resource::Contacts) => 0,
        }
    }

    fn report(mut self) -> Report {
        self.session.transcript.notes = self.session.meter.notes();
        let transcript = &self.session.transcript;
        let findings = findings::all(transcript);
        Report::new(self.end, transcript, findings, |text| self.is_sensitive(text))
    }

    /// Whether a text holds what no report may: an id, the host, a token.
    fn is_sensitive(&self, text: &str) -> bool {
        // A text as short as a number of records says nothing.
        let holds = |secret: &str| secret.len() >= 4 && text.contains(secret);
        let (probe, transcript) = (&self.probe, &self.session.transcript);
        let ids =
            |reply: &Reply| reply.jobs().into_iter().flatten().chain(reply.job()).any(|job| holds(&job.id));
        let mut keys = [&probe.activities, &probe.contacts].into_iter().flatten();
        let mut tokens =
            transcript.tokens.iter().filter_map(|token| token.outcome.as_ref().ok()?.token.as_ref());
        keys.any(|key| holds(key.client_id()))
            || tokens.any(|token| holds(token.expose()))
            || probe.expired_job.as_deref().is_some_and(holds)
            || probe.base.uri().is_ok_and(|uri| uri.host().is_some_and(holds))
            || transcript.exchanges.iter().filter_map(|exchange| exchange.outcome.as_ref().ok()).any(ids)
    }

    async fn malformed_id(&mut self) {
        let Some(service) = self.service(Resource::Activities) else { return };
        let Some(uri) = self.session.job_uri(Resource::Activities, "not-a-job-id") else { return };
        if self.session.affords(Step::MalformedId, 1, 0) {
            self.session.get(Step::MalformedId, &service, uri, &[], crate::session::Want::BEGINNING).await;
        }
    }
}

/// The latest weekday at least three days before the day of `now`: it is over, and its records have had time to change.
fn settled_weekday(now: Timestamp) -> Date {
    let mut day = Offset::UTC.to_datetime(now).date();
    let back = |day: Date, days: i64| day.checked_sub(days.days()).unwrap_or(day);
    day = back(day, 3);
    while matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday) {
        day = back(day, 1);
    }
    day
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_is_a_weekday_that_is_over() {
        let day = |now: &str| settled_weekday(now.parse().unwrap()).to_string();
        assert_eq!(day("2026-06-18T12:00:00Z"), "2026-06-15");
        // Three days before a Tuesday is a Saturday.
        assert_eq!(day("2026-06-16T00:00:00Z"), "2026-06-12");
    }
}
