//! Waiting: polls that fail, jobs that aren't visible yet, states that nobody knows, and deadlines.

mod service;

use std::time::Duration;

use backstory_api::{ErrorKind, JobState, WaitPolicy};
use backstory_transport::{Scripted, ScriptedService};
use futures_util::TryStreamExt as _;
use service::{asked, client, job, json, range, refusal};
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn a_created_job_is_polled_until_it_has_completed() {
    let states = ["Queued", "Running", "Completed"];
    let service = ScriptedService::answering(move |_, nth| match nth {
        0 => json(200, &job("5", "Queued")),
        nth => json(200, &job("5", states[nth - 1])),
    });
    let job = client(&service).activities().export(range()).start().await.unwrap();
    let mut seen = Vec::new();
    let done = job.wait_with(&WaitPolicy::default(), |job| seen.extend(job.state.clone())).await.unwrap();
    assert_eq!(done.state, Some(JobState::Completed));
    assert_eq!(seen, [JobState::Queued, JobState::Running, JobState::Completed]);
    assert_eq!(asked(&service)[1], "GET /pull/v1/export/activities/jobs/5");
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_not_visible_yet_or_has_no_state_is_waited_for() {
    let service = ScriptedService::answering(|_, nth| match nth {
        0 => json(200, r#"{"job_id":"5"}"#),
        1 | 2 => refusal(404, "NotFoundException", "HTTP 404 Not Found"),
        3 => json(200, r#"{"job_id":"5"}"#),
        _ => json(200, &job("5", "Completed")),
    });
    let job = client(&service).activities().export(range()).start().await.unwrap();
    assert_eq!(job.poll().await.unwrap_err().kind(), ErrorKind::NotVisibleYet);
    job.wait().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_job_that_stays_invisible_is_not_found_in_the_end() {
    let service = ScriptedService::answering(|_, nth| match nth {
        0 => json(200, r#"{"job_id":"5"}"#),
        _ => refusal(404, "NotFoundException", "HTTP 404 Not Found"),
    });
    let begun = Instant::now();
    let job = client(&service).activities().export(range()).start().await.unwrap();
    assert_eq!(job.wait().await.unwrap_err().kind(), ErrorKind::JobNotFound);
    assert!(begun.elapsed() >= Duration::from_secs(120));
}

#[tokio::test(start_paused = true)]
async fn an_attached_job_that_does_not_exist_is_not_found_at_once() {
    let service = ScriptedService::new([refusal(404, "NotFoundException", "HTTP 404 Not Found")]);
    let error = client(&service).activities().job("77").wait().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::JobNotFound);
    assert_eq!(error.job_id().unwrap().as_str(), "77");
}

#[tokio::test(start_paused = true)]
async fn a_failed_poll_is_not_a_failed_job() {
    // Each poll is tried five times by the transport; ten of these fail and the job is fine.
    let service = ScriptedService::answering(|_, nth| match nth {
        0..10 => Scripted::fail_after_send(),
        _ => json(200, &job("5", "Completed")),
    });
    client(&service).activities().job("5").wait().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_service_that_stays_away_ends_the_wait_with_the_jobs_id() {
    let service = ScriptedService::answering(|_, _| Scripted::fail_before_send());
    let begun = Instant::now();
    let error = client(&service).activities().job("5").wait().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(error.job_id().unwrap().as_str(), "5");
    assert!(begun.elapsed() >= Duration::from_secs(600));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_ends_badly_is_an_error_with_the_whole_job_in_it() {
    for (state, kind) in [("Failed", ErrorKind::JobFailed), ("Canceled", ErrorKind::JobCanceled)] {
        let described = job("5", state).replace(r#""job_id""#, r#""why":"secret reasons","job_id""#);
        let service = ScriptedService::new([json(200, &described)]);
        let error = client(&service).activities().job("5").wait().await.unwrap_err();
        assert_eq!(error.kind(), kind);
        assert_eq!(error.job().unwrap().unknown["why"], "secret reasons");
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_never_ends_is_given_up_at_the_deadline_with_its_id_and_state() {
    let service = ScriptedService::answering(|_, _| json(200, &job("5", "Paused")));
    let policy = WaitPolicy::default().with_deadline(Some(Duration::from_secs(90)));
    let begun = Instant::now();
    let error = client(&service).activities().job("5").wait_with(&policy, |_| {}).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DeadlinePassed);
    assert_eq!(
        error.to_string(),
        "can't wait for the activities export job (job 5): it has not ended within 90 s; its state is Paused"
    );
    assert_eq!(begun.elapsed().as_secs(), 90);
}

#[tokio::test(start_paused = true)]
async fn polls_become_rarer() {
    let service = ScriptedService::answering(|_, _| json(200, &job("5", "Running")));
    let policy = WaitPolicy::default().with_deadline(Some(Duration::from_secs(3_600)));
    client(&service).activities().job("5").wait_with(&policy, |_| {}).await.unwrap_err();
    let polls = service.requests().len();
    assert!((60..80).contains(&polls), "{polls} polls in an hour");
}

#[tokio::test(start_paused = true)]
async fn a_watch_ends_with_the_jobs_end() {
    let service = ScriptedService::new([json(200, &job("5", "Running")), json(200, &job("5", "Failed"))]);
    let watch = client(&service).activities().job("5").watch(WaitPolicy::default());
    let states: Vec<_> = watch.map_ok(|job| job.state.unwrap()).try_collect().await.unwrap();
    assert_eq!(states, [JobState::Running, JobState::Failed]);
}
