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
async fn a_stream_of_states_ends_with_the_jobs_end() {
    let service = ScriptedService::new([json(200, &job("5", "Running")), json(200, &job("5", "Failed"))]);
    let states = client(&service).activities().job("5").into_stream(WaitPolicy::default());
    let states: Vec<_> = states.map_ok(|job| job.state.unwrap()).try_collect().await.unwrap();
    assert_eq!(states, [JobState::Running, JobState::Failed]);
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_states_is_over_after_an_error() {
    let service =
        ScriptedService::new([refusal(403, "ForbiddenException", "no"), json(200, &job("5", "Running"))]);
    let mut states = client(&service).activities().job("5").into_stream(WaitPolicy::default());
    assert_eq!(states.try_next().await.unwrap_err().kind(), ErrorKind::Forbidden);
    assert!(states.try_next().await.unwrap().is_none());
    assert_eq!(service.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_job_is_attached_to_by_an_id_of_either_type_and_any_content() {
    let service = ScriptedService::answering(|request, _| {
        let path = request.uri().path();
        let id = path.rsplit('/').next().unwrap();
        match id {
            "42" => json(200, r#"{"job_id":42,"state":"running"}"#),
            _ => json(200, r#"{"job_id":"a/b c","state":"Completed","mood":"sunny"}"#),
        }
    });
    let api = client(&service).contacts();
    let numbered = api.job("42").poll().await.unwrap();
    assert_eq!((numbered.job_id.as_str(), numbered.state), ("42", Some(JobState::Running)));
    let odd = api.job("a/b c").poll().await.unwrap();
    assert_eq!((odd.job_id.as_str(), &odd.unknown["mood"]), ("a/b c", &"sunny".into()));
    assert_eq!(asked(&service)[1], "GET /pull/v1/export/contacts/jobs/a%2Fb%20c");
}

#[tokio::test(start_paused = true)]
async fn an_answer_about_another_job_is_refused() {
    let service = ScriptedService::new([json(200, &job("6", "Completed"))]);
    let error = client(&service).activities().job("5").poll().await.unwrap_err();
    assert_eq!((error.kind(), error.job_id().unwrap().as_str()), (ErrorKind::BadReply, "5"));
    assert!(error.to_string().contains("job 6 instead"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_state_that_nobody_knows_is_kept_and_waited_on() {
    let service =
        ScriptedService::new([json(200, &job("5", "Hibernating")), json(200, &job("5", "Completed"))]);
    let mut seen = Vec::new();
    let handle = client(&service).activities().job("5");
    handle.wait_with(&WaitPolicy::default(), |job| seen.extend(job.state.clone())).await.unwrap();
    assert_eq!(seen, [JobState::Other("Hibernating".to_owned()), JobState::Completed]);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_never_tells_its_state_is_given_up_after_the_grace_with_its_id() {
    let service = ScriptedService::answering(|_, _| json(200, r#"{"job_id":"5"}"#));
    let begun = Instant::now();
    let created = client(&service).activities().export(range()).start().await.unwrap();
    let error = created.wait().await.unwrap_err();
    assert_eq!((error.kind(), error.job_id().unwrap().as_str()), (ErrorKind::BadReply, "5"));
    assert!((120..240).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_job_that_was_attached_to_may_lack_its_state_for_two_minutes_and_no_longer() {
    // Asked about at 0, 60, 120 and 180 s.
    for (stateless, told) in [(3, true), (4, false)] {
        let service = ScriptedService::answering(move |_, nth| match nth {
            nth if nth < stateless => json(200, r#"{"job_id":"5"}"#),
            _ => json(200, &job("5", "Completed")),
        });
        let policy = WaitPolicy::default().with_first_poll(Duration::from_secs(60));
        let waited = client(&service).activities().job("5").wait_with(&policy, |_| {}).await;
        assert_eq!(waited.is_ok(), told);
    }
}

#[tokio::test(start_paused = true)]
async fn polls_that_fail_until_the_deadline_end_in_it_with_the_id_and_the_cause() {
    let service = ScriptedService::answering(|_, _| Scripted::fail_after_send());
    let policy = WaitPolicy::default().with_deadline(Some(Duration::from_secs(30)));
    let begun = Instant::now();
    let error = client(&service).activities().job("5").wait_with(&policy, |_| {}).await.unwrap_err();
    assert_eq!((error.kind(), error.job_id().unwrap().as_str()), (ErrorKind::DeadlinePassed, "5"));
    assert!(error.to_string().ends_with("within 30 s; its state is not known"), "{error}");
    let cause = std::error::Error::source(&error).unwrap();
    assert!(cause.to_string().contains("can't ask for the state"), "{cause}");
    assert_eq!(begun.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_counted_from_the_last_good_poll() {
    // Polls fail for 400 s, succeed once, fail for 400 s more: never 600 s in a row.
    let begun = Instant::now();
    let service = ScriptedService::answering(move |_, _| match begun.elapsed().as_secs() {
        0..400 | 460..860 => Scripted::fail_before_send(),
        400..460 => json(200, &job("5", "Running")),
        _ => json(200, &job("5", "Completed")),
    });
    client(&service).activities().job("5").wait().await.unwrap();
    assert!(begun.elapsed().as_secs() >= 860);
}

#[tokio::test(start_paused = true)]
async fn an_outage_ends_the_wait_as_soon_as_it_is_as_long_as_is_borne() {
    let service = ScriptedService::answering(|_, _| Scripted::fail_before_send());
    // Asked about at 0 and at 60 s.
    let mut policy = WaitPolicy::default().with_first_poll(Duration::from_secs(60));
    policy.outage = Duration::from_secs(60);
    let begun = Instant::now();
    let error = client(&service).activities().job("5").wait_with(&policy, |_| {}).await.unwrap_err();
    assert_eq!((error.kind(), begun.elapsed().as_secs()), (ErrorKind::Unavailable, 60));
}

#[tokio::test(start_paused = true)]
async fn a_refused_poll_ends_the_wait_at_once() {
    for (status, kind) in
        [(400, ErrorKind::BadRequest), (403, ErrorKind::Forbidden), (404, ErrorKind::JobNotFound)]
    {
        let service = ScriptedService::new([refusal(status, "X", "no")]);
        let error = client(&service).activities().job("x").wait().await.unwrap_err();
        assert_eq!((error.kind(), error.job_id().unwrap().as_str()), (kind, "x"));
        assert!(error.hint().is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_was_attached_to_is_asked_about_at_once_and_a_new_one_after_a_second() {
    let service = ScriptedService::answering(|_, _| json(200, &job("5", "Completed")));
    let api = client(&service).activities();
    let begun = Instant::now();
    api.job("5").wait().await.unwrap();
    assert_eq!(begun.elapsed(), Duration::ZERO);
    let created = api.export(range()).start().await.unwrap();
    created.wait().await.unwrap();
    assert_eq!(begun.elapsed().as_secs(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_time_that_was_waited_is_told_in_the_unit_that_people_would_use() {
    for (milliseconds, told) in [(500, "500 ms"), (90_000, "90 s"), (600_000, "10 min"), (7_200_000, "2 h")] {
        let service = ScriptedService::answering(|_, _| json(200, &job("5", "Running")));
        let policy = WaitPolicy::default().with_deadline(Some(Duration::from_millis(milliseconds)));
        let error = client(&service).activities().job("5").wait_with(&policy, |_| {}).await.unwrap_err();
        assert!(error.to_string().contains(&format!("within {told};")), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_is_never_answered_does_not_outlive_the_deadline() {
    for silent in [Scripted::never as fn() -> Scripted, || json(200, "{}").stall_at(1)] {
        let service = ScriptedService::answering(move |_, nth| match nth {
            0 => json(200, &job("5", "Running")),
            _ => silent(),
        });
        let policy = WaitPolicy::default().with_deadline(Some(Duration::from_secs(30)));
        let begun = Instant::now();
        let error = client(&service).activities().job("5").wait_with(&policy, |_| {}).await.unwrap_err();
        assert_eq!((error.kind(), error.job_id().unwrap().as_str()), (ErrorKind::DeadlinePassed, "5"));
        assert_eq!(begun.elapsed().as_secs(), 40);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_a_little_behind_the_deadline_counts() {
    let late = || json(200, &job("5", "Completed")).after(Duration::from_secs(39));
    let service = ScriptedService::answering(move |_, _| late());
    let policy = WaitPolicy::default().with_deadline(Some(Duration::from_secs(30)));
    client(&service).activities().job("5").wait_with(&policy, |_| {}).await.unwrap();

    let service = ScriptedService::answering(|_, _| json(200, &job("5", "Completed")));
    for deadline in [Duration::ZERO, Duration::MAX] {
        let policy = WaitPolicy::default().with_deadline(Some(deadline));
        client(&service).activities().job("5").wait_with(&policy, |_| {}).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_poll_whose_answer_stops_flowing_is_a_failed_poll_and_no_failed_job() {
    let service = ScriptedService::answering(|_, nth| match nth {
        0 => json(200, &job("5", "Running")).stall_at(9),
        1 => refusal(404, "NotFoundException", "no").stall_at(9),
        _ => json(200, &job("5", "Completed")),
    });
    let job = client(&service).activities().job("5");
    let begun = Instant::now();
    let error = job.poll().await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, true));
    assert_eq!(job.poll().await.unwrap_err().kind(), ErrorKind::JobNotFound);
    assert_eq!(begun.elapsed().as_secs(), 120);
    job.wait().await.unwrap();
}
