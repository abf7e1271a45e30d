//! Whether a job is the one that its id is taken for. Ids are a service's own: another service behind the same URL, or one
//! that numbers its jobs anew, gives the same ids to other jobs, and the rows of those must not take the place of what is
//! there.

use std::collections::HashMap;

use backstory_api::{ActivityType, Job};
use backstory_destination::{Delivery, DeliveryKind, DeliveryRecord};
use backstory_limits::ExportKind;
use jiff::{SignedDuration, Timestamp};

use crate::error::{Error, ErrorKind};
use crate::ledger::JobSpec;

/// How far two readings of one server's clock may disagree: times on the wire have whole seconds.
pub(super) const RESOLUTION: SignedDuration = SignedDuration::from_secs(2);

/// The deliveries that a destination holds, by what the service calls their jobs. Activities and contacts are numbered
/// apart.
pub(super) struct DeliveredJobs(HashMap<(bool, String), Delivery>);

impl DeliveredJobs {
    pub(super) fn of(deliveries: &[DeliveryRecord]) -> Self {
        let key = |delivery: &Delivery| (delivery.kind == DeliveryKind::Contacts, delivery.job_id.clone());
        Self(deliveries.iter().map(|record| (key(&record.delivery), record.delivery.clone())).collect())
    }

    /// Refuses a job for `spec` whose id is that of another job's delivery.
    pub(super) fn check(&self, spec: &JobSpec, job: &Job) -> Result<(), Error> {
        let key = (spec.kind == DeliveryKind::Contacts, job.job_id.as_str().to_owned());
        let Some(held) = self.0.get(&key) else { return Ok(()) };
        let is_asked_alike =
            held.kind == spec.kind && held.activity_type == spec.activity_type && held.window == spec.window;
        if is_asked_alike && !are_apart(held.job_created_time, job.job_created_time) {
            return Ok(());
        }
        let message = format!(
            "the service has made job {} for {spec}, and the destination holds a delivery of a job {} already: {} {}, \
             created at {}",
            job.job_id,
            held.job_id,
            held.kind.as_str(),
            held.window,
            held.created(),
        );
        Err(Error::new(ErrorKind::Usage, message).with_hint(
            "this looks like another service than the one that filled the destination, and nothing of it was loaded: \
             check the URL of the service, or name another destination with --to",
        ))
    }
}

/// What in the service's answer says that a job, which an earlier run has noted as created at `created`, is another one than
/// was asked for.
pub(super) fn contradiction(spec: &JobSpec, created: Option<Timestamp>, job: &Job) -> Option<String> {
    let differs = |what: &str, here: &str, asked: &str| {
        (!here.eq_ignore_ascii_case(asked))
            .then(|| format!("job {} is now another one: its {what} is {here}, not {asked}", job.job_id))
    };
    let day = |what, here: Option<jiff::civil::Date>, asked: jiff::civil::Date| {
        differs(what, &here?.to_string(), &asked.to_string())
    };
    // Words that this version doesn't know contradict nothing.
    let kind = || job.export_type.as_deref()?.parse::<ExportKind>().ok();
    let of_type = || ActivityType::from_word(job.activity_type.as_deref()?);
    day("first day", job.start_date, spec.window.from)
        .or_else(|| day("last day", job.end_date, spec.window.to))
        .or_else(|| differs("kind", kind()?.as_str(), spec.kind.as_str()))
        .or_else(|| differs("type", of_type()?.as_str(), &spec.activity_type))
        .or_else(|| {
            let (here, noted) = (job.job_created_time?, created?);
            let differs = are_apart(Some(here), Some(noted));
            differs.then(|| {
                format!("job {} is now another one: it was created at {here}, not {noted}", job.job_id)
            })
        })
}

/// Whether two times that are told of a job can't be of the same one.
fn are_apart(one: Option<Timestamp>, other: Option<Timestamp>) -> bool {
    one.zip(other).is_some_and(|(one, other)| one.duration_until(other).abs() > RESOLUTION)
}
